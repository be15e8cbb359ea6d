"""Trains LightGCN with a sampled softmax until validation no longer gains."""

from collections.abc import Callable
from typing import NamedTuple

import msgspec
import numpy as np
import torch
from scipy.sparse import csr_array
from torch.nn import functional

from reelrank.domain.arrays import Floats
from reelrank.models.edges import owners, size
from reelrank.models.lightgcn import LightGcn
from reelrank.training.choose_filter import best, quality

_JUDGES = 2_000  # users that validation is measured on, at most
_BLOCK = 500


class LightGcnConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Size and pace of a training."""

    width: int = 64
    layers: int = 3
    batch: int = 4_096
    negatives: int = 1_024  # shared by a batch, every video as likely: popularity is part of what is learnt
    temperature: float = 0.15  # of the cosines; the lower, the more the hardest negatives count
    learning_rate: float = 0.005
    weight_decay: float = 1e-6
    epochs: int = 60  # at most
    every: int = 3  # epochs between two looks at validation
    patience: int = 3  # looks without a gain


class Trained(NamedTuple):
    """Vectors of unit length times a vector's length that orders videos for a user: scores are products."""

    users: Floats  # (u, width)
    videos: Floats  # (v, width)
    epochs: int  # after which validation was best, or all


def train(
    watched: csr_array,
    config: LightGcnConfig,
    seed: int,
    wanted: csr_array | None = None,
    epochs: int | None = None,
    content: Floats | None = None,
    on_progress: Callable[[int], None] | None = None,
) -> Trained:
    """Learns from `watched` (users, videos), amounts above 0; keeps the epoch whose lists find most of `wanted` (users, videos).

    The loss is the sampled softmax over cosines (Wu et al. 2022), each pair drawn once an epoch, weighing its amount.
    Without `wanted` it runs for `epochs`. `on_progress` hears 1 after each epoch.
    """
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    model = LightGcn(watched, config.width, config.layers, content)
    optimizer = torch.optim.Adam(model.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay)
    users = owners(watched)
    videos, amounts = watched.indices.astype(np.int64), torch.from_numpy(watched.data.astype(np.float32))
    kept, highest, waited = _vectors(model, 0), -1.0, 0
    for epoch in range(1, (epochs or config.epochs) + 1):
        order = rng.permutation(len(users))
        for at in range(0, len(order), config.batch):
            pairs = order[at : at + config.batch]
            negatives = torch.from_numpy(rng.integers(size(watched)[1], size=config.negatives))
            all_users, all_videos = (functional.normalize(vectors) for vectors in model())
            asked, found = all_users[torch.from_numpy(users[pairs])], torch.from_numpy(videos[pairs])
            right = (asked * all_videos[found]).sum(dim=1, keepdim=True)  # (pairs, 1)
            wrong = asked @ all_videos[negatives].T  # (pairs, negatives)
            wrong = wrong.masked_fill(found[:, None] == negatives[None, :], -torch.inf)
            losses = -functional.log_softmax(torch.cat([right, wrong], dim=1) / config.temperature, dim=1)[:, 0]
            weights = amounts[torch.from_numpy(pairs)]
            optimizer.zero_grad()
            ((losses * weights).sum() / weights.sum()).backward()
            optimizer.step()
        if on_progress:
            on_progress(1)
        if wanted is not None and epoch % config.every == 0:
            trained = _vectors(model, epoch)
            value = _value(trained, watched, wanted, seed)
            if value > highest:
                kept, highest, waited = trained, value, 0
            else:
                waited += 1
            if waited == config.patience:
                break
    return kept if wanted is not None else _vectors(model, epochs or config.epochs)


def _vectors(model: LightGcn, epoch: int) -> Trained:
    with torch.no_grad():
        users, videos = model()
        return Trained(functional.normalize(users).numpy(), functional.normalize(videos).numpy(), epoch)


def _value(trained: Trained, watched: csr_array, wanted: csr_array, seed: int) -> float:
    """√(recall · NDCG) on a seeded sample of the users with something to be found."""
    users = np.random.default_rng(seed).permutation(np.flatnonzero(np.diff(wanted.indptr)))[:_JUDGES]
    blocks = [users[at : at + _BLOCK] for at in range(0, len(users), _BLOCK)]
    lists = np.concatenate([best(trained.users[block] @ trained.videos.T, watched[block]) for block in blocks])
    recall, ndcg = quality(lists, wanted[users])
    return float(recall.mean() * ndcg.mean()) ** 0.5
