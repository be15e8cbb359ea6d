"""Cuts histories into windows that a network reads at once, and windows into batches of about the same length."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from reelrank.domain.arrays import Rows
from reelrank.features.tokens import Tokens
from reelrank.models.two_tower import Histories


@dataclass(frozen=True, slots=True)
class Windows:
    """w stretches of tokens: [start, end). What follows a token is predicted from `learn` on; what is before is context."""

    start: Rows  # (w,)
    end: Rows  # (w,)
    learn: Rows  # (w,) start <= learn < end

    def __len__(self) -> int:
        return len(self.start)


def windows(starts: Rows, targets: Rows, length: int) -> Windows:
    """Windows of at most `length` tokens that learn every target (t,) once, -1 being none; user i has the tokens [starts[i], starts[i + 1]).

    A long history is cut into windows that overlap by half, so that no prediction is made from less than half a window.
    """
    if length < 2:
        raise ValueError(f"a window of {length} tokens has no past; take at least 2")
    step = length // 2
    sizes = np.diff(starts)
    pieces = np.maximum(1, -(-(sizes - length) // step) + 1) * (sizes > 0)
    place = np.arange(pieces.sum()) - np.repeat(np.cumsum(pieces) - pieces, pieces)
    first, last = np.repeat(starts[:-1], pieces), np.repeat(starts[1:], pieces)
    start = first + place * step
    end = np.minimum(start + length, last)
    learn = np.where(place > 0, start + length - step, start)
    wanted = np.concatenate([[0], np.cumsum(targets >= 0)])
    useful = wanted[end] > wanted[np.minimum(learn, end)]
    return Windows(start[useful], end[useful], learn[useful])


def batches(windows: Windows, size: int, rng: np.random.Generator) -> list[Rows]:
    """The windows in random batches of about `size`, each of windows of about the same length: little is padded."""
    lengths = windows.end - windows.start
    order = np.argsort(lengths + 4 * rng.random(len(lengths)), kind="stable")
    some = np.array_split(order, max(1, len(order) // size))
    return [some[place] for place in rng.permutation(len(some))]


def histories(tokens: Tokens, start: Rows, end: Rows) -> Histories:
    """The tokens [start, end) of each of B windows, padded at the end to the longest."""
    places, there = padded(start, end)

    def taken(column: NDArray[np.generic], nothing: float) -> torch.Tensor:
        return torch.as_tensor(np.where(there, column[places], np.asarray(nothing, dtype=column.dtype)))

    at = tokens.occurred_at[places]
    gap_s = np.full(at.shape, np.nan, dtype=np.float32)
    timed = there[:, 1:] & np.isfinite(at[:, 1:]) & np.isfinite(at[:, :-1])
    gap_s[:, 1:][timed] = (at[:, 1:][timed] - at[:, :-1][timed]).astype(np.float32)
    return Histories(taken(tokens.video, -1), taken(tokens.actions, 0), taken(tokens.completion, np.nan), torch.as_tensor(gap_s))


def padded(start: Rows, end: Rows) -> tuple[Rows, NDArray[np.bool_]]:
    """The places of [start, end) of each of B windows as a rectangle, and which of it are real: twice (B, longest)."""
    offsets = np.arange(int((end - start).max(initial=1)))
    there = offsets < (end - start)[:, None]
    return np.where(there, start[:, None] + offsets, start[:, None]), there
