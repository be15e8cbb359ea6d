"""Trains the ranker: examples → batches → network → fit → evaluate; whatever stops it, it goes on where it was."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import torch
from torch import Tensor

from reelrank.evaluation.prediction import auc
from reelrank.evaluation.watch_error import mean_error_s
from reelrank.features.tokens import Action
from reelrank.models import dense_inputs, watch_time
from reelrank.models.co_watch_space import co_watch_space
from reelrank.models.ranker import Ranker, VideoVectors
from reelrank.models.ranker_inputs import NO_LAG, RankerSettings
from reelrank.models.video_tables import admit, rows_of
from reelrank.training.descent import Descent
from reelrank.training.examples import HEADS, TrainingSet
from reelrank.training.ranker_batches import Batch, Row
from reelrank.training.ranker_data import RankerData, Trained, traits_of
from reelrank.training.ranker_losses import history_loss, order_loss, outcome_loss
from reelrank.training.training_run import TrainingRun

OnProgress = Callable[[int], None]  # told how many more steps are done

_WARM_UP = 0.05  # of a phase, in which the learning rate rises
_LAST_RATE = 0.1  # of the learning rate, at the end
_CHECKPOINT_STEPS = 200  # what a kill costs at most
_NOTE_STEPS = 20
_SAMPLE = 50_000  # examples that quantiles are read from
_LONG_VIEW = int(Action.LONG_VIEW).bit_length() - 1  # its column among the bits


def train(
    training_set: TrainingSet, validation: TrainingSet | None, settings: RankerSettings, seed: int, folder: Path | None,
    on_progress: OnProgress = lambda _: None, until: int | None = None,
) -> Trained:  # fmt: skip
    """Learns from the examples of `training_set` and stops where those of `validation` are predicted best; without them, at the end.

    First, from what the users did before the examples began, which of it was a long view; then what came of the examples.
    `until` ends it after so many of the epochs: the learning rate falls as if all of them were to come.
    With a `folder` the run is kept there, and called again with the same arguments it ends with the same weights, bit by bit.
    """
    made_of = {"settings": msgspec.to_builtins(settings), "seed": seed, "examples": len(training_set.examples), "tokens": len(training_set.tokens.video)}
    made_of |= {} if until is None else {"until": until}
    with torch.random.fork_rng(devices=[]), TrainingRun(folder, made_of) as run:
        torch.manual_seed(seed)
        trained = begin(training_set, settings)
        data = RankerData(training_set, trained)
        past = data.batches.before_all()
        fit = _Fit(trained, seed, run, on_progress)
        if past:
            fit.go("history", past, data, _history_loss, settings.pretrain_epochs)
        fit.go("examples", data.batches.rows, data, examples_loss, settings.epochs, None if validation is None else RankerData(validation, trained), until)
        fit.finish()
        return trained


def refit(chosen: Trained, training_set: TrainingSet, seed: int, folder: Path | None, on_progress: OnProgress = lambda _: None) -> Trained:
    """Learns from more examples for as many epochs as `chosen` had when it was judged best."""
    return train(training_set, None, chosen.settings, seed, folder, on_progress, until=chosen.epochs)


def begin(training_set: TrainingSet, settings: RankerSettings) -> Trained:
    """An untrained ranker for what is in the examples: the heads that anything is known of, and the ids that came up until then."""
    examples, tokens, traits = training_set.examples, training_set.tokens, traits_of(training_set)
    heads = tuple(head for head in HEADS if np.isfinite(examples.label(head)).any())
    features = np.asarray(examples.features)
    scaled = dense_inputs.fit(features)
    sample = scaled.transform(features[:: max(1, len(features) // _SAMPLE)])
    knots = np.quantile(sample, np.linspace(0, 1, settings.bins + 1), axis=0).T.astype(np.float32)  # (F, bins + 1)
    thresholds_s = watch_time.thresholds(np.asarray(examples.watched_s), settings.thresholds)
    known = tokens.occurred_at < examples.served_at.max(initial=-np.inf)
    admitted = admit(traits, np.bincount(tokens.video[known], minlength=len(training_set.traits)), settings.admit_after)
    vectors = VideoVectors(rows_of(admitted), traits.content.shape[1], settings.width, settings.spread)
    if settings.co_watched:
        own = vectors.tables["video"].get_parameter("weight")
        with torch.no_grad():
            own += settings.co_watched * torch.from_numpy(co_watch_space(tokens.owner[known], admitted.video[tokens.video[known]], len(own), settings.width))
    ranker = Ranker(settings, heads, torch.from_numpy(knots), torch.from_numpy(thresholds_s))
    rates = np.array([np.clip(np.nanmean(examples.label(head)), 1e-4, 1 - 1e-4) for head in heads])
    with torch.no_grad():
        ranker.prior.copy_(torch.from_numpy(np.log(rates / (1 - rates))))
    return Trained(settings, scaled, admitted, vectors, ranker)


def evaluate(data: RankerData) -> dict[str, float]:
    """AUC of each head, the error of the watch time, and `judged`: the mean AUC of the heads that are not rare."""
    logits, seconds = data.predict_all()
    labels, watched_s = data.labels.numpy(), data.watched_s.numpy()
    metrics = {}
    for place, head in enumerate(data.trained.heads):
        known = np.isfinite(labels[:, place])
        metrics[f"auc_{head}"] = auc(labels[known, place] > 0, logits[known, place].astype(np.float64))
    timed = np.isfinite(watched_s)
    judged = float(np.mean([metrics[f"auc_{data.trained.heads[place]}"] for place in data.common]))
    return {**metrics, "watch_mae_s": mean_error_s(watched_s[timed], seconds[timed]), "judged": judged}


class _Fit:
    """Goes through phases, epochs and batches, and knows how far it came."""

    def __init__(self, trained: Trained, seed: int, run: TrainingRun, on_progress: OnProgress) -> None:
        self._trained, self._seed, self._run, self._on_progress = trained, seed, run, on_progress
        self._position: dict[str, Any] = {"done": [], "phase": "", "epoch": 0, "batch": 0, "step": 0, "stopped": False, "judged": [], "best": []}
        kept = run.resume()
        self._position |= {} if kept is None else kept["position"]
        self._descent = self._new_descent()
        if kept is not None:
            self._descent.restore(kept)

    def go(
        self, phase: str, rows: list[Row], data: RankerData, loss: Callable[[RankerData, list[Row]], Tensor], epochs: int, judged: RankerData | None = None,
        until: int | None = None,
    ) -> None:  # fmt: skip
        """Some epochs, at most `until`, with an optimizer of their own. With `judged` the first epoch that is no better is the last."""
        at = self._position
        if phase in at["done"]:
            return
        if at["phase"] != phase:
            self._begin(phase)
        while at["epoch"] < min(until or epochs, epochs) and not at["stopped"]:
            plan = data.batches.plan(rows, np.random.default_rng([self._seed, len(at["done"]), at["epoch"]]))
            self._trained.network.train()
            for together in plan[at["batch"] :]:
                self._step(loss(data, together), at["step"] / (len(plan) * epochs))
            at |= {"epoch": at["epoch"] + 1, "batch": 0}
            if judged is not None:
                at["stopped"] = not self._better(judged)
            self._checkpoint()
        at["done"].append(phase)

    def finish(self) -> None:
        """Leaves the network with the averaged weights of the best epoch."""
        judged = self._position["judged"]
        self._descent.put(self._position["best"] or self._descent.averaged)
        self._trained.epochs = 1 + int(np.argmax([metrics["judged"] for metrics in judged])) if judged else self._position["epoch"]
        self._trained.metrics = judged[self._trained.epochs - 1] if judged else {}
        self._trained.network.eval()
        self._run.draw()

    def _begin(self, phase: str) -> None:
        self._position |= {"phase": phase, "epoch": 0, "batch": 0, "step": 0}
        self._descent = self._new_descent()

    def _new_descent(self) -> Descent:
        """The rows of ids go slowly where they have learned before: they are what overfits."""
        return Descent(self._trained, self._trained.settings.id_rate if self._position["done"] else 1.0)

    def _step(self, loss: Tensor, share: float) -> None:
        """One step; `share` of the phase is done."""
        at, settings = self._position, self._trained.settings
        rate = settings.learning_rate * min(1.0, (share + 1e-3) / _WARM_UP) * (1 - (1 - _LAST_RATE) * share)
        self._descent.step(loss, rate, at["step"])
        at |= {"batch": at["batch"] + 1, "step": at["step"] + 1}
        if at["step"] % _NOTE_STEPS == 0:
            self._run.note(f"loss of {at['phase']}", at["step"], float(loss.detach()))
        if at["step"] % _CHECKPOINT_STEPS == 0:
            self._checkpoint()
        self._on_progress(1)

    def _better(self, judged: RankerData) -> bool:
        """Judges the averaged weights, and keeps them if none were as good."""
        with self._averaged_weights():
            metrics = evaluate(judged)
        earlier = [of["judged"] for of in self._position["judged"]]
        self._position["judged"].append(metrics)
        for name, value in metrics.items():
            self._run.note(name, self._position["step"], value)
        if metrics["judged"] <= max(earlier, default=-np.inf):
            return False
        self._position["best"] = [mean.clone() for mean in self._descent.averaged]
        return True

    @contextmanager
    def _averaged_weights(self) -> Iterator[None]:
        learning = [weight.detach().clone() for weight in self._descent.weights]
        self._descent.put(self._descent.averaged)
        yield
        self._descent.put(learning)

    def _checkpoint(self) -> None:
        self._run.checkpoint({"position": self._position, **self._descent.state()})


def _history_loss(data: RankerData, rows: list[Row]) -> Tensor:
    batch = data.batches.batch(rows, within=True)
    assert batch.within is not None
    history, vectors = data.history(batch)
    ranks = torch.from_numpy(batch.within)
    logits = data.trained.ranker.long_view_of_tokens(vectors, history, ranks)
    return history_loss(logits, torch.from_numpy(batch.tokens.actions)[..., _LONG_VIEW], torch.from_numpy(_watches(batch)))


def _watches(batch: Batch) -> np.ndarray:
    """Which tokens have something before them and are watches, not likes: (b, s)."""
    assert batch.within is not None
    watched = ~batch.tokens.actions.any(axis=-1) | (batch.tokens.actions[..., 0] > 0)
    return watched & (batch.within != NO_LAG).any(axis=-1)


def examples_loss(data: RankerData, rows: list[Row]) -> Tensor:
    """What the network says wrong about the examples of some rows: their outcomes, the order within each row, and the watch time."""
    settings, watch_time = data.trained.settings, data.trained.ranker.watch_time
    example, logits, of_time = data.predict(data.batches.batch(rows))
    there, some = example >= 0, example.clamp(min=0)
    labels = torch.where(there[..., None], data.labels[some], torch.nan)
    loss = outcome_loss(logits[there], labels[there], data.weights)
    if settings.pairwise:
        loss = loss + settings.pairwise * order_loss(logits[..., data.common], labels[..., data.common], data.served_at[some])
    timed = there & torch.isfinite(data.watched_s[some])
    return loss + settings.watch_weight * watch_time.loss(of_time[timed], data.watched_s[some][timed]) if timed.any() else loss
