"""What was predicted before it was learned, by the hour."""

import msgspec
import numpy as np
import pytest

from reelrank.evaluation.prediction import auc, log_loss
from reelrank.training.progressive import HOUR_S, Hour, Progressive


def test_areas_and_losses_are_those_of_all_examples_of_the_hour() -> None:
    rng = np.random.default_rng(0)
    labels = (rng.random((4_000, 2)) < 0.3).astype(np.float32)
    logits = (1.5 * labels + rng.normal(size=labels.shape) - 1).astype(np.float32)
    labels[rng.random(labels.shape) < 0.2] = np.nan
    known_at = np.sort(rng.uniform(0, 3 * HOUR_S, 4_000))
    kept = Progressive()
    for part in np.array_split(np.arange(4_000), 37):
        kept.note(("click", "like"), known_at[part], logits[part], labels[part])
    for column, head in enumerate(("click", "like")):
        for measured in kept.measured(head):
            which = (known_at // HOUR_S == measured.hour) & ~np.isnan(labels[:, column])
            outcomes, scores = labels[which, column] > 0, logits[which, column].astype(float)
            assert measured.examples == which.sum()
            assert measured.rate == pytest.approx(outcomes.mean())
            assert measured.auc == pytest.approx(auc(outcomes, scores), abs=2e-3)
            assert measured.log_loss == pytest.approx(log_loss(outcomes, 1 / (1 + np.exp(-scores))), rel=1e-4)
    assert kept.lately("click").examples == sum(one.examples for one in kept.measured("click"))
    assert kept.lately("hide") is None


def test_old_hours_go() -> None:
    kept = Progressive(keep_hours=3)
    for hour in range(6):
        kept.note(("click",), np.array([hour * HOUR_S]), np.zeros((1, 1), dtype=np.float32), np.ones((1, 1), dtype=np.float32))
    assert [one.hour for one in kept.measured("click")] == [3, 4, 5]
    assert np.isnan(kept.measured("click")[0].auc)


def test_it_can_be_kept_and_goes_on() -> None:
    kept, rows = Progressive(), np.ones((2, 1), dtype=np.float32)
    kept.note(("click",), np.zeros(2), rows, rows)
    restored = Progressive(hours=msgspec.json.decode(msgspec.json.encode(kept.hours), type=dict[str, dict[int, Hour]]))
    restored.note(("click",), np.zeros(2), rows, rows)
    assert restored.lately("click").examples == 4
