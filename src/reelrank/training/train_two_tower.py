"""Trains the two towers: histories → windows → batches → towers → fit → evaluate; whatever stops it, it goes on where it was."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from reelrank.features.tokens import Tokens
from reelrank.models.losses import full_softmax, sampled_softmax
from reelrank.models.two_tower import TwoTower, TwoTowerConfig, VideoFeatures
from reelrank.training.negatives import MixedNegatives
from reelrank.training.token_windows import Windows, batches, histories, padded, windows
from reelrank.training.training_run import TrainingRun

Rows = NDArray[np.int64]
Floats = NDArray[np.float32]

_CHECKPOINT_STEPS = 200  # what a kill costs at most
_ENCODED = 512  # histories encoded at a time


class TwoTowerTraining(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How the towers are trained."""

    epochs: int = 40  # at most
    patience: int = 3  # evaluations without a better one, then it stops
    evaluate_every: int = 2  # epochs
    batch: int = 256  # windows
    window: int = 64  # tokens that are read at once
    learning_rate: float = 1e-3
    weight_decay: float = 0.0
    full_softmax_videos: int = 50_000  # up to so many videos are all told apart in every step; beyond, drawn ones
    uniform_negatives: int = 2_048  # drawn beside those of the batch
    hard_weight: float = 0.0  # what telling the target from a skipped video counts beside the softmax
    seed: int = 0


def fit(
    tokens: Tokens,
    targets: Rows,
    features: VideoFeatures,
    quality: Callable[[TwoTower], float],
    *,
    hard: Rows | None = None,
    network: TwoTowerConfig | None = None,
    training: TwoTowerTraining | None = None,
    folder: Path | None = None,
    on_progress: Callable[[int], None] = lambda _: None,
) -> TwoTower:
    """The towers of the evaluation with the highest `quality`, which judges them on watches that `targets` leaves out.

    `targets` (t,) is the video to be predicted after each token, -1 for none (`negatives.next_positives`); `hard` (t,) a
    video that it is to be told from, -1 for none (`negatives.skipped_nearby`). With a `folder` the run is kept there, and
    called again with the same arguments it goes on at its last checkpoint, to the same weights bit by bit.
    """
    training = training or TwoTowerTraining()
    cut = windows(tokens.start, targets, training.window)
    if len(cut) == 0:
        raise ValueError("no history has a watch that could be predicted from the ones before it; gather more of them")
    with torch.random.fork_rng(devices=[]), TrainingRun(folder) as run:
        torch.manual_seed(training.seed)
        towers = TwoTower(features, network)
        towers.video_tower.describe(features, _watched(tokens, targets, len(features)))
        optimizer = torch.optim.AdamW(towers.parameters(), lr=training.learning_rate, weight_decay=training.weight_decay)
        position: dict[str, Any] = {"epoch": 0, "batch": 0, "step": 0, "stale": 0, "quality": -np.inf, "best": _copy(towers)}
        if (kept := run.resume()) is not None:
            position = kept["position"]
            towers.load_state_dict(kept["towers"])
            optimizer.load_state_dict(kept["optimizer"])

        draw = MixedNegatives.of(targets[targets >= 0], len(features), training.batch, training.uniform_negatives)
        while position["epoch"] < training.epochs and position["stale"] < training.patience:
            epoch = position["epoch"]
            for loss in _epoch(towers, optimizer, tokens, targets, hard, cut, draw, training, position):
                on_progress(1)
                if position["step"] % 20 == 0:
                    run.note("loss", position["step"], loss)
                if position["step"] % _CHECKPOINT_STEPS == 0:
                    run.checkpoint(_state(towers, optimizer, position))
            position |= {"epoch": epoch + 1, "batch": 0}
            if position["epoch"] % training.evaluate_every == 0 or position["epoch"] == training.epochs:
                _judge(towers, quality, position, run)
            run.checkpoint(_state(towers, optimizer, position))
        run.draw()
        towers.load_state_dict(position["best"])
        return towers.eval()


def _epoch(
    towers: TwoTower,
    optimizer: torch.optim.Optimizer,
    tokens: Tokens,
    targets: Rows,
    hard: Rows | None,
    cut: Windows,
    draw: MixedNegatives,
    training: TwoTowerTraining,
    position: dict[str, Any],
) -> Iterator[float]:
    """Learns from every window once, from the batch on that `position` names; yields the loss of each step."""
    towers.train()
    order = batches(cut, training.batch, np.random.default_rng([training.seed, position["epoch"]]))
    for place in range(position["batch"], len(order)):
        rng = np.random.default_rng([training.seed, position["epoch"], place])
        which = order[place]
        places, there = padded(cut.start[which], cut.end[which])
        wanted = np.where(there & (places >= cut.learn[which][:, None]), targets[places], -1)
        loss = _loss(towers, tokens, cut, which, wanted, None if hard is None else hard[places], draw, training, rng)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        position |= {"batch": place + 1, "step": position["step"] + 1}
        yield float(loss.detach())


