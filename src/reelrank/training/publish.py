"""Publish: a candidate becomes the live version if it is sound and not worse than the one before; what was published can be rolled back."""

import math
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, NamedTuple

import msgspec
import numpy as np
from msgspec import Meta
from numpy.typing import NDArray

from reelrank.domain.arrays import Rows
from reelrank.domain.clock import Clock
from reelrank.evaluation.paired import Interval, interval
from reelrank.features.definitions import FEATURES_VERSION
from reelrank.storage.artifacts import Artifact, ArtifactStore, Overtaken
from reelrank.training.unreadable import Unreadable, reading

About = Mapping[str, str | int | float]
FEATURES = "features_version"  # in `about`: which features a model reads
PARITY = "parity"  # in `about`: the largest difference between the network and what was exported of it
_JUDGED_AT_MOST = 5  # times, if what is live changes all the while


class GateConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What a candidate has to pass."""

    held_out: Annotated[int, Meta(ge=1)] = 50_000  # newest examples that candidate and live version are compared on, at most
    held_out_share: Annotated[float, Meta(gt=0, lt=1)] = 0.1  # of the examples, at most
    min_users: Annotated[int, Meta(ge=2)] = 20  # with fewer in the held-out examples nothing can be said, and what is live stays
    max_parity: Annotated[float, Meta(gt=0)] = 1e-4  # largest difference between a network and what was exported of it


class Judged(NamedTuple):
    """What an artifact is worth on n held-out examples."""

    users: Rows  # (n,)
    measures: dict[str, NDArray[np.float64]]  # name -> what each example adds (n,), more is better, nan where nobody knows; the mean is the measure


class Unfit(Exception):
    """An artifact can't be judged, and must not be published; the message says why."""


Judge = Callable[[Path], Judged]  # has the artifact in a folder predict the held-out examples; raises Unfit


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """What came of a candidate."""

    name: str
    version: str = ""  # as it was published; empty if it was refused
    against: str = ""  # the version that was live; empty if there was none
    reasons: tuple[str, ...] = ()  # why it was refused
    metrics: dict[str, float] = {}
    differences: dict[str, Interval] = {}  # candidate - live, with 95 % intervals over users

    @property
    def published(self) -> bool:
        """Whether it is live now."""
        return self.version != ""

    def __str__(self) -> str:
        numbers = ", ".join(f"{name} {value:.4f}{self._difference(name)}" for name, value in self.metrics.items())
        done = f"published as {self.version}" if self.published else f"refused: {'; '.join(self.reasons)}"
        return f"{self.name} {done}" + (f" ({numbers})" if numbers else "")

    def _difference(self, name: str) -> str:
        found = self.differences.get(name)
        return "" if found is None else f" ({found.mean:+.4f} [{found.lo:+.4f}, {found.hi:+.4f}])"


def publish(
    artifacts: ArtifactStore,
    name: str,
    candidate: Path,
    judge: Judge,
    clock: Clock,
    about: About | None = None,
    config: GateConfig | None = None,
    anyway: bool = False,
) -> Verdict:
    """Publishes the files in the folder `candidate`, unless a gate refuses them; says what it did, with numbers.

    The gates: the features are this release's (`about[FEATURES]`), the export equals the network (`about[PARITY]`), no
    array and no prediction holds nan or infinity, and no measure is worse than that of the live version by more than the
    noise. `anyway` lets through what is merely worse, never what is unsound. If another version becomes live meanwhile,
    whoever publishes it, the candidate is compared with that one: nothing is replaced that it was not judged against.
    """
    config, about = config or GateConfig(), about or {}
    verdict = Verdict(name=name, against=artifacts.live(name))
    if reasons := unsound(candidate, about, config):
        return msgspec.structs.replace(verdict, reasons=reasons)
    try:
        judged = _finite(judge(candidate))
    except Unfit as problem:
        return msgspec.structs.replace(verdict, reasons=(str(problem),))
    known: dict[str, str | int | float] = {**about, **_means(judged), "held_out": len(judged.users)}
    for _ in range(_JUDGED_AT_MOST):
        verdict = Verdict(name=name, against=artifacts.live(name), metrics=_means(judged))
        current = artifacts.version(name, verdict.against)
        if current is not None and not anyway:
            verdict = _compared(verdict, judged, judge, current, config)
            if verdict.reasons:
                return verdict
        try:
            published = artifacts.publish(name, clock.now(), lambda folder: _copy(candidate, folder), known, in_place_of=verdict.against)
        except Overtaken:
            continue
        return msgspec.structs.replace(verdict, version=published.manifest.version)
    return msgspec.structs.replace(verdict, reasons=(f"another version became live each of the {_JUDGED_AT_MOST} times that it was judged; publish it again",))


