"""Trains the ranker: examples → batches → network → fit → evaluate, from any kill to the same weights."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
import numpy as np
import torch
from torch import Tensor, nn

from reelrank.evaluation.prediction import auc
from reelrank.features.tokens import Action
from reelrank.models import dense_inputs, watch_time
from reelrank.models.dense_inputs import DenseInputs
from reelrank.models.ranker import CandidateTensors, Encoded, Ranker, TokenTensors, VideoVectors
from reelrank.models.ranker_inputs import NO_LAG, SURFACES, Floats, RankerSettings, VideoTraits
from reelrank.models.video_tables import Admitted, admit, rows_of
from reelrank.training.examples import HEADS, TrainingSet
from reelrank.training.ranker_batches import Batch, Batches, Row
from reelrank.training.ranker_losses import history_loss, order_loss, outcome_loss

OnProgress = Callable[[int], None]

_WARM_UP = 100  # steps in which the learning rate rises
_LAST_RATE = 0.1  # of the learning rate, at the end
_LONGEST_STEP = 5.0  # norm of the gradient
_CHECKPOINT_EVERY = 200  # steps
_LONG_VIEW = int(Action.LONG_VIEW).bit_length() - 1  # its column among the bits


@dataclass(slots=True)
class Trained:
    """A ranker that has learned, with all that it takes to use it."""

    settings: RankerSettings
    dense: DenseInputs
    admitted: Admitted
    vectors: VideoVectors
    ranker: Ranker
    epochs: int = 0
    metrics: dict[str, float] = field(default_factory=dict)

    @property
    def heads(self) -> tuple[str, ...]:
        return self.ranker.heads

    @property
    def network(self) -> nn.ModuleList:
        return nn.ModuleList([self.vectors, self.ranker])


class Data:
    """A training set as the network of `trained` reads it."""

    def __init__(self, data: TrainingSet, trained: Trained) -> None:
        examples, traits = data.examples, traits_of(data)
        self.trained = trained
        self.batches = Batches(data, trained.settings)
        self.dense = torch.from_numpy(trained.dense.transform(np.asarray(examples.features)))  # (n, F)
        self.labels = torch.from_numpy(np.stack([examples.label(head) for head in trained.heads], axis=1))  # (n, heads)
        self.watched_s = torch.from_numpy(np.array(examples.watched_s))
        self.served_at = torch.from_numpy(np.array(examples.served_at))
        self.surface = torch.from_numpy(np.minimum(examples.surface, SURFACES - 1))
        self.position = torch.zeros_like(self.surface)
        self.video = torch.from_numpy(np.array(examples.video))
        places = trained.admitted.places(np.arange(len(data.traits)), traits)
        self._places = {name: torch.from_numpy(np.ascontiguousarray(of)) for name, of in places._asdict().items()}
        self._content = torch.from_numpy(np.array(traits.content))

    def __len__(self) -> int:
        return len(self.video)

    def vectors(self, videos: Tensor) -> Tensor:
        """(…) dense rows → (…, d). While learning, some come without a row of their own."""
        places = {name: of[videos] for name, of in self._places.items()}
        if self.trained.vectors.training:
            places["video"] = places["video"] * (torch.rand(videos.shape) >= self.trained.settings.id_dropout)
        return self.trained.vectors(places, self._content[videos])

    def history(self, batch: Batch) -> tuple[Encoded, Tensor]:
        """The histories of a batch, and the vectors of their videos."""
        vectors = self.vectors(torch.from_numpy(batch.tokens.video))
        tokens = TokenTensors(vectors, torch.from_numpy(batch.tokens.actions), torch.from_numpy(batch.tokens.buckets))
        within = torch.zeros(1) if batch.within is None else torch.from_numpy(batch.within)
        return self.trained.ranker.encode(tokens, within), vectors

    def predict(self, batch: Batch) -> tuple[Tensor, Tensor, Tensor]:
        """Which examples (b, c), their logits (b, c, heads) and the watch time's (b, c, k)."""
        history, _ = self.history(batch)
        example = torch.from_numpy(batch.example).clamp(min=0)
        candidates = CandidateTensors(
            self.vectors(self.video[example]), self.surface[example], self.dense[example], torch.from_numpy(batch.ranks), torch.from_numpy(batch.ages)
        )
        return torch.from_numpy(batch.example), *self.trained.ranker(candidates, history, self.position[example])


