"""The contracts of the stages: what each may do to the candidates, and what it must leave alone."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from reelrank.domain.arrays import Rows
from reelrank.domain.candidate import Candidates
from reelrank.domain.eligibility import normal_region
from reelrank.domain.event import Context
from reelrank.domain.params import FeedParams
from reelrank.domain.user import User


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """One request for a feed, with the user as they are at this moment."""

    user: User
    now: float  # UTC seconds
    count: int
    params: FeedParams
    rng: np.random.Generator
    context: Context
    named: bool = False  # by whoever asks: it may be asked again
    personalized: bool = True  # False: `user` is somebody of whom nothing is known but what they must not be shown

    @property
    def region(self) -> str:
        """Where the user is by law, normalised; "" where nobody knows."""
        return normal_region(self.context.region) or self.user.bounds.region


_NO_MODELS: Mapping[str, str] = MappingProxyType({})


class Proposal(NamedTuple):
    """What a source proposes: dense video rows, best first, each once; and by which version of which artifact."""

    rows: Rows
    models: Mapping[str, str] = _NO_MODELS


class Verdict(NamedTuple):
    """What a filter found: `kept` (n,) is true for what may stay; `reason` names why the others may not.

    Where there are several, `removed` has for each by name how many go for it first; they add up to those that are not kept.
    """

    kept: NDArray[np.bool_]
    reason: str
    removed: Mapping[str, int] = MappingProxyType({})


def verdict(candidates: int, reason: str, because: Iterable[tuple[str, NDArray[np.bool_]]]) -> Verdict:
    """The verdict over so many candidates, of which each of `because` names some that may not stay: (its name, (n,))."""
    kept = np.ones(candidates, dtype=np.bool_)
    removed: dict[str, int] = {}
    for name, gone in because:
        if count := int(np.count_nonzero(gone & kept)):
            removed[name] = count
            kept &= ~gone
    return Verdict(kept, reason, removed)


class Placement(NamedTuple):
    """What a selector chose: places in the candidates, in the order of the slate."""

    places: NDArray[np.int64]  # (k,)
    propensities: NDArray[np.float64]  # (k,) probability that this place showed this video; nan = unknown
    reasons: Sequence[str]  # (k,) why each stands where it does


class Source(Protocol):
    """Proposes videos. Never filters or scores. One that raises or is late proposes nothing and is counted."""

    name: str

    def propose(self, query: Query, quota: int) -> Proposal: ...


class Hydrator(Protocol):
    """Fills in candidate fields. Never adds, drops or reorders."""

    name: str

    def hydrate(self, query: Query, candidates: Candidates) -> None: ...


class Filter(Protocol):
    """Says which candidates are kept and why the others are not. Changes nothing."""

    name: str

    def judge(self, query: Query, candidates: Candidates) -> Verdict: ...


class Scorer(Protocol):
    """Writes predictions or the one score. Never drops."""

    name: str

    def score(self, query: Query, candidates: Candidates) -> None: ...


class Selector(Protocol):
    """Chooses and orders the slate; writes each place's propensity."""

    name: str

    def select(self, query: Query, candidates: Candidates) -> Placement: ...


class Refreshable(Protocol):
    """Reads new artifacts or trends when it is told to: what a stage works with."""

    def refresh(self) -> None: ...


class Followed(Protocol):
    """An artifact that a stage works with, and the version of it that is in use."""

    @property
    def name(self) -> str: ...
    @property
    def version(self) -> str: ...
