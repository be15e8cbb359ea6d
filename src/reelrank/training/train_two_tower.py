"""Trains the two towers: histories → windows → batches → towers → fit → evaluate; whatever stops it, it goes on where it was."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from reelrank.domain.arrays import Floats, Rows
from reelrank.features.tokens import Tokens
from reelrank.models.losses import full_softmax, sampled_softmax
from reelrank.models.two_tower import TwoTower, TwoTowerConfig, VideoFeatures
from reelrank.training.examples import TrainingSet
from reelrank.training.later_watches import LaterWatches
from reelrank.training.negatives import MixedNegatives, next_positives, skipped_nearby
from reelrank.training.token_windows import Windows, batches, histories, padded, windows
from reelrank.training.training_run import TrainingRun

_CHECKPOINT_STEPS = 200  # what a kill costs at most
_NOTED_STEPS = 20  # between two points of the curve of the loss
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


def train(
    examples: TrainingSet,
    validate_from: float,
    *,
    network: TwoTowerConfig | None = None,
    training: TwoTowerTraining | None = None,
    folder: Path | None = None,
    on_progress: Callable[[int], None] = lambda _: None,
) -> tuple[TwoTower, float]:
    """The towers learned from what was known before `validate_from` (UTC seconds), and their recall@100 of the long views after it.

    A long view counts if the user had not had that video on screen before.
    """
    training = training or TwoTowerTraining()
    later = LaterWatches.of(examples.tokens, validate_from)
    if len(later.user) == 0:
        raise ValueError(f"nobody watched a new video long after {validate_from:.0f}, so towers can't be chosen; validate from an earlier moment")
    known, traits = later.before, examples.traits
    targets = next_positives(known.video, known.actions, known.start)
    hard = skipped_nearby(known.video, known.actions, known.start, targets)

    def quality(towers: TwoTower) -> float:
        users = user_vectors(towers, known, later.user, known.start[later.user + 1], training.window)
        return later.recall(users, video_vectors(towers), 100)

    features = VideoFeatures(traits.author, traits.sound, traits.tags, traits.content)
    towers = fit(known, targets, features, quality, hard=hard, network=network, training=training, folder=folder, on_progress=on_progress)
    return towers, quality(towers)


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
    training, network = training or TwoTowerTraining(), network or TwoTowerConfig()
    cut = windows(tokens.start, targets, training.window)
    if len(cut) == 0:
        raise ValueError("no history has a watch that could be predicted from the ones before it; gather more of them")
    draw = MixedNegatives.of(targets[targets >= 0], len(features), training.batch, training.uniform_negatives)
    lessons = _Lessons(tokens, targets, hard, cut, draw, training)
    made_of = {"network": msgspec.to_builtins(network), "training": msgspec.to_builtins(training), "videos": len(features), "tokens": len(tokens.video)}
    with torch.random.fork_rng(devices=[]), TrainingRun(folder, made_of) as run:
        torch.manual_seed(training.seed)
        towers = TwoTower(features, network)
        towers.video_tower.describe(features, _watched(tokens, targets, len(features)))
        optimizer = torch.optim.AdamW(towers.parameters(), lr=training.learning_rate, weight_decay=training.weight_decay)
        position: dict[str, Any] = {"epoch": 0, "batch": 0, "step": 0, "stale": 0, "quality": -np.inf, "best": _copy(towers)}
        if (kept := run.resume()) is not None:
            position = kept["position"]
            towers.load_state_dict(kept["towers"])
            optimizer.load_state_dict(kept["optimizer"])

        while position["epoch"] < training.epochs and position["stale"] < training.patience:
            for loss in _epoch(towers, optimizer, lessons, position):
                on_progress(1)
                if position["step"] % _NOTED_STEPS == 0:
                    run.note("loss", position["step"], loss)
                if position["step"] % _CHECKPOINT_STEPS == 0:
                    run.checkpoint(_state(towers, optimizer, position))
            position |= {"epoch": position["epoch"] + 1, "batch": 0}
            if position["epoch"] % training.evaluate_every == 0 or position["epoch"] == training.epochs:
                _judge(towers, quality, position, run)
            run.checkpoint(_state(towers, optimizer, position))
        run.draw()
        towers.load_state_dict(position["best"])
        return towers.eval()


@dataclass(frozen=True, slots=True)
class _Lessons:
    """What there is to learn."""

    tokens: Tokens
    targets: Rows  # (t,)
    hard: Rows | None  # (t,)
    cut: Windows
    draw: MixedNegatives
    training: TwoTowerTraining


def _epoch(towers: TwoTower, optimizer: torch.optim.Optimizer, lessons: _Lessons, position: dict[str, Any]) -> Iterator[float]:
    """Learns from every window once, from the batch on that `position` names; yields the loss of each step."""
    towers.train()
    seeds = [lessons.training.seed, position["epoch"]]
    order = batches(lessons.cut, lessons.training.batch, np.random.default_rng(seeds))
    for place in range(position["batch"], len(order)):
        loss = _loss(towers, lessons, order[place], np.random.default_rng([*seeds, place]))
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        position |= {"batch": place + 1, "step": position["step"] + 1}
        yield float(loss.detach())


def _loss(towers: TwoTower, lessons: _Lessons, which: Rows, rng: np.random.Generator) -> torch.Tensor:
    """The loss of the windows `which`: p targets told from all videos or from drawn ones, and from those that were skipped."""
    cut, draw, training = lessons.cut, lessons.draw, lessons.training
    batch = histories(lessons.tokens, cut.start[which], cut.end[which])  # (B, S)
    places, there = padded(cut.start[which], cut.end[which])
    learns = there & (places >= cut.learn[which][:, None]) & (lessons.targets[places] >= 0)  # (B, S)
    positives = lessons.targets[places][learns]  # (p,)
    skipped = lessons.hard[places][learns] if lessons.hard is not None and training.hard_weight else np.full(len(positives), -1)

    full = draw.videos <= training.full_softmax_videos
    negatives = np.arange(draw.videos) if full else draw.draw(positives, rng)
    tokens = batch.video.numpy()
    rows = negatives if full else np.unique(np.concatenate([tokens.ravel().clip(min=0), negatives, skipped.clip(min=0)]))  # all that this step needs
    plain = towers.video_tower(torch.as_tensor(rows))  # (n, d)
    videos = towers.aligned(plain)
    users = towers.users(plain, _places(rows, tokens), batch)[torch.as_tensor(learns)]  # (p, d)
    own = _places(rows, positives)
    if full:
        loss = full_softmax(users, videos, own)
    else:
        chances = torch.as_tensor(draw.log_chances)
        same = torch.as_tensor(positives[:, None] == negatives)
        loss = sampled_softmax(users, videos[own], videos[_places(rows, negatives)], chances[negatives], chances[positives], same)
    if (given := torch.as_tensor(skipped >= 0)).any():
        margin = (users * (videos[own] - videos[_places(rows, skipped).clamp(min=0)])).sum(dim=1)[given]
        loss = loss + training.hard_weight * functional.softplus(-margin).mean()
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
