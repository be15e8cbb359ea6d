"""The streaming study on a world that changes when the test begins: whoever follows closely knows it first."""

import copy
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from reelrank.studies import streaming
from reelrank.studies.streaming import choose_rates, follow, narrowed
from reelrank.training.examples import TrainingSet
from reelrank.training.online_config import LearnerConfig
from reelrank.training.ranker_weights import load_trained
from training.small_ranker import NOW, published, world

RATES = LearnerConfig(row_rate=0.5, dense_rate=3e-3)


@pytest.fixture(autouse=True)
def _in_larger_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streaming, "_TOGETHER_S", 600.0)


def of_both(changed: bool) -> tuple[TrainingSet, TrainingSet]:
    """What was before, and the test; in between it may be turned around what is liked."""
    before, test = world(400), world(400, seed=5, since=NOW + 86_400.0, liked=int(changed))
    return before, replace(test, traits=before.traits)


def test_where_the_world_changes_a_closer_copy_is_better(tmp_path: Path) -> None:
    before, test = of_both(changed=True)
    published(tmp_path / "artifact", before)
    found = follow(load_trained(tmp_path / "artifact")[0], before, test, RATES, ["daily", "1h", "event"])
    areas = {name: of["mean"] for name, of in found["auc_by_sync"].items()}
    assert areas["daily"] < areas["1h"] < areas["event"]
    assert areas["daily"] < 0.5 < 0.6 < areas["event"]
    above = found["long_view"]["above_daily"]
    assert above["event"]["lo"] > 0 and above["daily"]["mean"] == 0
    assert found["exposures"] == 400


def test_users_who_change_are_followed_by_their_shift_alone(tmp_path: Path) -> None:
    before, test = of_both(changed=False)
    published(tmp_path / "artifact", before)
    labels = test.examples.labels.copy()
    labels[test.examples.user % 2 == 0] = 0.0  # half of the users have had enough
    test = replace(test, examples=replace(test.examples, labels=labels))
    rates = LearnerConfig(user_rate=0.5, row_rate=0.0, dense_rate=0.0)
    found = follow(load_trained(tmp_path / "artifact")[0], before, test, rates, ["daily", "event"])
    assert found["click"]["above_daily"]["event"]["lo"] > 0.02


def test_nothing_is_learned_before_it_is_known(tmp_path: Path) -> None:
    before, test = of_both(changed=True)
    published(tmp_path / "artifact", before)
    late = replace(test, examples=replace(test.examples, known_at=test.examples.known_at + 1e9))
    found = follow(load_trained(tmp_path / "artifact")[0], before, late, RATES, ["daily", "1h"])
    assert len({of["mean"] for of in found["auc_by_sync"].values()}) == 1  # nobody has learned anything


def test_rates_are_chosen_on_the_validation(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before, test = of_both(changed=True)
    published(tmp_path / "artifact", before)
    slow = LearnerConfig(row_rate=1e-6, dense_rate=0.0)
    monkeypatch.setattr(streaming, "RATES", (slow, RATES))
    chosen = load_trained(tmp_path / "artifact")[0]
    kept = copy.deepcopy(chosen.ranker.state_dict())
    assert choose_rates(chosen, before, test) == RATES
    assert all(np.array_equal(kept[name], weight) for name, weight in chosen.ranker.state_dict().items())


def test_some_examples_have_the_histories_of_their_users(tmp_path: Path) -> None:
    data = world(300)
    which = np.array([7, 50, 51, 299])
    some = narrowed(data, which)
    assert (some.user_ids[some.examples.user] == data.user_ids[data.examples.user[which]]).all()
    ends = data.history_ends[which] - data.tokens.start[data.examples.user[which]]
    assert (some.history_ends - some.tokens.start[some.examples.user] == ends).all()
    for row, place in enumerate(which):
        mine, of_all = some.tokens.start[some.examples.user[row]], data.tokens.start[data.examples.user[place]]
        assert (some.tokens.video[mine : mine + ends[row]] == data.tokens.video[of_all : of_all + ends[row]]).all()
