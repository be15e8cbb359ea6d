"""Learns the rows of an id table that a batch has used, and touches no others (rowwise Adagrad)."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import embedding_bag

from reelrank.domain.arrays import Rows
from reelrank.features.row_index import UNSEEN
from reelrank.models.id_tables import IdTable


class RowAdagrad:
    """Adagrad (Duchi et al. 2011) with one step size a row: the mean square of a row's gradients (as in FBGEMM, Khudia et al. 2021).

    Why this one: its state is a number a row where Adam needs two rows, so less memory moves; ids that come once a day
    and ids that come every second each get steps of their own size; and a row that is not in the batch needs no
    decay, so leaving it alone is exact.

        rows = table.admit(keys, now)
        embedded = optimizer.gather(rows)
        loss(model(embedded)).backward()
        optimizer.step()
    """

    def __init__(self, table: IdTable, learning_rate: float = 0.05, epsilon: float = 1e-8) -> None:
        self.table = table
        self.learning_rate = learning_rate
        self.epsilon = epsilon
        self._gathered: list[_Gathered] = []

    def gather(self, rows: Rows) -> Tensor:
        """What stands in `rows` (...,), as a leaf that collects gradients: (..., width). `step` takes them from there, from all leaves at once."""
        leaf = torch.from_numpy(self.table.weights.take(rows, axis=0)).requires_grad_()
        self._gathered.append(_Gathered(rows.reshape(-1), leaf, self.table.edition))
        return leaf

    @torch.no_grad()
    def step(self) -> None:
        """Learns from everything gathered since the last step; what took no part in the loss is let go.

        A row that has changed hands since it was gathered is left alone: what was learned is not about its new owner.
        Raises ValueError, and learns nothing, if a gradient is not finite.
        """
        rows, gradients = self._noted()
        if len(rows) == 0:
            return
        steps = np.sqrt(self.table.squares.take(rows))
        steps += self.epsilon
        np.divide(-self.learning_rate, steps, out=steps)
        values = torch.from_numpy(self.table.weights.take(rows, axis=0))
        values.addcmul_(gradients, torch.from_numpy(steps)[:, None])
        _put_rows(self.table.weights, rows, values.numpy())
        self.table.note_change(rows)

    @torch.no_grad()
    def observe(self) -> None:
        """Takes everything gathered into the state, as if it had been learned from, and changes no row: who goes on learning
        what somebody else has learned begins with steps of the right size.
        """
        self._noted()

    def _noted(self) -> tuple[Rows, Tensor]:
        """Distinct rows (u,) and their gradients (u, width), which are part of the state now."""
        table = self.table
        parts = [part for part in map(self._still_owned, self._gathered) if part is not None]
        self._gathered.clear()
        if not parts:
            return np.empty(0, dtype=np.int64), torch.empty(0, table.config.width)
        rows, gradients = merged(*(parts[0] if len(parts) == 1 else (np.concatenate([part[0] for part in parts]), torch.cat([part[1] for part in parts]))))
        if rows[0] == UNSEEN and not table.config.learn_unseen:
            rows, gradients = rows[1:], gradients[1:]
        squares = np.einsum("rd,rd->r", gradients.numpy(), gradients.numpy())  # (u,)
        if not np.isfinite(squares).all():
            keys = table.index.keys[rows[~np.isfinite(squares)]]
            raise ValueError(f"the gradients of {len(keys)} ids are not finite, the first is {keys[0]}; look at the loss or lower the learning rate")
        squares /= table.config.width
        squares += table.squares.take(rows)
        table.squares[rows] = squares
        return rows, gradients

    def _still_owned(self, part: "_Gathered") -> tuple[Rows, Tensor] | None:
        """Rows and gradients of a leaf, without the rows that have another owner by now; None if there are none."""
        if part.leaf.grad is None:
            return None
        gradients = part.leaf.grad.reshape(len(part.rows), -1)
        if self.table.last_handover <= part.edition:
            return (part.rows, gradients) if len(part.rows) else None
        same = np.flatnonzero(self.table.handed_over[part.rows] <= part.edition)
        return (part.rows[same], gradients[torch.from_numpy(same)]) if len(same) else None


@dataclass(frozen=True, slots=True)
class _Gathered:
    rows: Rows  # (n,)
    leaf: Tensor  # (..., width)
    edition: int  # of the table, when the rows were read


def merged(rows: Rows, gradients: Tensor) -> tuple[Rows, Tensor]:
    """Adds the gradients (n, d) of rows (n,) that come more than once: distinct rows (u,), ascending, and their sums (u, d).

    Row and position are packed into one integer and sorted: faster than an argsort, and the order in which a row's
    gradients are added is certain. The sums are one call of a kernel made for bags of embeddings.
    """
    bits = max(len(rows) - 1, 1).bit_length()  # rows have 31 bits, so two billion positions fit beside them
    packed = (rows << bits) | np.arange(len(rows))
    packed.sort()
    ordered = packed >> bits
    starts = np.flatnonzero(np.concatenate([[True], ordered[1:] != ordered[:-1]]))
    positions = torch.from_numpy(packed & ((1 << bits) - 1))
    return ordered[starts], embedding_bag(positions, gradients, torch.from_numpy(starts), mode="sum")


def _put_rows(weights: np.ndarray, rows: Rows, values: np.ndarray) -> None:
    """`weights[rows] = values`, each row copied as one thing: half the time that NumPy takes number by number."""
    whole = np.dtype((np.void, weights.shape[1] * weights.itemsize))
    weights.view(whole)[:, 0][rows] = values.view(whole)[:, 0]
