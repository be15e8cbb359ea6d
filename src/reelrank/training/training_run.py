"""A training run on disk: a checkpoint that survives `kill -9`, event files for TensorBoard, and a picture of the run."""

import math
import os
from pathlib import Path
from types import TracebackType
from typing import Any

import torch

_CHECKPOINT = "checkpoint.pt"


class TrainingRun:
    """The folder of one run, and what the run is `made_of`: its settings. Without a folder nothing is written, and nothing is resumed."""

    def __init__(self, folder: Path | None, made_of: dict[str, Any]) -> None:
        self.folder, self.made_of = folder, made_of
        self.curves: dict[str, list[tuple[int, float]]] = {}  # by name, (step, value)
        self._events: Any = None

    def __enter__(self) -> "TrainingRun":
        if self.folder is not None:
            from tensorboardX import SummaryWriter

            self.folder.mkdir(parents=True, exist_ok=True)
            self._events = SummaryWriter(str(self.folder), write_to_disk=True)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._events is not None:
            self._events.close()

    def resume(self) -> dict[str, Any] | None:
        """What the last `checkpoint` was given, or None in a new run. Raises ValueError if that run had other settings."""
        if self.folder is None or not (self.folder / _CHECKPOINT).exists():
            return None
        kept = torch.load(self.folder / _CHECKPOINT, weights_only=True)
        if kept["made_of"] != self.made_of:
            raise ValueError(f"the run in {self.folder} was of {kept['made_of']}, this one is of {self.made_of}; take another folder, or remove that one")
        self.curves = {name: [tuple(point) for point in points] for name, points in kept["curves"].items()}
        torch.set_rng_state(kept["chance"])
        return kept["state"]

    def checkpoint(self, state: dict[str, Any]) -> None:
        """Keeps `state` (tensors, numbers, strings, lists and dicts of them) and torch's chance, all of it or nothing."""
        if self.folder is None:
            return
        unfinished = self.folder / f"{_CHECKPOINT}.unfinished"
        with unfinished.open("wb") as file:
            torch.save({"state": state, "made_of": self.made_of, "curves": self.curves, "chance": torch.get_rng_state()}, file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(unfinished, self.folder / _CHECKPOINT)

    def note(self, name: str, step: int, value: float) -> None:
        """One point of a curve; where there is no number, none."""
        if not math.isfinite(value):
            return
        self.curves.setdefault(name, []).append((step, value))
        if self._events is not None:
            self._events.add_scalar(name, value, step)

    def draw(self) -> Path | None:
        """Draws every curve over the steps into `run.png`."""
        if self.folder is None or not self.curves:
            return None
        from matplotlib.figure import Figure

        figure = Figure(figsize=(7, 2.4 * len(self.curves)), layout="constrained")
        for place, (name, points) in enumerate(self.curves.items(), start=1):
            axes = figure.add_subplot(len(self.curves), 1, place)
            axes.plot(*zip(*points, strict=True), marker=".", color="#00897b")
            axes.set(title=name, xlabel="step")
            axes.grid(alpha=0.3)
        figure.savefig(self.folder / "run.png", dpi=110)
        return self.folder / "run.png"
