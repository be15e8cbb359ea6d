"""The protocol: what is learned, chosen by and judged never overlaps, and our ranker is judged by what it serves."""

from functools import partial
from pathlib import Path

import msgspec
import numpy as np
import pytest

from reelrank.models.sessions import RankerSession
from reelrank.simulation.kuairand import DataError
from reelrank.studies import peer_lightgbm, streaming
from reelrank.studies.kuairand_ranker import OURS, PEERS, Peer, Split, evaluate, fit_predict
from reelrank.studies.peer_lightgbm import PeerMissing
from studies.made_log import DAYS, circles
from training.ranker_worlds import SMALL, of_one_taste, world


def test_two_days_before_the_test_are_the_validation() -> None:
    days = np.array([20220425, 20220502, 20220503, 20220504, 20220505, 20220506, 20220507])
    split = Split.of(days, 20220505, 20220506)
    assert days[split.train].tolist() == [20220425, 20220502]
    assert days[split.validation].tolist() == [20220503, 20220504]
    assert days[split.test].tolist() == [20220505, 20220506]


def test_a_test_in_the_first_days_of_a_month_is_chosen_for_in_the_month_before() -> None:
    days = np.array([20220428, 20220429, 20220430, 20220501])
    assert days[Split.of(days, 20220501, 20220501).validation].tolist() == [20220429, 20220430]


LOGGED = "the log has the days from 20220425 to 20220428; give other test days"


@pytest.mark.parametrize(
    ("test_from", "test_until", "what"),
    [
        (20230101, 20230102, "from 20230101 until 20230102 to judge"),
        (20200101, 20200102, "from 20200101 until 20200102 to judge"),
        (20220428, 20220427, "from 20220428 until 20220427 to judge"),
        (20220427, 20220427, "before 20220425 to learn from"),
    ],
)
@pytest.mark.parametrize("study", [partial(evaluate, models=None, seeds=1), streaming.evaluate])
def test_days_that_the_log_does_not_have_are_refused_before_examples_are_made(study, test_from: int, test_until: int, what: str, log_folder, tmp_path) -> None:
    with pytest.raises(DataError, match=f"no exposures {what}: {LOGGED}"):
        study(log_folder, tmp_path / "cache", test_from=test_from, test_until=test_until)
    assert not (tmp_path / "cache").exists()


def test_days_without_a_choice_before_them_are_refused() -> None:
    with pytest.raises(
        DataError, match="no exposures from 20220510 until the day before 20220512 to choose by: the log has the days from 20220501 to 20220512"
    ):
        Split.of(np.array([20220501, 20220512]), 20220512, 20220512)


def test_our_ranker_is_chosen_refitted_calibrated_exported_and_asked(tmp_path) -> None:
    data = world(of_one_taste, users=40)
    place = np.arange(len(data.examples)) / len(data.examples)
    split = Split(place < 0.6, (place >= 0.6) & (place < 0.8), place >= 0.8)
    predictions, errors = fit_predict(data, split, SMALL, 0, tmp_path)
    assert set(predictions) == {"click", "long_view", "watch_s"}
    assert all(np.isfinite(values).all() and len(values) == split.test.sum() for values in predictions.values())
    assert set(errors) == {"click", "long_view"}
    assert set(RankerSession(tmp_path / "artifact").manifest.calibration) == {"click", "long_view"}


def told_the_outcome(data, _folder, _train, test, _seed):
    judged = data.examples.take(test)
    return {head: judged.label(head) for head in ("long_view", "click", "like")} | {"watch_s": judged.watched_s}


def silent_about_time(_data, _folder, _train, test, _seed):
    return {head: np.zeros(test.sum()) for head in ("long_view", "click", "like")}


def broken_by_the_second_seed(data, folder, train, test, seed):
    if seed == 1:
        raise PeerMissing("its environment is gone")
    return silent_about_time(data, folder, train, test, seed)


@pytest.fixture(scope="module")
def numbers(tmp_path_factory: pytest.TempPathFactory):
    """All models on two circles of people, where DIN and MMoE can't run, and three peers whose place is known."""
    folder = tmp_path_factory.mktemp("circles")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("REELRANK_PEERS", str(folder / "nowhere"))
        patch.setattr(peer_lightgbm, "ROUNDS", 20)
        patch.setattr(peer_lightgbm, "SEARCHED", ({"num_leaves": 7, "min_child_samples": 5},))
        for peer in (told_the_outcome, silent_about_time, broken_by_the_second_seed):
            patch.setitem(PEERS, peer.__name__, Peer(peer, lambda: None))
        small = msgspec.structs.replace(SMALL, epochs=4)
        yield evaluate(circles(folder), folder / "cache", None, 2, DAYS[-1], DAYS[-1], settings=small)


def test_peers_that_can_not_run_are_skipped_with_their_reason_and_the_others_are_judged(numbers) -> None:
    assert set(numbers["skipped"]) == {"din", "mmoe", "broken_by_the_second_seed"}
    assert "scripts/peers" in numbers["skipped"]["din"]
    assert numbers["skipped"]["broken_by_the_second_seed"] == "its environment is gone"
    assert set(numbers["models"]) == {OURS, "lightgbm", "lightgbm_stream", "told_the_outcome", "silent_about_time"}
    assert numbers["dataset"] == "kuairand"
    assert all(len(measure["seeds"]) == 2 for of in numbers["models"].values() for measure in of.values())


def test_a_peer_that_says_no_watch_time_is_judged_by_the_rest(numbers) -> None:
    assert numbers["models"]["silent_about_time"].keys() == numbers["models"][OURS].keys() - {"watch_mae_s", "watch_xauc"}
    assert numbers["above"]["silent_about_time"].keys() == numbers["above"]["lightgbm"].keys() - {"watch_mae_s", "watch_xauc"}


def test_above_is_how_much_better_ours_is_whichever_way_the_measure_runs(numbers) -> None:
    above, models = numbers["above"], numbers["models"]
    assert above.keys() == models.keys() - {OURS}
    assert all(one["hi"] < 0 for measure, one in above["told_the_outcome"].items() if "like" not in measure)
    assert above["silent_about_time"]["long_view"]["lo"] > 0
    assert above["silent_about_time"]["gauc_long_view"]["lo"] > 0
    for measure, sign in (("auc_long_view", 1), ("gauc_click", 1), ("watch_mae_s", -1), ("watch_xauc", 1)):
        difference = sign * (models[OURS][measure]["mean"] - models["lightgbm"][measure]["mean"])
        assert above["lightgbm"][measure.removeprefix("auc_")]["mean"] == pytest.approx(difference)


def test_a_peer_that_is_named_and_can_not_run_is_an_error_before_anything_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REELRANK_PEERS", str(tmp_path))
    with pytest.raises(PeerMissing, match=r"din: .*scripts/peers makes it"):
        evaluate(tmp_path / "no log", tmp_path, [OURS, "din"], 1, DAYS[-1], DAYS[-1])
