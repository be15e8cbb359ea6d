"""The peer SASRec (Kang & McAuley 2018) as its authors built it, trained with their loss or with the full softmax."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import msgspec
import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from reelrank.domain.arrays import Floats, Rows
from reelrank.models.losses import full_softmax


class SasrecConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The settings of the paper for sparse data; `loss` is "bce" (the paper's, one drawn negative) or "softmax"."""

    loss: str = "bce"
    width: int = 50
    blocks: int = 2
    heads: int = 1
    dropout: float = 0.5
    length: int = 50
    batch: int = 128
    learning_rate: float = 1e-3


class Sasrec(nn.Module):
    """Item and place embeddings, self-attention with normalised queries, point-wise feed-forward nets; items are scored by their embeddings."""

    def __init__(self, items: int, config: SasrecConfig) -> None:
        super().__init__()
        self.config = config
        width = config.width
        self.items, self.places = nn.Embedding(items + 1, width, padding_idx=items), nn.Embedding(config.length, width)
        nn.init.xavier_normal_(self.items.weight)
        nn.init.xavier_normal_(self.places.weight)
        with torch.no_grad():
            self.items.weight[items] = 0
        self.drop = nn.Dropout(config.dropout)
        blocks = range(config.blocks)
        self.query_norms, self.mixing_norms = (nn.ModuleList(nn.LayerNorm(width, eps=1e-8) for _ in blocks) for _ in range(2))
        self.attentions = nn.ModuleList(nn.MultiheadAttention(width, config.heads, config.dropout, batch_first=True) for _ in blocks)
        self.mixers = nn.ModuleList(
            nn.Sequential(nn.Linear(width, width), nn.Dropout(config.dropout), nn.ReLU(), nn.Linear(width, width), nn.Dropout(config.dropout)) for _ in blocks
        )
        self.last_norm = nn.LayerNorm(width, eps=1e-8)

    def forward(self, sequences: Tensor) -> Tensor:
        """(B, S) items, padded at the end with the number of items -> (B, S, width). A place counts from the newest item, as in the paper."""
        there = sequences < self.items.num_embeddings - 1
        places = self.config.length - there.sum(dim=1, keepdim=True) + torch.arange(sequences.shape[1])
        tokens = self.items(sequences) * math.sqrt(self.config.width) + self.places(places.clamp(max=self.config.length - 1))
        tokens = self.drop(tokens) * there[..., None]
        later = torch.ones(sequences.shape[1], sequences.shape[1], dtype=torch.bool).triu(1)
        for query_norm, attention, mixing_norm, mixer in zip(self.query_norms, self.attentions, self.mixing_norms, self.mixers, strict=True):
            queries = query_norm(tokens)
            tokens = mixing_norm(queries + attention(queries, tokens, tokens, attn_mask=later, need_weights=False)[0])
            tokens = (tokens + mixer(tokens)) * there[..., None]
        return self.last_norm(tokens)


@dataclass(slots=True)
class Trained:
    """A network on its way: `best` are the weights with the best quality so far."""

    config: SasrecConfig
    network: Sasrec
    optimizer: torch.optim.Optimizer
    rng: np.random.Generator
    best: dict[str, Tensor]
    quality: float = -np.inf
    epochs: int = 0
    stale: int = 0


def begin(items: int, config: SasrecConfig, seed: int) -> Trained:
    """A new network."""
    torch.manual_seed(seed)
    network = Sasrec(items, config)
    optimizer = torch.optim.Adam(network.parameters(), lr=config.learning_rate, betas=(0.9, 0.98))
    return Trained(config, network, optimizer, np.random.default_rng(seed), {})


def train(
    trained: Trained,
    rows: Rows,
    indptr: Rows,
    quality: Callable[[Sasrec], float],
    *,
    epochs: int,
    every: int = 5,
    patience: int = 3,
    on_progress: Callable[[int], None] = lambda _: None,
) -> Trained:
    """Trains on until `epochs` in all, or until `patience` evaluations, one after `every` epochs, brought nothing better.

    Sequence u is `rows[indptr[u] : indptr[u + 1]]`, oldest first; its last `length` + 1 items are learned.
    """
    while trained.epochs < epochs and trained.stale < patience:
        trained.network.train()
        for sequences in _batches(rows, indptr, trained):
            trained.optimizer.zero_grad(set_to_none=True)
            _loss(trained, torch.as_tensor(sequences)).backward()
            trained.optimizer.step()
        trained.epochs += 1
        on_progress(1)
        if trained.epochs % every == 0 or trained.epochs == epochs:
            reached = quality(trained.network.eval())
            trained.stale += 1
            if reached > trained.quality:
                trained.quality, trained.stale = reached, 0
                trained.best = {name: weights.clone() for name, weights in trained.network.state_dict().items()}
    return trained


def scores(network: Sasrec, rows: Rows, start: Rows, end: Rows) -> Floats:
    """What the network gives every item after the sequences `rows[start : end]` (n of them): (n, items)."""
    sequences = _padded(rows, np.maximum(start, end - network.config.length), end, network.items.num_embeddings - 1)
    with torch.inference_mode():
        network.eval()
        after = network(torch.as_tensor(sequences))[torch.arange(len(start)), torch.as_tensor(np.minimum(end - start, network.config.length) - 1)]
        return (after @ network.items.weight[:-1].T).numpy()


def _batches(rows: Rows, indptr: Rows, trained: Trained) -> Iterator[Rows]:
    """The sequences in random batches of about the same length, which pads little: (B, S)."""
    start, end = np.maximum(indptr[:-1], indptr[1:] - trained.config.length - 1), indptr[1:]
    long_enough = np.flatnonzero(end - start > 1)
    order = long_enough[np.argsort((end - start)[long_enough] + 4 * trained.rng.random(len(long_enough)), kind="stable")]
    some = np.array_split(order, max(1, len(order) // trained.config.batch))
    for place in trained.rng.permutation(len(some)):
        yield _padded(rows, start[some[place]], end[some[place]], trained.network.items.num_embeddings - 1)


def _loss(trained: Trained, sequences: Tensor) -> Tensor:
    network, nothing = trained.network, trained.network.items.num_embeddings - 1
    inputs, targets = sequences[:, :-1], sequences[:, 1:]
    real = targets < nothing
    users, wanted = network(inputs.where(real, nothing))[real], targets[real]
    if trained.config.loss == "softmax":
        return full_softmax(users, network.items.weight[:-1], wanted)
    drawn = torch.as_tensor(trained.rng.integers(nothing, size=len(wanted)))
    better, worse = (users * network.items(wanted)).sum(dim=1), (users * network.items(drawn)).sum(dim=1)
    return functional.softplus(-better).mean() + functional.softplus(worse).mean()


def _padded(rows: Rows, start: Rows, end: Rows, nothing: int) -> Rows:
    offsets = np.arange(int((end - start).max()))
    there = offsets < (end - start)[:, None]
    return np.where(there, rows[np.where(there, start[:, None] + offsets, start[:, None])], nothing)
