"""The weights of a ranker beside its artifact: what was exported can be learned on from."""

from pathlib import Path

import numpy as np
import torch

from reelrank.models.dense_inputs import DenseInputs
from reelrank.models.ranker import Ranker, VideoVectors
from reelrank.models.sessions import Manifest
from reelrank.models.video_tables import NAMES, TableArrays, rows_of
from reelrank.training.calibration import Calibration
from reelrank.training.ranker_data import Trained
from reelrank.training.unreadable import load_tensors, reading

_FILE = "network.pt"


def save_weights(trained: Trained, folder: Path) -> None:
    """Writes into the folder of its artifact what the graphs there were made of. Rows and content have files of their own."""
    torch.save(trained.ranker.state_dict(), folder / _FILE)


def load_trained(folder: Path) -> tuple[Trained, dict[str, Calibration]]:
    """The ranker of an artifact, and how its heads are calibrated. Raises Unreadable, which names the file that is damaged or was not kept."""
    with reading(folder / "ranker.json"):
        manifest = Manifest.load(folder)
    with reading(folder / "dense.npz"):
        inputs = DenseInputs.load(folder / "dense.npz")
    with reading(folder):
        admitted, rows, content, _ = TableArrays.load(folder)
    with reading(folder / _FILE):
        state = load_tensors(folder / _FILE)
        knots = torch.zeros(len(manifest.features), manifest.settings.bins + 1)
        ranker = Ranker(manifest.settings, manifest.heads, knots, torch.zeros_like(state["watch_time.thresholds_s"]))
        ranker.load_state_dict(state)
    vectors = VideoVectors(rows_of(admitted), len(content), manifest.settings.width)
    with torch.no_grad():
        for name in NAMES:
            vectors.tables[name].weight = torch.nn.Parameter(torch.from_numpy(np.array(rows[name])))
        if vectors.content is not None:
            vectors.content.weight.copy_(torch.from_numpy(content.T))
    calibration = {head: Calibration(*of) for head, of in manifest.calibration.items()}
    return Trained(manifest.settings, inputs, admitted, vectors, ranker), calibration
