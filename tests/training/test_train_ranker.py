"""The ranker learns what the history tells, never what came later, and ends with the same weights whatever stops it."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import msgspec
import numpy as np
import pytest
import torch

from reelrank.features.tokens import Tokens
from reelrank.training.examples import HEADS, TrainingSet
from reelrank.training.ranker_data import RankerData, Trained
from reelrank.training.train_ranker import begin, evaluate, refit, train
from training.ranker_worlds import SMALL, halves, of_chance, of_one_taste, of_the_last_one, with_any_weights, world


def learned(data: TrainingSet, **settings) -> tuple[Trained, float]:
    """A ranker that learned from the first half, and its AUC on the second."""
    first, second = halves(data)
    trained = train(first, None, msgspec.structs.replace(SMALL, **settings), 0, None)
    return trained, evaluate(RankerData(second, trained))["auc_long_view"]


def with_tokens(data: TrainingSet, **columns: np.ndarray) -> TrainingSet:
    return replace(data, tokens=data.tokens._replace(**columns))


def test_what_only_the_history_explains_is_learned() -> None:
    assert learned(world(of_one_taste), epochs=15, batch_rows=4, id_dropout=0.3)[1] > 0.8


def test_the_order_of_the_history_counts() -> None:
    data = world(of_the_last_one, users=60, each=24)
    rng = np.random.default_rng(0)
    at_random = np.concatenate([rng.permutation(np.arange(*span)) for span in zip(data.tokens.start[:-1], data.tokens.start[1:], strict=True)])
    same_times = {name: getattr(data.tokens, name)[at_random] for name in ("video", "actions", "completion")}
    assert learned(data)[1] > 0.85
    assert learned(with_tokens(data, **same_times))[1] < 0.65


def test_chance_stays_chance_although_each_outcome_soon_becomes_a_token() -> None:
    assert abs(learned(world(of_chance), epochs=5)[1] - 0.5) < 0.07


def test_what_happens_after_a_video_was_served_changes_no_prediction() -> None:
    data = world(of_one_taste, users=30)
    trained = with_any_weights(data)
    moment = float(np.median(data.examples.served_at))
    before = data.between(0, moment)
    later = data.tokens.occurred_at >= moment
    changed = with_tokens(before, actions=np.where(later, 0, data.tokens.actions).astype(np.uint8), video=np.where(later, 0, data.tokens.video))
    for one, other in zip(RankerData(before, trained).predict_all(), RankerData(changed, trained).predict_all(), strict=True):
        assert np.array_equal(one, other)


def test_a_token_of_the_very_moment_is_not_known_yet() -> None:
    data = world(of_one_taste, users=30)
    trained = with_any_weights(data)
    last = np.flatnonzero(data.examples.user == 0)[-1]
    only = replace(data, examples=data.examples.take(np.array([last])))
    at = int(data.tokens.start[1]) - 1

    def predicted_with(moment: float) -> np.ndarray:
        occurred_at = data.tokens.occurred_at.copy()
        occurred_at[at] = moment
        return RankerData(with_tokens(only, occurred_at=occurred_at), trained).predict_all()[0]

    served_at = float(data.examples.served_at[last])
    assert np.array_equal(predicted_with(served_at), predicted_with(served_at + 60))
    assert not np.array_equal(predicted_with(served_at - 1), predicted_with(served_at + 60))


def test_what_was_before_the_examples_is_learned_from_first() -> None:
    _, second = halves(world(of_one_taste, users=80))
    few = second.between(0, float(second.examples.served_at[200]))
    settings = msgspec.structs.replace(SMALL, epochs=4)
    unlearned, helped = (train(few, None, msgspec.structs.replace(settings, pretrain_epochs=epochs), 0, None) for epochs in (0, 15))
    one, other = (evaluate(RankerData(second, trained))["auc_long_view"] for trained in (unlearned, helped))
    assert other > one + 0.05


def test_an_outcome_that_nobody_knows_is_not_learned_from() -> None:
    data = world(of_one_taste, users=40)
    labels = data.examples.labels.copy()
    labels[::2, HEADS.index("click")] = np.nan
    data = replace(data, examples=replace(data.examples, labels=labels, watched_s=np.where(np.arange(len(labels)) % 3, data.examples.watched_s, np.nan)))
    trained = train(data, None, msgspec.structs.replace(SMALL, epochs=1), 0, None)
    assert trained.heads == ("click", "long_view")  # of the others nobody knows anything
    assert all(torch.isfinite(weight).all() for weight in trained.network.parameters())


def test_the_first_epoch_that_is_no_better_is_the_last_and_the_best_is_kept() -> None:
    first, second = halves(world(of_chance, users=40))
    trained = train(first, second, msgspec.structs.replace(SMALL, epochs=30), 0, None)
    assert 1 <= trained.epochs < 30
    assert evaluate(RankerData(second, trained)) == pytest.approx(trained.metrics)


def test_refitting_takes_as_many_epochs_as_were_best() -> None:
    data = world(of_one_taste, users=30)
    chosen = replace(begin(data, SMALL), epochs=2)
    steps: list[int] = []
    assert refit(chosen, data, 0, None, steps.append).epochs == 2
    assert len(steps) == 2 * len(RankerData(data, chosen).batches.plan(RankerData(data, chosen).batches.rows, np.random.default_rng(0)))


def test_a_training_that_is_killed_anywhere_goes_on_and_ends_with_the_same_weights(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "training.killed_ranker", str(tmp_path), "2"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False, cwd=Path(__file__).parents[1])
    assert done.returncode == 0, done.stderr
    told = msgspec.json.decode(done.stdout.splitlines()[-1])
    assert told["at_work"] == 2
    assert told["runs"] == 1  # all three trainings were of one run
    assert told["files"] > 10 and told["differ"] == []  # networks, rows and statistics, byte by byte
    run = next((tmp_path / "killed" / "runs" / "ranker").iterdir())
    assert (run / "all" / "run.png").exists() and list((run / "all").glob("events.*"))
    assert not (run / "examples").exists()  # nobody goes on with it any more


def test_the_same_seed_gives_the_same_weights_and_leaves_chance_as_it_was() -> None:
    data = world(of_one_taste, users=20)
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    one, other = (train(data, None, msgspec.structs.replace(SMALL, epochs=1, dropout=0.2), seed, None) for seed in (1, 1))
    assert torch.equal(torch.rand(3), expected)
    assert all(torch.equal(*pair) for pair in zip(one.network.parameters(), other.network.parameters(), strict=True))


def test_a_user_without_a_history_is_predicted_too() -> None:
    data = world(of_one_taste, users=10)
    tokens = Tokens(np.zeros(11, dtype=np.int64), *(column[:0] for column in data.tokens[1:]))
    data = replace(data, tokens=tokens)
    logits, seconds = RankerData(data, begin(data, SMALL)).predict_all()
    assert np.isfinite(logits).all() and np.isfinite(seconds).all()
