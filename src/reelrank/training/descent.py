"""One step down a loss: the weights of a ranker, what moves them, and the running mean that is kept of them."""

from typing import Any

import torch
from torch import Tensor, nn

from reelrank.training.ranker_data import Trained

_LONGEST_STEP = 5.0  # norm of the gradient


class Descent:
    """The weights that learn, and beside them their mean over the steps."""

    def __init__(self, trained: Trained, id_rate: float = 1.0) -> None:
        """The rows of ids learn at `id_rate` times the rate of everything else."""
        self.weights = list(trained.network.parameters())
        self.averaged = [weight.detach().clone() for weight in self.weights]
        self._averaging = trained.settings.averaging
        self._optimizer = _optimizer(trained, id_rate)

    def step(self, loss: Tensor, learning_rate: float, steps: int) -> None:
        """Backward, and one step with the clipped gradient; `steps` were made before."""
        for group in self._optimizer.param_groups:
            group["lr"] = learning_rate * group["share"]
        self._optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(self.weights, _LONGEST_STEP)
        self._optimizer.step()
        keep = min(self._averaging, (2 + steps) / (11 + steps))  # what is random at first is soon forgotten
        with torch.no_grad():
            for mean, weight in zip(self.averaged, self.weights, strict=True):
                mean.lerp_(weight, 1 - keep)

    @torch.no_grad()
    def put(self, weights: list[Tensor]) -> None:
        """Gives the network these weights; the mean stays as it is."""
        for weight, value in zip(self.weights, weights, strict=True):
            weight.copy_(value)

    def state(self) -> dict[str, Any]:
        """All that it takes to go on from here."""
        return {"weights": [weight.detach() for weight in self.weights], "averaged": self.averaged, "optimizer": self._optimizer.state_dict()}

    def restore(self, state: dict[str, Any]) -> None:
        """Goes on from what `state` told."""
        self.put(state["weights"])
        self.averaged = state["averaged"]
        self._optimizer.load_state_dict(state["optimizer"])


def _optimizer(trained: Trained, id_rate: float) -> torch.optim.Optimizer:
    settings, ids = trained.settings, list(trained.vectors.tables.parameters())
    others = [weight for weight in trained.network.parameters() if not any(weight is row for row in ids)]
    groups = [
        {"params": ids, "weight_decay": settings.weight_decay, "share": id_rate},
        {"params": [weight for weight in others if weight.ndim >= 2], "weight_decay": settings.weight_decay, "share": 1.0},
        {"params": [weight for weight in others if weight.ndim < 2], "weight_decay": 0.0, "share": 1.0},
    ]
    return torch.optim.AdamW(groups, lr=settings.learning_rate)
