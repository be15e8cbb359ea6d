"""Writes trained towers as an artifact that serves without torch: tables for videos, an ONNX graph for users."""

import warnings
from pathlib import Path

import msgspec
import numpy as np
import torch
from torch import Tensor, nn

from reelrank.models.tower_session import FORMAT, TowerManifest
from reelrank.models.two_tower import Histories, TwoTower

_OPSET = 18  # the first with bitwise operators, which take the actions apart


def export(towers: TwoTower, window: int, folder: Path) -> None:
    """Writes the artifact into `folder`; `window` is how many tokens the towers were trained to read."""
    folder.mkdir(parents=True, exist_ok=True)
    videos = towers.video_tower
    np.save(folder / "ids.npy", _array(videos.ids.weight))
    np.save(folder / "known.npy", videos.known.numpy())
    for name, table in videos.tables.items():
        np.save(folder / f"{name}.npy", _array(table.weight))  # pyright: ignore[reportArgumentType]
    width = videos.ids.weight.shape[1]
    np.save(folder / "content.npy", np.zeros((0, width), dtype=np.float32) if videos.content is None else np.ascontiguousarray(_array(videos.content.weight).T))
    _graph(_LastUser(towers).eval(), width, folder / "user_tower.onnx")
    manifest = TowerManifest(format=FORMAT, window=window, temperature=towers.config.temperature)
    (folder / "two_tower.json").write_bytes(msgspec.json.format(msgspec.json.encode(manifest)))  # last: it seals the folder


class _LastUser(nn.Module):
    """A user after the last token of a history."""

    def __init__(self, towers: TwoTower) -> None:
        super().__init__()
        self.towers = towers

    def forward(self, videos: Tensor, actions: Tensor, completion: Tensor, gap_s: Tensor) -> Tensor:
        """(1, S, d), (1, S) three times → (1, d)."""
        histories = Histories(torch.zeros_like(actions), actions, completion, gap_s)
        return self.towers.aligned(self.towers.user_tower(videos, histories)[:, -1])


def _graph(module: nn.Module, width: int, path: Path) -> None:
    names = ("videos", "actions", "completion", "gap_s")
    example = (torch.zeros(1, 4, width), torch.zeros(1, 4, dtype=torch.uint8), torch.zeros(1, 4), torch.zeros(1, 4))
    axes = {name: {1: "tokens"} for name in names}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter warns of what it always does
        torch.onnx.export(module, example, str(path), input_names=list(names), output_names=["user"], dynamic_axes=axes, opset_version=_OPSET, dynamo=False)


def _array(weight: Tensor) -> np.ndarray:
    return weight.detach().numpy().copy()