def train(
    training_set: TrainingSet, validation: TrainingSet | None, settings: RankerSettings, seed: int, folder: Path, on_progress: OnProgress = lambda _: None,
) -> Trained:  # fmt: skip
    """Learns from the examples of `training_set` and stops where those of `validation` are predicted best; without them, at the end.

    What is learned until a kill lies in `folder`: called again with the same arguments, it ends with the same weights.
    """
    torch.manual_seed(seed)
    trained = begin(training_set, settings)
    data, judged = Data(training_set, trained), None if validation is None else Data(validation, trained)
    fit = Fit(trained, seed, folder / "checkpoint.pt", on_progress)
    past = data.batches.before_all()
    if past:
        fit.phase(
            "history", lambda rng: data.batches.plan(past, rng), lambda rows: _history(data, data.batches.batch(rows, within=True)), settings.pretrain_epochs
        )
    fit.phase(
        "examples", lambda rng: data.batches.plan(data.batches.rows, rng), lambda rows: _examples(data, data.batches.batch(rows)), settings.epochs, judged
    )
    fit.finish()
    return trained


def refit(chosen: Trained, training_set: TrainingSet, seed: int, folder: Path, on_progress: OnProgress = lambda _: None) -> Trained:
    """Learns from more examples for as many epochs as `chosen` did when it was judged best."""
    return train(training_set, None, msgspec.structs.replace(chosen.settings, epochs=chosen.epochs), seed, folder, on_progress)


