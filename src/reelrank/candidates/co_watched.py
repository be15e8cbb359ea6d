"""Co-watched: videos that people watch who watched what this user watches."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from reelrank.candidates.rows import seen_rows, strongest
from reelrank.domain.arrays import Rows, among
from reelrank.domain.user import User, no_rows
from reelrank.models.item_to_item import ItemToItem, without_pairs
from reelrank.pipeline.stages import Proposal, Query
from reelrank.storage.artifacts import ArtifactStore
from reelrank.storage.published import Published, Version

ITEM_TO_ITEM = "item_to_item"
_TOGETHER, _AFTER = "item_to_item.npz", "next_watched.npz"

NOBODY: Mapping[str, str] = MappingProxyType({})  # has spoken yet
_HALF_LIFE_WATCHES = 12  # the next video resembles the last few more than those of last week
_SKIP, _LONG_VIEW, _LIKE = 0.7, 1.3, 1.5  # how many watches a skip and a long view count; a like multiplies
_AT_ONCE = 4  # requests that are under way together, whose strengths are remembered
_FULL_STRENGTH = 0.2  # few scores of the closed form are larger
_FULL_DEVIATIONS = 12.0  # of a user's scores of what comes next; few are larger


@dataclass(frozen=True, slots=True)
class CoWatches:
    """What the index role learned from who watched what: which videos the same people watch, and which they watch soon after another."""

    together: ItemToItem
    after: ItemToItem  # of the same videos

    def save(self, folder: Path) -> None:
        """Writes plain arrays."""
        self.together.save(folder / _TOGETHER)
        self.after.save(folder / _AFTER)

    @classmethod
    def load(cls, folder: Path) -> "CoWatches":
        """Reads what `save` wrote; older releases knew only what is watched together."""
        together = ItemToItem.load(folder / _TOGETHER)
        path = folder / _AFTER
        return cls(together, ItemToItem.load(path) if path.exists() else without_pairs(together))

    def strengths(self, user: User) -> NDArray[np.float64]:
        """How strongly a user's watches speak for each of `together.videos`: (m,), about 0..1 from each of the two."""
        rows, amounts = history_of(user)
        places = self.together.places_of(rows)
        after = self.after.scores_of(places, amounts).astype(np.float64)
        spread = after.std()
        together = self.together.scores_of(places, amounts).astype(np.float64) / _FULL_STRENGTH
        return together + after / (spread * _FULL_DEVIATIONS) if spread > 0 else together


def history_of(user: User) -> tuple[Rows, NDArray[np.float32]]:
    """What a user's watches say: each video once with its amount, more for long views and likes, more for recent ones."""
    watches = user.watches
    amounts = np.where(watches.long_view, _LONG_VIEW, np.where(watches.skipped, _SKIP, 1.0))
    amounts[among(watches.video_rows, user.liked)] *= _LIKE
    amounts *= 0.5 ** (np.arange(len(watches))[::-1] / _HALF_LIFE_WATCHES)
    rows, places = np.unique(watches.video_rows, return_inverse=True)
    largest = np.zeros(len(rows), dtype=np.float32)
    np.maximum.at(largest, places, amounts.astype(np.float32))
    return rows, largest


def item_to_item(artifacts: ArtifactStore) -> Published[CoWatches]:
    """The model that the index role publishes."""
    return Published(artifacts, ITEM_TO_ITEM, CoWatches.load)


def strength(model: CoWatches, user: User, rows: Rows) -> NDArray[np.float64]:
    """How strongly a user's watches speak for each of `rows` (n,): 0 where nothing is known."""
    return _of_rows(model, model.strengths(user), rows) if len(user.watches) else np.zeros(len(rows))


def _of_rows(model: CoWatches, strengths: NDArray[np.float64], rows: Rows) -> NDArray[np.float64]:
    places = model.together.places_of(rows)
    return np.where(places >= 0, strengths[places], 0.0)


class _Asked(NamedTuple):
    model: CoWatches
    user: User
    strengths: NDArray[np.float64]


class CoWatchedSource:
    """Proposes what the linear item-to-item models find in the user's history, with a lean towards what is watched these days."""

    name = "co_watched"

    def __init__(self, model: Published[CoWatches]) -> None:
        self._model = model
        self._before: Version[CoWatches] | None = None  # what was in use before the last refresh, for requests that began with it
        self._lately: tuple[_Asked, ...] = ()  # replaced whole
        self.refresh()

    def refresh(self) -> None:
        """Loads a newer model if there is one."""
        before = self._model.live
        self._before = before if self._model.refresh() else None

    def propose(self, query: Query, quota: int) -> Proposal:
        live = self._model.live
        if live is None or len(query.user.watches) == 0:
            return Proposal(no_rows())
        model, params = live.value, query.params
        videos = model.together.videos
        scores = params.co_watch_weight * self._strengths(model, query.user) + params.popularity_weight * model.together.log_popularity
        seen = model.together.places_of(seen_rows(query.user.seen))
        scores[seen[seen >= 0]] = -np.inf
        best = strongest(scores, quota)
        return Proposal(videos[best[scores[best] > 0]], {self._model.name: live.name})

    def strength(self, user: User, rows: Rows, spoke: Mapping[str, str] = NOBODY) -> tuple[NDArray[np.float64], dict[str, str]]:
        """How strongly the user's watches speak for each of `rows` (n,), and by which version of which model: by the one that `spoke` to the request
        already, if one did, although another one may be in use since then."""
        live, before = self._model.live, self._before
        asked = before if before is not None and before.name == spoke.get(self._model.name) else live
        if asked is None:
            return np.zeros(len(rows)), {}
        known = _of_rows(asked.value, self._strengths(asked.value, user), rows) if len(user.watches) else np.zeros(len(rows))
        return known, {self._model.name: asked.name}

    def _strengths(self, model: CoWatches, user: User) -> NDArray[np.float64]:
        """Those of a user as they are now, worked out once for proposing and for what the features say."""
        for asked in self._lately:
            if asked.model is model and asked.user is user:
                return asked.strengths
        found = _Asked(model, user, model.strengths(user))
        self._lately = (found, *self._lately[: _AT_ONCE - 1])
        return found.strengths
