"""Co-watched: videos that people watch who watched what this user watches."""

import numpy as np
from numpy.typing import NDArray

from reelrank.candidates.rows import strongest, unseen
from reelrank.domain.user import Rows, User, no_rows
from reelrank.models.item_to_item import ItemToItem
from reelrank.pipeline.stages import Proposal, Query
from reelrank.storage.artifacts import ArtifactStore
from reelrank.storage.published import Published

ITEM_TO_ITEM = "item_to_item"
FILE = "item_to_item.npz"

_HALF_LIFE_WATCHES = 12  # the next video resembles the last few more than those of last week
_SKIP, _LONG_VIEW, _LIKE = 0.7, 1.3, 1.5  # how many watches a skip and a long view count; a like multiplies
_POPULARITY = 2.5  # in standard deviations of a user's scores
_FULL_STRENGTH = 0.2  # few scores are larger


def history_of(user: User) -> tuple[Rows, NDArray[np.float32]]:
    """What a user's watches say: each video once with its amount, more for long views and likes, more for recent ones."""
    watches = user.watches
    amounts = np.where(watches.long_view, _LONG_VIEW, np.where(watches.skipped, _SKIP, 1.0))
    amounts[np.isin(watches.video_rows, user.liked)] *= _LIKE
    amounts *= 0.5 ** (np.arange(len(watches))[::-1] / _HALF_LIFE_WATCHES)
    rows, places = np.unique(watches.video_rows, return_inverse=True)
    largest = np.zeros(len(rows), dtype=np.float32)
    np.maximum.at(largest, places, amounts.astype(np.float32))
    return rows, largest


def item_to_item(artifacts: ArtifactStore) -> Published[ItemToItem]:
    """The model that the index role publishes."""
    return Published(artifacts, ITEM_TO_ITEM, lambda folder: ItemToItem.load(folder / FILE))


def strength(model: ItemToItem, user: User, rows: Rows) -> NDArray[np.float64]:
    """How strongly a user's watches speak for each of `rows` (n,): about 0..1, 0 where nothing is known."""
    if len(user.watches) == 0:
        return np.zeros(len(rows))
    scores = model.scores(*history_of(user))
    places = model.places_of(rows)
    return np.where(places >= 0, scores[places], 0.0) / _FULL_STRENGTH


class CoWatchedSource:
    """Proposes what the linear item-to-item model finds in the user's history, with a lean towards what is watched these days."""

    name = "co_watched"

    def __init__(self, model: Published[ItemToItem]) -> None:
        self._model = model
        self.refresh()

    def refresh(self) -> None:
        """Loads a newer model if there is one."""
        self._model.refresh()

    def propose(self, query: Query, quota: int) -> Proposal:
        model = self._model.value
        if model is None or len(query.user.watches) == 0:
            return Proposal(no_rows())
        scores = model.scores(*history_of(query.user))
        scores += _POPULARITY * scores.std() * model.log_popularity
        scores[~unseen(model.videos, query.user.seen)] = -np.inf
        best = strongest(scores, quota)
        return Proposal(model.videos[best[scores[best] > 0]])

    def strength(self, user: User, rows: Rows) -> tuple[NDArray[np.float64], dict[str, str]]:
        """How strongly the user's watches speak for each of `rows` (n,), and by which version of which model."""
        live = self._model.live
        return (np.zeros(len(rows)), {}) if live is None else (strength(live.value, user, rows), {self._model.name: live.name})
