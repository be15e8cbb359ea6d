"""Peers of the ranker: DIN (Zhou et al. 2018) and MMoE (Ma et al. 2018) by torch-rechub, in an environment of their own, driven through files."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from reelrank.studies.peer_features import daily_features
from reelrank.studies.peer_lightgbm import HEADS, PeerMissing, late_of
from reelrank.training.examples import TrainingSet

Flags = NDArray[np.bool_]
Floats = NDArray[np.float64]
Codes = NDArray[np.int32]

_BUCKETS = 16  # that a number is cut into: torch-rechub's DIN takes nothing but categories
_HISTORY = 30  # latest watches of a user that DIN attends to
_DRIVER = Path(__file__).with_name("peer_rechub.py")
_LAST_LINES = 3  # of what a failed driver said


def din(training_set: TrainingSet, folder: Path, train: Flags, test: Flags, seed: int = 0) -> dict[str, Floats]:
    """A prediction of each head for the m test rows by one Deep Interest Network a head; it predicts no watch time. Raises PeerMissing."""
    found = _driven("din", training_set, folder, train, test, seed)
    return {head: found[head] for head in HEADS}


def mmoe(training_set: TrainingSet, folder: Path, train: Flags, test: Flags, seed: int = 0) -> dict[str, Floats]:
    """A prediction of each head and of `watch_s` for the m test rows by one mixture of experts with a gate for each. Raises PeerMissing."""
    return _driven("mmoe", training_set, folder, train, test, seed)


def interpreter() -> Path:
    """The Python that has torch-rechub: in $REELRANK_PEERS, else in .venv-peers beside the environment that this runs in. Raises PeerMissing."""
    home = Path(os.environ.get("REELRANK_PEERS") or Path(sys.prefix).with_name(".venv-peers")).absolute()
    python = home / "bin" / "python"
    if not python.exists():
        raise PeerMissing(f"torch-rechub has an environment of its own, and there is none at {home}: `make setup` or scripts/peers makes it")
    return python


def _driven(model: str, training_set: TrainingSet, folder: Path, train: Flags, test: Flags, seed: int) -> dict[str, Floats]:
    python = interpreter()
    late = late_of(training_set, train)
    fields, target = _fields(training_set, folder, train)
    job = {
        "model": np.array(model),
        "seed": np.array(seed),
        "fields": fields,
        "sizes": fields.max(axis=0) + 1,
        "target": np.array(target),
        "history": _histories(training_set),
        "labels": np.stack([*(training_set.examples.label(head) for head in HEADS), training_set.examples.watched_s], axis=1),
        "fit": np.flatnonzero(train & ~late),
        "held_out": np.flatnonzero(train & late),
        "test": np.flatnonzero(test),
    }
    job["sizes"][target] = np.maximum(job["sizes"][target], job["history"].reshape(-1, len(target)).max(axis=0, initial=0) + 1)
    with tempfile.TemporaryDirectory(prefix="reelrank-peer-") as scratch:
        question, answer = Path(scratch) / "job.npz", Path(scratch) / "answer.npz"
        np.savez(question, **job)
        environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}  # ours is for another interpreter
        done = subprocess.run([python, _DRIVER, question, answer], capture_output=True, text=True, check=False, env=environment)
        if done.returncode != 0:
            said, home = " ".join(done.stderr.strip().splitlines()[-_LAST_LINES:]), python.parent.parent
            raise PeerMissing(f"{model} failed in {home}: {said or f'exit code {done.returncode}'}; to install it anew: rm -r {home} && scripts/peers")
        with np.load(answer, allow_pickle=False) as arrays:
            predictions = arrays["predictions"]
    return dict(zip((*HEADS, "watch_s"), predictions.T, strict=True))


def _fields(training_set: TrainingSet, folder: Path, train: Flags) -> tuple[Codes, list[int]]:
    """What is known of each example, as categories: (n, F), 0 for unknown; and which columns a history has, too: video and author."""
    examples, traits = training_set.examples, training_set.traits
    video = examples.video
    ids = [video, traits.author[video], examples.user, traits.sound[video], traits.tags[video, 0], examples.surface]
    columns = [np.asarray(one) + 1 for one in ids]
    columns += [_bucket(values, train) for name, values in daily_features(folder).items() if name != "surface"]
    return np.stack(columns, axis=1).astype(np.int32), [0, 1]


def _bucket(values: NDArray[np.float32], train: Flags) -> NDArray[np.int64]:
    """Which of at most `_BUCKETS` equally full parts of the training rows each value falls into, from 1; 0 for nan."""
    known = values[train & ~np.isnan(values)]
    borders = np.unique(np.quantile(known, np.linspace(0, 1, _BUCKETS + 1)[1:-1])) if len(known) else np.empty(0)
    return np.where(np.isnan(values), 0, np.searchsorted(borders, values, side="right") + 1)


def _histories(training_set: TrainingSet) -> Codes:
    """Video and author of the latest that each user did before each example, oldest first, as in `_fields`: (n, _HISTORY, 2), 0 for nothing."""
    tokens = training_set.tokens
    ends = training_set.history_ends
    at = ends[:, None] - np.arange(_HISTORY, 0, -1)
    there = at >= tokens.start[training_set.examples.user][:, None]
    video = np.asarray(tokens.video)[np.where(there, at, 0)] if len(tokens.video) else np.zeros(at.shape, dtype=np.int64)
    author = training_set.traits.author[video]
    return np.where(there[:, :, None], np.stack([video, author], axis=2) + 1, 0).astype(np.int32)