def unsound(candidate: Path, about: About, config: GateConfig) -> tuple[str, ...]:
    """What is wrong with a candidate whatever it predicts; nothing if it may be judged."""
    reasons: list[str] = []
    if (features := about.get(FEATURES, FEATURES_VERSION)) != FEATURES_VERSION:
        reasons.append(f"it reads features of version {features}, this release has {FEATURES_VERSION}; train it again")
    if not float(parity := about.get(PARITY, 0.0)) <= config.max_parity:
        reasons.append(f"what was exported differs from the network by {parity}, more than {config.max_parity}; export it again")
    if not any(candidate.iterdir()):
        reasons.append(f"{candidate} is empty")
    for path in sorted(candidate.glob("*.npy")):
        try:
            with reading(path):
                broken = _not_finite(np.load(path, mmap_mode="r", allow_pickle=False))
        except Unreadable as problem:
            reasons.append(str(problem))
            continue
        if broken:
            reasons.append(f"{path.name} holds {broken:,} values that are no finite numbers")
    return tuple(reasons)


def _compared(verdict: Verdict, judged: Judged, judge: Judge, current: Artifact, config: GateConfig) -> Verdict:
    """The verdict with the differences to the live version, and the reasons that they give to refuse."""
    try:
        live = _finite(judge(current.folder))
    except (Unfit, OSError):
        return verdict  # whatever can't even be judged gives way
    if (users := len(np.unique(judged.users))) < config.min_users:
        reason = f"{users} users in {len(judged.users)} held-out examples; {config.min_users} are needed to compare it with {verdict.against}"
        return msgspec.structs.replace(verdict, reasons=(reason,))
    differences = {name: interval(judged.measures[name] - live.measures[name], judged.users) for name in judged.measures}
    worse = [
        f"{name} is {found.mean:+.4f} [{found.lo:+.4f}, {found.hi:+.4f}] against {verdict.against}, worse by more than the noise"
        for name, found in differences.items()
        if found.hi < 0
    ]
    return msgspec.structs.replace(verdict, differences=differences, reasons=tuple(worse))


def _finite(judged: Judged) -> Judged:
    """What was judged, as long as nothing of it is infinite."""
    for name, values in judged.measures.items():
        if np.isinf(values).any():
            raise Unfit(f"its {name} is infinite for {int(np.isinf(values).sum()):,} of {len(values):,} held-out examples")
    return judged


def _means(judged: Judged) -> dict[str, float]:
    """Each measure; those of which nothing is known are left out."""
    known = {name: values[~np.isnan(values)] for name, values in judged.measures.items()}
    return {name: float(values.mean()) for name, values in known.items() if len(values)}


def _not_finite(values: NDArray[np.generic]) -> int:
    return int((~np.isfinite(values)).sum()) if values.dtype.kind == "f" else 0


def _copy(candidate: Path, folder: Path) -> None:
    for path in sorted(candidate.iterdir()):
        if path.is_file():
            shutil.copy2(path, folder / path.name)


def predicted(name: str, values: NDArray[np.floating]) -> NDArray[np.float64]:
    """Predictions (n,) for a judge. Raises Unfit if one of them is no finite number."""
    if broken := _not_finite(values):
        raise Unfit(f"it predicts no finite {name} for {broken:,} of {len(values):,} held-out examples")
    return values.astype(np.float64)


def newest(served_at: NDArray[np.float64], config: GateConfig) -> float:
    """The moment from which on examples are held out: what is newest, so that a judge asks for what comes next. inf if there are none."""
    count = min(config.held_out, math.floor(len(served_at) * config.held_out_share))
    return float(np.partition(served_at, -count)[-count]) if count else math.inf
