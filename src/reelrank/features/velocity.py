"""Velocity: how fast something moves now against lately, from the rings of its counters when they are read."""

import numpy as np
from numpy.typing import NDArray

from reelrank.domain.arrays import Column
from reelrank.features import windows
from reelrank.features.windows import RINGS, Counter, Counters

SHORT_HALF_LIFE_S, LONG_HALF_LIFE_S = 300.0, 6 * 3600.0
PACED = _SHORT_RING, _LONG_RING = 1, 2  # an hour in five minutes, a day in three hours: what is beyond weighs next to nothing
_PRIOR = 3.0  # outcomes at the pace of lately that are imagined besides: one more or less is no trend

Paces = NDArray[np.float64]  # (n, 4) drawn before the current bucket and in it, of the short window and of the long one


def velocity(state: Counters, now: Column) -> Column:
    """The pace of now over the pace of lately, each at its own moment `now` (n,) UTC seconds: (n,), 1 where nothing changes.

    A bucket whose middle is `a` seconds old weighs 0.5 ** (a / half-life). With the decayed count n and the decayed seconds s of
    the short window (half-life 5 min) and N, S of the long one (6 h), it is (n + 3) / (s * N / S + 3): the expected count stands
    below, and both are drawn together where little is counted. What doubles its pace comes close to 2 within half an hour.
    What counts are outcomes: watches and skips.
    """
    return ratio(*now_and_lately(paces(state, now), now))


def paces(state: Counters, now: Column) -> Paces:
    """What was drawn, decayed to when the bucket that `now` lies in began: it stays the same for as long as windows do. Those of several add up."""
    parts = [*_weighed(state, _SHORT_RING, SHORT_HALF_LIFE_S, now), *_weighed(state, _LONG_RING, LONG_HALF_LIFE_S, now)]
    return np.stack(parts, axis=1)


def now_and_lately(drawn: Paces, now: Column) -> tuple[Column, Column]:
    """From what `paces` gave since its buckets began: the decayed count n of now, and what it would be at the pace of lately, s * N / S: (n,), (n,)."""
    count, seconds = _decayed(drawn[:, 0], drawn[:, 1], _SHORT_RING, SHORT_HALF_LIFE_S, now)
    lately, lately_seconds = _decayed(drawn[:, 2], drawn[:, 3], _LONG_RING, LONG_HALF_LIFE_S, now)
    return count, seconds * lately / lately_seconds


def ratio(count: Column, expected: Column) -> Column:
    """Velocity from what `now_and_lately` gives."""
    return (count + _PRIOR) / (expected + _PRIOR)


def _weighed(state: Counters, ring: int, half_life_s: float, now: Column) -> tuple[Column, Column]:
    """What was drawn before the bucket that `now` lies in, decayed to when that began, and what was drawn in it: (n,), (n,)."""
    bucket_s, slots = RINGS[ring]
    current = now.astype(np.int64) // bucket_s
    held, counts = windows.buckets(state, ring)
    drawn = counts[:, :, Counter.CLICKS] + counts[:, :, Counter.SKIPS].astype(np.int64)
    back = current[:, None] - held  # (n, slots) how many buckets ago
    weights = np.concatenate([[0.0], _middles(ring, half_life_s)])[np.where((back > 0) & (back < slots), back, 0)]
    before, running = np.zeros(len(state)), np.where(back == 0, drawn, 0).sum(axis=1)
    for slot in range(slots):  # in this order, so that the bits do not depend on how many are asked for at once
        before += weights[:, slot] * drawn[:, slot]
    return before, running


def _decayed(before: Column, running: Column, ring: int, half_life_s: float, now: Column) -> tuple[Column, Column]:
    """What was drawn and how long it took, both decayed: (n,), (n,). The bucket that `now` lies in counts for as long as it lasts yet."""
    bucket_s, _ = RINGS[ring]
    into_s = now - now.astype(np.int64) // bucket_s * bucket_s
    fade, fade_running = 0.5 ** (into_s / half_life_s), 0.5 ** (into_s / (2 * half_life_s))
    return fade * before + fade_running * running, fade * (_middles(ring, half_life_s).sum() * bucket_s) + fade_running * into_s


def _middles(ring: int, half_life_s: float) -> NDArray[np.floating]:
    """What the buckets before the current one weigh when that begins."""
    bucket_s, slots = RINGS[ring]
    return 0.5 ** ((np.arange(1, slots) - 0.5) * bucket_s / half_life_s)
