"""Item-to-item with a direction: how much a watch of one video speaks for another that comes soon after it.

Counts in closed form, nothing is trained. T[i, j] adds up gap_decay ** (gap - 1) over all pairs in which i was
watched before j, and `backward` times as much for pairs the other way round; then
W[i, j] = T[i, j] / (out_i ** row_exponent · in_j ** column_exponent). A history speaks with input_decay ** age for each
of its watches. Sequential rules (Kamehkhosh, Jannach, Ludewig 2017) weigh gaps like this; normalising by both ends with
free exponents is that of P3alpha and RP3beta (Christoffel et al. 2015).
"""

from collections.abc import Callable

import msgspec
import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array, diags_array

from reelrank.domain.arrays import Floats, Rows
from reelrank.evaluation import retrieval
from reelrank.models.item_to_item import ItemToItem

_BLOCK = 2_048  # histories that are scored at a time
_PAIRS = 8_000_000  # that are added to the counts together: 160 MB


class DirectedConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The exponents of the counts. They differ from app to app: `choose` finds them on held-out watches."""

    gap_decay: float = 0.8  # what a pair one watch further apart counts
    backward: float = 0.7  # what a pair counts for the way back
    row_exponent: float = 0.5  # how much a video that is followed by many says less about each
    column_exponent: float = 0.2  # how much a video that follows many is held back
    input_decay: float = 0.6  # what each watch of a history counts against the one after it
    max_gap: int = 50  # pairs further apart are not counted


# What `choose` tries, one coordinate after the other; ordered, so that it can walk.
GRID: dict[str, tuple[float, ...]] = {
    "gap_decay": (0.0, 0.2, 0.4, 0.6, 0.7, 0.8, 0.9, 0.95, 1.0),
    "backward": (0.0, 0.1, 0.2, 0.35, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0),
    "row_exponent": (0.0, 0.15, 0.3, 0.4, 0.5, 0.6, 0.7, 0.85, 1.0),
    "column_exponent": (-0.2, -0.1, 0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.7),
    "input_decay": (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0),
}


def forward_counts(rows: Rows, indptr: Rows, videos: int, gap_decay: float, max_gap: int) -> csr_array:
    """Decayed counts of "i, then j" over histories: (videos, videos). History u is `rows[indptr[u] : indptr[u + 1]]`, oldest first."""
    owner = np.repeat(np.arange(len(indptr) - 1), np.diff(indptr))
    longest = int(np.diff(indptr).max(initial=0))
    counts = csr_array((videos, videos), dtype=np.float32)
    waiting: list[tuple[Floats, Rows, Rows]] = []  # added together: a sum costs as much as all that was counted before
    for gap in range(1, min(max_gap, longest - 1) + 1):
        weight = gap_decay ** (gap - 1)
        if weight < 1e-4:
            break
        same = np.flatnonzero(owner[gap:] == owner[:-gap])
        waiting.append((np.full(len(same), weight, dtype=np.float32), rows[same], rows[same + gap]))
        if sum(len(one[0]) for one in waiting) >= _PAIRS:
            counts += _summed(waiting, videos)
            waiting = []
    return csr_array(counts + _summed(waiting, videos)) if waiting else counts


def _summed(pairs: list[tuple[Floats, Rows, Rows]], videos: int) -> csr_array:
    """(weights, rows, columns) as one matrix: (videos, videos)."""
    values, first, second = (np.concatenate(column) for column in zip(*pairs, strict=True))
    return csr_array((values, (first, second)), shape=(videos, videos))


def normalised(forward: csr_array, config: DirectedConfig) -> csr_array:
    """W of the caption from the counts of one direction: (videos, videos)."""
    counts = csr_array(forward + config.backward * forward.T)
    out, into = np.asarray(counts.sum(axis=1)).ravel(), np.asarray(counts.sum(axis=0)).ravel()
    return csr_array(diags_array(_power(out, -config.row_exponent)) @ counts @ diags_array(_power(into, -config.column_exponent)))


def weights(rows: Rows, indptr: Rows, videos: int, config: DirectedConfig) -> csr_array:
    """W for these histories: (videos, videos), row i speaks for its columns."""
    return normalised(forward_counts(rows, indptr, videos, config.gap_decay, config.max_gap), config)


def fit(users: Rows, rows: Rows, like: ItemToItem, neighbours: int, config: DirectedConfig) -> ItemToItem:
    """The `neighbours` strongest weights of each of the videos that take part in `like`, ready to be saved and asked.

    User `users[j]` (dense numbers, ascending) watched video `rows[j]`, oldest first for each user.
    """
    places = like.places_of(rows)
    inside = places >= 0
    indptr = np.concatenate([[0], np.cumsum(np.bincount(users[inside], minlength=int(users.max(initial=-1)) + 1))])
    every = weights(places[inside], indptr, len(like.videos), config)
    every.setdiag(0)
    every.eliminate_zeros()
    values: Floats = every.data.astype(np.float32)
    kept = [_strongest(values[start:end], neighbours) + start for start, end in zip(every.indptr[:-1], every.indptr[1:], strict=True)]
    chosen = np.concatenate([np.empty(0, dtype=np.int64), *kept])
    counts = np.concatenate([[0], np.cumsum([len(one) for one in kept])]).astype(np.int64)
    return ItemToItem(like.videos, counts, every.indices[chosen].astype(np.int32), values[chosen], like.log_popularity)


def decayed_histories(rows: Rows, indptr: Rows, videos: int, input_decay: float) -> csr_array:
    """Histories x videos, the newest watch of each counts 1: (histories, videos)."""
    age = np.repeat(indptr[1:], np.diff(indptr)) - np.arange(len(rows)) - 1
    return csr_array(((input_decay**age).astype(np.float32), rows, indptr), shape=(len(indptr) - 1, videos))


def scores(histories: csr_array, weights: csr_array) -> Floats:
    """What each history says about every video, -inf for those it holds: (histories, videos), dense."""
    said = csr_array(histories @ weights).toarray()
    held = histories.tocoo()
    said[held.coords] = -np.inf
    return said


def quality(histories: csr_array, weights: csr_array, targets: Rows) -> float:
    """The mean NDCG@10 of one target per history."""
    blocks = range(0, len(targets), _BLOCK)
    places = [retrieval.places(scores(histories[start : start + _BLOCK], weights), targets[start : start + _BLOCK]) for start in blocks]
    return float(retrieval.ndcg_of_places(np.concatenate(places), 10).mean())


def choose(
    rows: Rows, indptr: Rows, targets: Rows, videos: int, *, rounds: int = 2, on_progress: Callable[[int], None] = lambda _: None
) -> tuple[DirectedConfig, float]:
    """The config with the best NDCG@10 on one held-out video `targets` (histories,) that followed each history, and that NDCG.

    Walks one coordinate at a time up or down its GRID as long as that helps, for `rounds` rounds.
    """
    best = DirectedConfig()
    counts: dict[float, csr_array] = {}  # by gap decay: the only part that takes time

    def judged(config: DirectedConfig) -> float:
        if config.gap_decay not in counts:
            counts[config.gap_decay] = forward_counts(rows, indptr, videos, config.gap_decay, config.max_gap)
        on_progress(1)
        return quality(decayed_histories(rows, indptr, videos, config.input_decay), normalised(counts[config.gap_decay], config), targets)

    best_quality = judged(best)
    for _ in range(rounds):
        before = best_quality
        for name, grid in GRID.items():
            start = grid.index(getattr(best, name))
            for step in (1, -1):
                place = start + step
                while 0 <= place < len(grid):
                    candidate = msgspec.structs.replace(best, **{name: grid[place]})
                    if (candidate_quality := judged(candidate)) <= best_quality:
                        break
                    best, best_quality, place = candidate, candidate_quality, place + step
                if getattr(best, name) != grid[start]:
                    break
        if best_quality == before:
            break
    return best, best_quality


def _power(sums: NDArray[np.floating], exponent: float) -> Floats:
    """sums ** exponent, 0 where there is nothing."""
    return np.where(sums > 0, np.maximum(sums, 1e-12) ** exponent, 0.0).astype(np.float32)


def _strongest(values: Floats, count: int) -> Rows:
    """The places of the `count` largest values, ascending."""
    if len(values) <= count:
        return np.arange(len(values))
    return np.sort(np.argpartition(-values, count - 1)[:count])