def _loss(
    towers: TwoTower,
    tokens: Tokens,
    cut: Windows,
    which: Rows,
    wanted: Rows,
    hard: Rows | None,
    draw: MixedNegatives,
    training: TwoTowerTraining,
    rng: np.random.Generator,
) -> torch.Tensor:
    """The loss of the windows `which`, of which `wanted` (B, S) is to be predicted and not `hard` (B, S)."""
    batch = histories(tokens, cut.start[which], cut.end[which])
    learns = wanted >= 0
    positives = wanted[learns]
    full = draw.videos <= training.full_softmax_videos
    hard = hard[learns] if hard is not None and training.hard_weight else np.empty(0, dtype=np.int64)
    negatives = np.arange(draw.videos) if full else draw.draw(positives, rng)
    rows = negatives if full else np.unique(np.concatenate([batch.video.numpy().ravel().clip(min=0), negatives, hard.clip(min=0)]))
    plain = towers.video_tower(torch.as_tensor(rows))  # (n, d)
    videos = towers.aligned(plain)
    users = towers.users(plain, _places(rows, batch.video.numpy()), batch)[torch.as_tensor(learns)]  # (p, d)
    own = _places(rows, positives)
    if full:
        loss = full_softmax(users, videos, own)
    else:
        chances = torch.as_tensor(draw.log_chances)
        same = torch.as_tensor(positives[:, None] == negatives)
        loss = sampled_softmax(users, videos[own], videos[_places(rows, negatives)], chances[negatives], chances[positives], same)
    if (hard >= 0).any():
        given = torch.as_tensor(hard >= 0)
        better = (users * (videos[own] - videos[_places(rows, hard).clamp(min=0)])).sum(dim=1)[given]
        loss = loss + training.hard_weight * functional.softplus(-better).mean()
    return loss


def video_vectors(towers: TwoTower) -> Floats:
    """The vectors of all videos, as an index holds them: (m, d)."""
    with torch.inference_mode():
        towers.eval()
        return towers.aligned(towers.video_tower(torch.arange(len(towers.video_tower.known)))).numpy()


def user_vectors(towers: TwoTower, tokens: Tokens, owner: Rows, ends: Rows, window: int) -> Floats:
    """The vectors of users `owner` (n,) after the tokens before `ends` (n,) of their histories, of which the last `window` count: (n, d).

    A user without a token has the vector 0.
    """
    starts = np.maximum(tokens.start[owner], ends - window)
    vectors = np.zeros((len(owner), towers.config.width), dtype=np.float32)
    order = np.argsort(ends - starts, kind="stable")
    order = order[(ends - starts)[order] > 0]
    with torch.inference_mode():
        towers.eval()
        plain = towers.video_tower(torch.arange(len(towers.video_tower.known)))
        for first in range(0, len(order), _ENCODED):
            some = order[first : first + _ENCODED]
            batch = histories(tokens, starts[some], ends[some])
            after = towers.users(plain, batch.video, batch)  # (B, S, d)
            vectors[some] = after[torch.arange(len(some)), torch.as_tensor(ends[some] - starts[some] - 1)].numpy()
    return vectors


def _judge(towers: TwoTower, quality: Callable[[TwoTower], float], position: dict[str, Any], run: TrainingRun) -> None:
    reached = quality(towers.eval())
    run.note("quality", position["step"], reached)
    if reached > position["quality"]:
        position |= {"quality": reached, "best": _copy(towers), "stale": 0}
    else:
        position["stale"] += 1


def _state(towers: TwoTower, optimizer: torch.optim.Optimizer, position: dict[str, Any]) -> dict[str, Any]:
    return {"towers": towers.state_dict(), "optimizer": optimizer.state_dict(), "position": position}


def _copy(towers: TwoTower) -> dict[str, torch.Tensor]:
    return {name: weights.clone() for name, weights in towers.state_dict().items()}


def _watched(tokens: Tokens, targets: Rows, videos: int) -> NDArray[np.bool_]:
    """Which videos occur at all: of the others the id was never learned."""
    known = np.zeros(videos, dtype=np.bool_)
    known[tokens.video] = True
    known[targets[targets >= 0]] = True
    return known


def _places(rows: Rows, asked: Rows) -> torch.Tensor:
    """Where in the ascending `rows` the `asked` are, -1 for -1."""
    return torch.as_tensor(np.where(asked >= 0, np.searchsorted(rows, asked), -1))
