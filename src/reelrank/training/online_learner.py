"""The online learner: predicts each batch, then learns from it: the rows it touched at once, the dense weights slowly."""

from collections import deque
from collections.abc import Mapping
from pathlib import Path
from statistics import median
from typing import NamedTuple, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from reelrank.models.id_tables import Changes, IdTable
from reelrank.models.row_optimizer import RowAdagrad
from reelrank.models.shifts import USER
from reelrank.training.examples import TrainingSet
from reelrank.training.online_config import LearnerConfig
from reelrank.training.unreadable import load_tensors, reading

_LOSSES = 101  # whose median says what is normal
_FEW_LOSSES = 20  # before so many nothing is known
_LONGEST_STEP = 5.0  # norm of the gradient of the dense weights


class Answers(NamedTuple):
    """What a model says of n examples before it has learned from them."""

    logits: Tensor  # (n, heads)
    losses: Tensor  # (n,) by what is known of each, 0 where nothing is


class OnlineModel(Protocol):
    """What can be learned online: tables of rows, and dense weights beside them."""

    heads: tuple[str, ...]
    tables: Mapping[str, IdTable]
    dense: nn.Module

    def answer(self, seen: TrainingSet, rows: Mapping[str, RowAdagrad]) -> Answers:
        """Gathers the rows of all examples and answers. Only the tables named in `rows` are learned: new ids get rows there on the way."""
        ...

    def export(self, folder: Path) -> dict[str, str | int | float]:
        """Writes an artifact into a folder that exists; returns what the gates want to know about it."""
        ...


class Learned(NamedTuple):
    """What was predicted of a batch, and whether it was learned from."""

    logits: NDArray[np.float32]  # (n, heads)
    loss: float
    exploded: str  # why it was left out; empty if it was learned from


class LostItself(Exception):
    """Nothing makes sense to the model any more; go on from a published version."""


class OnlineLearner:
    """A model and the state of its optimizers. The same batches in the same order give the same weights, bit by bit."""

    def __init__(self, model: OnlineModel, config: LearnerConfig | None = None) -> None:
        self.model = model
        self.batches = 0  # learned from
        self._config = config or LearnerConfig()
        optimizers = {name: _optimizer(name, table, self._config) for name, table in model.tables.items()}
        self._rows = {name: rows for name, rows in optimizers.items() if rows.learning_rate > 0}
        self._weights = [weight for weight in model.dense.parameters() if weight.requires_grad]
        for weight in self._weights:
            weight.requires_grad_(self._config.dense_rate > 0)  # what is not learned costs no way back through the network
        self._dense = torch.optim.AdamW(self._weights, lr=self._config.dense_rate, weight_decay=0.0)
        self._losses: deque[float] = deque(maxlen=_LOSSES)
        self._left_out = 0  # in a row
        self._sent = {name: table.edition for name, table in model.tables.items()}
        model.dense.eval()  # what is seen once needs no dropout, and chance would not come back after a kill

    def learn(self, seen: TrainingSet) -> Learned:
        """Predicts the examples, then learns from them. Raises LostItself when too many batches in a row made no sense."""
        answers = self.model.answer(seen, self._rows)
        value, usual = float(answers.losses.detach().mean()), median(self._losses) if len(self._losses) >= _FEW_LOSSES else np.inf
        exploded = "" if value <= self._config.explodes_at * usual and np.isfinite(value) else f"loss {value:.4g}, usual is {usual:.4g}"
        if exploded:
            self._forget_gathered()
            self._left_out += 1
            if self._left_out >= self._config.gives_up_after:
                raise LostItself(f"{self._left_out} batches in a row made no sense, the last one with {exploded}")
        else:
            self._left_out = 0
            self._losses.append(value)
            self._step(answers.losses)
            self.batches += 1
        return Learned(answers.logits.detach().numpy(), value, exploded)

    def observe(self, seen: TrainingSet) -> None:
        """Lets the optimizers know what the model has learned from before, without learning it again: their first steps have the right size then."""
        _backward(self.model.answer(seen, self._rows).losses)
        for rows in self._rows.values():
            rows.observe()
        self._forget_gradients()

    def changes(self) -> dict[str, Changes]:
        """The rows that have changed since it was last asked for."""
        found = {name: table.changes_since(self._sent[name]) for name, table in self.model.tables.items()}
        self._sent = {name: table.edition for name, table in self.model.tables.items()}
        return {name: changes for name, changes in found.items() if len(changes.rows)}

    def save(self, folder: Path) -> None:
        """Writes weights and the optimizers' state into a folder that exists."""
        for name, table in self.model.tables.items():
            (folder / name).mkdir()
            table.save(folder / name)
        state = {
            "dense": self.model.dense.state_dict(),
            "adamw": self._dense.state_dict(),
            "losses": list(self._losses),
            "left_out": self._left_out,
            "batches": self.batches,
        }
        torch.save(state, folder / "learner.pt")

    def restore(self, folder: Path) -> None:
        """Goes on as if nothing had been between this and `save`. Raises Unreadable if that is damaged; then neither learner nor model are of use any more."""
        for name, table in self.model.tables.items():
            if not (folder / name).exists():  # a checkpoint of before there was such a table
                continue
            with reading(folder / name):
                restored = IdTable.load(folder / name)
            table.__dict__.update(restored.__dict__)  # the model and the optimizer hold the table itself
        with reading(folder / "learner.pt"):
            state = load_tensors(folder / "learner.pt")
            self.model.dense.load_state_dict(state["dense"])
            self._dense.load_state_dict(state["adamw"])
            self._losses = deque(state["losses"], maxlen=_LOSSES)
            self._left_out, self.batches = state["left_out"], state["batches"]
        self._sent = {name: table.edition for name, table in self.model.tables.items()}

    def _step(self, losses: Tensor) -> None:
        _backward(losses)
        for weight in self._weights:
            if weight.grad is not None:
                weight.grad /= len(losses)
        nn.utils.clip_grad_norm_(self._weights, _LONGEST_STEP)
        self._dense.step()
        for rows in self._rows.values():
            rows.step()
        self._forget_gradients()

    def _forget_gathered(self) -> None:
        for rows in self._rows.values():
            rows.step()  # without gradients it lets go of what was gathered

    def _forget_gradients(self) -> None:
        self._dense.zero_grad()


def _optimizer(name: str, table: IdTable, config: LearnerConfig) -> RowAdagrad:
    if name == USER:  # most users come with few outcomes: the first steps are as long as these are surprising, not all of one length
        return RowAdagrad(table, config.user_rate, epsilon=1.0)
    return RowAdagrad(table, config.row_rate)


def _backward(losses: Tensor) -> None:
    if losses.requires_grad:  # something is learned
        losses.sum().backward()  # a row takes a step of the same size however many others are in the batch
