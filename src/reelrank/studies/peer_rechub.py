"""DIN and MMoE as torch-rechub has them, run by an interpreter of their own: `python peer_rechub.py JOB.npz ANSWER.npz`.

This file imports nothing of ours: Reelrank is not in its environment (scripts/peers). The job's arrays: `fields` (n, F) with the
`sizes` (F,) of their vocabularies, of which the columns `target` are looked for in `history` (n, L, T) of the same vocabularies, 0 for
nothing; `labels` (n, H) with nan where nobody knows, the last one a watch time; the rows `fit`, `held_out` and `test`; `model` and `seed`.
The answer: `predictions` (test, H), nan for what a model does not predict, `settings` and `epochs`.
"""

import json
import sys
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

_WIDTH, _BATCH, _MOST_EPOCHS = 8, 1024, 4
_SEARCHED = ({"rate": 1e-3, "dropout": 0.2}, {"rate": 3e-3, "dropout": 0.2})

Job = dict[str, Any]


def main(job_path: str, answer_path: str) -> None:
    """Chooses settings and epochs on the held-out rows, fits both kinds of rows with them, and predicts the test rows."""
    torch.set_num_threads(1)
    with np.load(job_path, allow_pickle=False) as arrays:
        job: Job = {name: arrays[name] for name in arrays.files}
    heads = range(job["labels"].shape[1])
    predictions = np.full((len(job["test"]), len(heads)), np.nan)
    told: list[dict[str, Any]] = []
    groups = [list(heads)] if str(job["model"]) == "mmoe" else [[head] for head in heads[:-1]]  # DIN learns one outcome, of yes or no
    settings: dict[str, float] | None = None
    for group in groups:
        tried = _SEARCHED if settings is None else (settings,)  # DIN's first outcome chooses for all
        losses = {place: _fitted(job, group, one, job["fit"], job["held_out"], _MOST_EPOCHS)[1] for place, one in enumerate(tried)}
        best = min(losses, key=lambda place: min(losses[place]))
        settings, epochs = tried[best], int(np.argmin(losses[best])) + 1
        model, _ = _fitted(job, group, settings, np.concatenate([job["fit"], job["held_out"]]), job["test"][:0], epochs)
        predictions[:, group] = _predicted(model, job, job["test"])
        told.append({"heads": group, **settings, "epochs": epochs, "held_out_loss": round(min(losses[best]), 5)})
    np.savez(answer_path, predictions=predictions, settings=np.array(json.dumps(told)))


def _fitted(job: Job, heads: list[int], settings: dict[str, float], rows: np.ndarray, held_out: np.ndarray, epochs: int) -> tuple[nn.Module, list[float]]:
    """A model after `epochs`, and its loss on the held-out rows after each of them; it stops when that rises."""
    seed = int(job["seed"])
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    model = _network(job, heads, settings)
    optimizer = torch.optim.Adam(model.parameters(), lr=settings["rate"], weight_decay=1e-6)
    labels = _targets(job["labels"][:, heads], watch_time=len(heads) > 1)
    losses: list[float] = []
    for _ in range(epochs):
        model.train()
        for some in _batches(rng.permutation(rows)):
            optimizer.zero_grad()
            _loss(model(_inputs(job, some)), labels[some]).backward()
            optimizer.step()
        if len(held_out):
            losses.append(float(_loss(_outputs(model, job, held_out), labels[held_out])))
            if losses[-1] > min(losses):
                break
    return model, losses


def _network(job: Job, heads: list[int], settings: dict[str, float]) -> nn.Module:
    from torch_rechub.basic.features import SequenceFeature, SparseFeature  # pyright: ignore[reportMissingImports]
    from torch_rechub.basic.initializers import RandomNormal  # pyright: ignore[reportMissingImports]
    from torch_rechub.models.multi_task import MMOE  # pyright: ignore[reportMissingImports]
    from torch_rechub.models.ranking import DIN  # pyright: ignore[reportMissingImports]

    begin = RandomNormal(0, 0.01)
    fields = [SparseFeature(f"field{place}", int(size), _WIDTH, initializer=begin) for place, size in enumerate(job["sizes"])]
    mlp = {"dims": [192, 96], "dropout": settings["dropout"]}
    if len(heads) > 1:
        tasks = ["classification"] * (len(heads) - 1) + ["regression"]
        return MMOE(fields, tasks, 4, {**mlp, "activation": "relu"}, [{"dims": [32]} for _ in heads])
    targets = [int(place) for place in job["target"]]
    history = [
        SequenceFeature(f"past{place}", int(job["sizes"][place]), _WIDTH, pooling="concat", shared_with=f"field{place}", padding_idx=0) for place in targets
    ]
    rest = [field for place, field in enumerate(fields) if place not in targets]
    return DIN(rest, history, [fields[place] for place in targets], mlp, {"dims": [32]})


def _inputs(job: Job, rows: np.ndarray) -> dict[str, Tensor]:
    inputs = {f"field{place}": torch.from_numpy(column) for place, column in enumerate(np.ascontiguousarray(job["fields"][rows].T))}
    for at, place in enumerate(job["target"]):
        inputs[f"past{int(place)}"] = torch.from_numpy(np.ascontiguousarray(job["history"][rows, :, at]))
    return inputs


def _targets(labels: np.ndarray, watch_time: bool) -> Tensor:
    """What is learned: outcomes as they are, a watch time as the logarithm of 1 + seconds."""
    wanted = labels.astype(np.float32)
    if watch_time:
        wanted[:, -1] = np.log1p(wanted[:, -1])
    return torch.from_numpy(wanted)


def _loss(outputs: Tensor, wanted: Tensor) -> Tensor:
    """Cross entropy of the outcomes and half the squared error of the logarithm of the watch time, over what is known."""
    outputs = outputs.reshape(wanted.shape)
    known = ~torch.isnan(wanted)
    total = torch.zeros(())
    for head in range(wanted.shape[1]):
        output, target = outputs[known[:, head], head], wanted[known[:, head], head]
        is_time = wanted.shape[1] > 1 and head == wanted.shape[1] - 1
        total = total + (0.5 * nn.functional.mse_loss(output, target) if is_time else nn.functional.binary_cross_entropy(output, target))
    return total


def _outputs(model: nn.Module, job: Job, rows: np.ndarray) -> Tensor:
    model.eval()
    with torch.no_grad():
        return torch.cat([model(_inputs(job, some)).reshape(len(some), -1) for some in _batches(rows)])


def _predicted(model: nn.Module, job: Job, rows: np.ndarray) -> np.ndarray:
    """Probabilities, and the watch time in seconds: (rows, heads of this model)."""
    found = _outputs(model, job, rows).numpy().astype(np.float64)
    if found.shape[1] > 1:
        found[:, -1] = np.expm1(np.maximum(found[:, -1], 0.0))
    return found


def _batches(rows: np.ndarray) -> Iterator[np.ndarray]:
    return (rows[start : start + _BATCH] for start in range(0, len(rows), _BATCH))


if __name__ == "__main__":
    main(*sys.argv[1:])
