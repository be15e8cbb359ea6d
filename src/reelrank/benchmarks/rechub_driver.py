"""HSTU and DIN as torch-rechub has them, one training step whenever it is asked for: `python rechub_driver.py JOB.npz`.

This file imports nothing of ours: Reelrank is not in its environment (scripts/peers). It says `ready`, then reads lines such as
`hstu 3` and answers each with the processor seconds of one step over batch 3. Of each batch the job has `past` (n, s) places of
videos, oldest first and 0 before the first, `ago_s` (n, s), `video` (n,), `fields` (n, F) and `labels` (n, H); and for all of them
the `author` (V + 1,) of a place, the `sizes` (F,) of the fields' vocabularies, and `settings` as JSON.

HSTU (Zhai et al. 2024) reads the history and the video that was served as its last token, and says there what came of it: no softmax
over the catalogue. DIN (Zhou et al. 2018) says the first outcome. Both take a batch in slices of rows that are about as long as each
other, filled up to the longest, and make one step with the sum of their gradients: on a processor that is faster than all at once.
"""

import json
import sys
import time
from abc import ABC, abstractmethod
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

_FIELD_WIDTH = 4  # of a dense input that was cut into buckets
_AT_ONCE = {"hstu": 64, "din": 256}  # rows of a slice

Slice = dict[str, Tensor]


def main(path: str) -> None:
    """Answers until nobody asks."""
    torch.set_num_threads(1)
    with np.load(path, allow_pickle=False) as job:
        settings = json.loads(str(job["settings"]))
        sides = {"hstu": _Hstu(settings), "din": _Din(settings, job["sizes"], torch.from_numpy(job["author"]))}
        batches = [{name: job[f"{name}{number}"] for name in ("past", "ago_s", "video", "fields", "labels")} for number in range(settings["batches"])]
    slices = {side: [_slices(batch, rows) for batch in batches] for side, rows in _AT_ONCE.items()}
    print("ready", flush=True)
    for line in sys.stdin:
        side, number = line.split()
        began = time.process_time()
        sides[side].step(slices[side][int(number)])
        print(time.process_time() - began, flush=True)


class _Side(nn.Module, ABC):
    """A network and what moves its weights."""

    def learns(self, settings: dict[str, Any]) -> None:
        self.optimizer = torch.optim.AdamW(self.parameters(), lr=settings["learning_rate"], weight_decay=settings["weight_decay"])
        self.train()

    def step(self, slices: list[Slice]) -> None:
        self.optimizer.zero_grad()
        rows = sum(len(some["video"]) for some in slices)
        for some in slices:
            (self.loss(some) * (len(some["video"]) / rows)).backward()
        self.optimizer.step()

    @abstractmethod
    def loss(self, some: Slice) -> Tensor:
        """The mean over the rows."""


class _Hstu(_Side):
    def __init__(self, settings: dict[str, Any]) -> None:
        from torch_rechub.models.generative.hstu import HSTUModel  # pyright: ignore[reportMissingImports]

        super().__init__()
        width, heads = settings["width"], settings["attention_heads"]
        self.network = HSTUModel(
            vocab_size=settings["videos"] + 1, d_model=width, n_heads=heads, n_layers=settings["layers"], dqk=width // heads, dv=width // heads,
            max_seq_len=settings["longest"] + 1, dropout=settings["dropout"], time_bucket_fn="log", tie_embeddings=False,
        )  # fmt: skip
        self.network.output_projection = nn.Linear(width, settings["outcomes"])
        self.learns(settings)

    def loss(self, some: Slice) -> Tensor:
        tokens = torch.cat([some["past"], some["video"][:, None]], 1)
        logits = self.network(tokens, nn.functional.pad(some["ago_s"], (0, 1)))[:, -1]
        return nn.functional.binary_cross_entropy_with_logits(logits, some["labels"])


class _Din(_Side):
    def __init__(self, settings: dict[str, Any], sizes: np.ndarray, author: Tensor) -> None:
        from torch_rechub.basic.features import SequenceFeature, SparseFeature  # pyright: ignore[reportMissingImports]
        from torch_rechub.models.ranking import DIN  # pyright: ignore[reportMissingImports]

        super().__init__()
        self._author = author
        vocabularies = {"video": settings["videos"] + 1, "author": int(author.max()) + 1}
        width = settings["width"]
        target = [SparseFeature(name, size, width) for name, size in vocabularies.items()]
        past = [SequenceFeature(f"past_{name}", size, width, pooling="concat", shared_with=name, padding_idx=0) for name, size in vocabularies.items()]
        fields = [SparseFeature(f"field{place}", int(size), _FIELD_WIDTH) for place, size in enumerate(sizes)]
        mlp = {"dims": [2 * settings["hidden"], settings["hidden"]], "dropout": settings["dropout"]}
        self.network = DIN(fields, past, target, mlp, {"dims": [width]})
        self.learns(settings)

    def loss(self, some: Slice) -> Tensor:
        inputs = {f"field{place}": column for place, column in enumerate(some["fields"].unbind(1))}
        for name, videos in (("", some["video"]), ("past_", some["past"])):
            inputs |= {f"{name}video": videos, f"{name}author": self._author[videos]}
        return nn.functional.binary_cross_entropy(self.network(inputs), some["labels"][:, 0])


def _slices(batch: dict[str, np.ndarray], rows: int) -> list[Slice]:
    """The rows by length, each slice without what is empty in all of it."""
    lengths = (batch["past"] > 0).sum(1)
    order, slices = np.argsort(lengths, kind="stable"), []
    for some in (order[start : start + rows] for start in range(0, len(order), rows)):
        longest = max(1, int(lengths[some].max()))
        cut = {name: values[some][:, -longest:] if name in ("past", "ago_s") else values[some] for name, values in batch.items()}
        slices.append({name: torch.from_numpy(np.ascontiguousarray(values)) for name, values in cut.items()})
    return slices


if __name__ == "__main__":
    main(*sys.argv[1:])
