"""Retrains the ranker: examples → candidate → gates → live version, read top to bottom."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np

from reelrank.domain.clock import Clock
from reelrank.features.definitions import FEATURES_VERSION
from reelrank.models.ranker_inputs import RankerSettings
from reelrank.models.sessions import RankerSession
from reelrank.storage.artifacts import ArtifactStore
from reelrank.training.calibration import calibrate
from reelrank.training.examples import TrainingSet
from reelrank.training.export import export
from reelrank.training.judge_ranker import RankerJudge, parity
from reelrank.training.log_examples import reserved
from reelrank.training.publish import FEATURES, PARITY, About, GateConfig, Verdict, newest, publish
from reelrank.training.ranker_weights import save_weights
from reelrank.training.score_examples import score_examples
from reelrank.training.train_ranker import OnProgress, refit, train

RANKER = "ranker"


def retrain_ranker(
    training_set: TrainingSet, artifacts: ArtifactStore, run: Path, clock: Clock, settings: RankerSettings | None = None, gate: GateConfig | None = None,
    about: About | None = None, seed: int = 0, on_progress: OnProgress = lambda _: None, anyway: bool = False,
) -> Verdict:  # fmt: skip
    """Trains on all examples but the reserved ones, by which the candidate is judged; the run is kept in the folder `run`.

    The newest part of the examples chooses how long is trained, and the calibration; then it is learned from as well.
    """
    gate = gate or GateConfig()
    held_out = held_out_of(training_set, gate)
    learned = replace(training_set, examples=training_set.examples.take(~reserved(training_set)))
    recent = newest(learned.examples.served_at, gate)
    before, after = learned.between(-np.inf, recent), learned.between(recent, np.inf)
    chosen = train(before, after, settings or RankerSettings(), seed, run / "chosen", on_progress)
    export(chosen, {}, run / "judged")
    calibration = calibrate(chosen.heads, after.examples, score_examples(RankerSession(run / "judged"), after)[0])
    trained = refit(chosen, learned, seed, run / "all", on_progress)

    candidate = run / "candidate"
    shutil.rmtree(candidate, ignore_errors=True)
    export(trained, calibration, candidate)
    save_weights(trained, candidate)
    told: About = {
        **(about or {}),
        FEATURES: FEATURES_VERSION,
        PARITY: parity(candidate, held_out),
        "examples": len(learned.examples),
        "data_from": float(learned.examples.served_at.min()),
        "data_until": float(learned.examples.served_at.max()),
        "epochs": chosen.epochs,
    }
    return publish(artifacts, RANKER, candidate, RankerJudge(held_out), clock, told, gate, anyway)


def held_out_of(training_set: TrainingSet, gate: GateConfig) -> TrainingSet:
    """The newest of the reserved examples."""
    return replace(training_set, examples=training_set.examples.take(np.flatnonzero(reserved(training_set))[-gate.held_out :]))