def begin(training_set: TrainingSet, settings: RankerSettings) -> Trained:
    """An untrained ranker for what is in the examples."""
    examples, traits = training_set.examples, traits_of(training_set)
    heads = tuple(head for head in HEADS if np.isfinite(examples.label(head)).any())
    features = np.asarray(examples.features)
    scaled = dense_inputs.fit(features)
    sample = scaled.transform(features[:: max(1, len(features) // 50_000)])
    knots = np.quantile(sample, np.linspace(0, 1, settings.bins + 1), axis=0).T.astype(np.float32)  # (F, bins + 1)
    thresholds_s = watch_time.thresholds(np.asarray(examples.watched_s), settings.thresholds)
    admitted = admit(traits, np.bincount(training_set.tokens.video, minlength=len(training_set.traits)), settings.admit_after)
    vectors = VideoVectors(rows_of(admitted), traits.content.shape[1], settings.width)
    ranker = Ranker(settings, heads, torch.from_numpy(knots), torch.from_numpy(thresholds_s))
    rates = np.array([np.clip(np.nanmean(examples.label(head)), 1e-4, 1 - 1e-4) for head in heads])
    with torch.no_grad():
        ranker.prior.copy_(torch.from_numpy(np.log(rates / (1 - rates))))
    return Trained(settings, scaled, admitted, vectors, ranker)


def traits_of(data: TrainingSet) -> VideoTraits:
    """What the tables ask of each video."""
    traits = data.traits
    return VideoTraits(*(np.asarray(column) for column in (traits.author, traits.sound, traits.tags, traits.duration_s, traits.content)))


class Fit:
    """Goes through phases of epochs, step by step, and remembers how far it came."""

    def __init__(self, trained: Trained, seed: int, checkpoint: Path, on_progress: OnProgress) -> None:
        self._trained = trained
        self._seed = seed
        self._checkpoint = checkpoint
        self._on_progress = on_progress
        self._weights = list(trained.network.parameters())
        self._averaged = [weight.detach().clone() for weight in self._weights]
        self._best: list[Tensor] | None = None
        self.history: list[dict[str, float]] = []  # one line per judged epoch

    def phase(
        self, name: str, plan: Callable[[np.random.Generator], list[list[Row]]], loss: Callable[[list[Row]], Tensor], epochs: int, judged: Data | None = None
    ) -> None:
        """Some epochs with a fresh optimizer. With `judged`, the weights of its best epoch are kept and the first worse one is the last."""
        network, settings = self._trained.network, self._trained.settings
        optimizer = _optimizer(network, settings)
        for mean, weight in zip(self._averaged, self._weights, strict=True):
            mean.copy_(weight.detach())
        step = 0
        for epoch in range(epochs):
            batches = plan(np.random.default_rng([self._seed, len(name), epoch]))
            network.train()
            for rows in batches:
                for group in optimizer.param_groups:
                    group["lr"] = settings.learning_rate * min(1, (step + 1) / _WARM_UP) * (1 - (1 - _LAST_RATE) * step / (len(batches) * epochs))
                optimizer.zero_grad()
                loss(rows).backward()
                nn.utils.clip_grad_norm_(self._weights, _LONGEST_STEP)
                optimizer.step()
                step += 1
                self._average(min(settings.averaging, (1 + step) / (10 + step)))
                self._on_progress(1)
            if judged is not None and not self._better(judged):
                break

    @torch.no_grad()
    def _average(self, keep: float) -> None:
        torch._foreach_mul_(self._averaged, keep)
        torch._foreach_add_(self._averaged, [weight.detach() for weight in self._weights], alpha=1 - keep)

    def _better(self, judged: Data) -> bool:
        with self.averaged():
            metrics = evaluate(judged)
        self.history.append(metrics)
        if metrics["judged"] < max(line["judged"] for line in self.history):
            return False
        self._best = [mean.clone() for mean in self._averaged]
        self._trained.epochs, self._trained.metrics = len(self.history), metrics
        return True

    @contextmanager
    def averaged(self) -> Iterator[None]:
        """Meanwhile the network has the averaged weights."""
        kept = [weight.detach().clone() for weight in self._weights]
        self._put(self._averaged)
        yield
        self._put(kept)

    def finish(self) -> None:
        """Leaves the network with the best averaged weights."""
        self._put(self._best or self._averaged)
        self._trained.network.eval()

    @torch.no_grad()
    def _put(self, weights: list[Tensor]) -> None:
        for weight, value in zip(self._weights, weights, strict=True):
            weight.copy_(value)


@torch.no_grad()
def predict(data: Data) -> tuple[Floats, Floats]:
    """Logits (n, heads) and seconds (n,) for all examples."""
    network = data.trained.network.eval()
    logits, seconds = np.full((len(data), len(data.trained.heads)), np.nan, dtype=np.float32), np.full(len(data), np.nan, dtype=np.float32)
    for batch in data.batches.in_order():
        example, heads, watch = data.predict(batch)
        there = example >= 0
        logits[example[there]] = heads[there].numpy()
        seconds[example[there]] = data.trained.ranker.watch_time.seconds(watch[there]).numpy()
    del network
    return logits, seconds


def evaluate(data: Data) -> dict[str, float]:
    """AUC of each head, and their mean over those that are not rare: `judged`."""
    logits, seconds = predict(data)
    labels = data.labels.numpy()
    metrics = {}
    for place, head in enumerate(data.trained.heads):
        known = np.isfinite(labels[:, place])
        metrics[f"auc_{head}"] = auc(labels[known, place] > 0, logits[known, place].astype(np.float64))
    common = [head for place, head in enumerate(data.trained.heads) if np.nanmean(labels[:, place]) > 0.2]
    metrics["judged"] = float(np.mean([metrics[f"auc_{head}"] for head in common or data.trained.heads]))
    known = np.isfinite(data.watched_s.numpy())
    metrics["watch_mae_s"] = float(np.abs(seconds[known] - data.watched_s.numpy()[known]).mean())
    return metrics


def _history(data: Data, batch: Batch) -> Tensor:
    assert batch.within is not None
    history, vectors = data.history(batch)
    ranks = torch.from_numpy(batch.within)
    there = torch.from_numpy((batch.within != NO_LAG).any(-1))
    return history_loss(
        data.trained.ranker.like_before(vectors, history, ranks, torch.zeros_like(ranks)), torch.from_numpy(batch.tokens.actions)[..., _LONG_VIEW], there
    )


def _examples(data: Data, batch: Batch) -> Tensor:
    settings, ranker = data.trained.settings, data.trained.ranker
    example, logits, watch = data.predict(batch)
    there, known = example >= 0, example.clamp(min=0)
    labels = torch.where(there[..., None], data.labels[known], torch.nan)
    loss = outcome_loss(logits[there], labels[there])
    if settings.pairwise:
        loss = loss + settings.pairwise * order_loss(logits, labels, data.served_at[known])
    watched_s = data.watched_s[known]
    timed = there & torch.isfinite(watched_s)
    return loss + settings.watch_weight * ranker.watch_time.loss(watch[timed], watched_s[timed]) if timed.any() else loss


def _optimizer(network: nn.Module, settings: RankerSettings) -> torch.optim.Optimizer:
    decayed = [weight for weight in network.parameters() if weight.ndim >= 2]
    free = [weight for weight in network.parameters() if weight.ndim < 2]
    return torch.optim.AdamW([{"params": decayed, "weight_decay": settings.weight_decay}, {"params": free, "weight_decay": 0.0}], lr=settings.learning_rate)
