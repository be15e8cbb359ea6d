"""Writes a trained ranker as an artifact that serves without torch: two ONNX graphs, tables, statistics and what they mean."""

import warnings
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import torch
from torch import Tensor, nn

from reelrank.features.definitions import COLUMN, FEATURES, FEATURES_VERSION, SHARED
from reelrank.features.tokens import Action
from reelrank.models.ranker import Ranker
from reelrank.models.served_ranker import ServedCandidates, ServedHistory
from reelrank.models.sessions import FORMAT, Manifest
from reelrank.models.shifts import Shifts
from reelrank.models.video_tables import TableArrays
from reelrank.training.calibration import Calibration
from reelrank.training.ranker_data import Trained

_OPSET = 20


def export(trained: Trained, calibration: dict[str, Calibration], folder: Path, shifts: Shifts | None = None, **about: Any) -> None:
    """Writes the artifact into `folder`, with the `shifts` that were learned online; `about` is kept with it for people to read."""
    folder.mkdir(parents=True, exist_ok=True)
    ranker = trained.ranker.eval()
    _graph(ServedHistory(ranker), _history_example(ranker), folder / "history.onnx", _HISTORY_AXES, ("keys", "values"))
    _graph(ServedCandidates(ranker, SHARED), _candidates_example(ranker), folder / "candidates.onnx", _CANDIDATES_AXES, ("logits", "watch_s"))
    arrays_of(trained, shifts or Shifts.none(len(trained.heads))).save(folder)
    trained.dense.save(folder / "dense.npz")
    manifest = Manifest(
        format=FORMAT,
        features_version=FEATURES_VERSION,
        features=tuple(COLUMN),
        shared=tuple(FEATURES[place].name for place in SHARED),
        heads=trained.heads,
        settings=trained.settings,
        calibration={head: (of.scale, of.shift) for head, of in calibration.items()},
        about={**trained.metrics, **about},
    )
    (folder / "ranker.json").write_bytes(msgspec.json.format(msgspec.json.encode(manifest)))  # last: it seals the folder


def arrays_of(trained: Trained, shifts: Shifts) -> TableArrays:
    """The learned rows as NumPy arrays of their own."""
    rows = {name: table.get_parameter("weight").detach().numpy().copy() for name, table in trained.vectors.tables.items()}
    content = trained.vectors.content
    none = np.zeros((0, trained.settings.width), dtype=np.float32)
    return TableArrays(trained.admitted, rows, none if content is None else content.weight.detach().numpy().T.copy(), shifts)


_HISTORY_AXES = {
    "vectors": {0: "b", 1: "s"},
    "actions": {0: "b", 1: "s"},
    "buckets": {0: "b", 1: "s"},
    "ranks": {0: "b", 1: "s", 2: "all"},
    "past_keys": {1: "b", 3: "past"},
    "past_values": {1: "b", 3: "past"},
    "keys": {1: "b", 3: "s"},
    "values": {1: "b", 3: "s"},
}
_CANDIDATES_AXES = {
    "vectors": {0: "b", 1: "c"},
    "surface": {0: "b"},
    "shared": {1: "b"},
    "own": {1: "n"},
    "ranks": {0: "b", 2: "s"},
    "ages": {0: "b", 2: "s"},
    "keys": {1: "b", 3: "s"},
    "values": {1: "b", 3: "s"},
    "logits": {1: "n"},
    "watch_s": {1: "n"},
}


def _history_example(ranker: Ranker) -> tuple[Tensor, ...]:
    layers, heads, width = _sizes(ranker)
    past = torch.zeros(layers, 2, heads, 4, width // heads)
    return torch.zeros(2, 3, width), torch.zeros(2, 3, len(Action)), torch.zeros(2, 3, 3, dtype=torch.int64), torch.ones(2, 3, 7, dtype=torch.int64), past, past


def _candidates_example(ranker: Ranker) -> tuple[Tensor, ...]:
    layers, heads, width = _sizes(ranker)
    lags, of = torch.ones(2, 1, 3, dtype=torch.int64), torch.zeros(layers, 2, heads, 3, width // heads)
    surface, shared, own = torch.zeros(2, 1, dtype=torch.int64), torch.zeros(len(SHARED), 2), torch.zeros(ranker.features - len(SHARED), 10)
    return torch.zeros(2, 5, width), surface, shared, own, lags, lags, of, of


def _sizes(ranker: Ranker) -> tuple[int, int, int]:
    return ranker.settings.layers, ranker.settings.attention_heads, ranker.settings.width


def _graph(module: nn.Module, example: tuple[Tensor, ...], path: Path, axes: dict[str, dict[int, str]], outputs: tuple[str, ...]) -> None:
    module.eval()  # the exporter leaves it, and all that is in it, in the mode that it finds
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter warns of what it always does
        torch.onnx.export(
            module,
            example,
            str(path),
            input_names=[name for name in axes if name not in outputs],
            output_names=list(outputs),
            dynamic_axes=axes,
            opset_version=_OPSET,
            dynamo=False,
        )
