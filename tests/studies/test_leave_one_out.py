"""Tests of the study on a world whose answer is known: everybody walks the same round."""

from pathlib import Path

import numpy as np
import pytest

from reelrank.models.two_tower import TwoTowerConfig
from reelrank.studies import leave_one_out
from reelrank.studies.sequence_data import SequencesError
from reelrank.studies.sequence_models import SequenceSettings
from reelrank.training.train_two_tower import TwoTowerTraining
from walks import as_lines, walks

SMALL = SequenceSettings(
    network=TwoTowerConfig(width=16, layers=1, dropout=0.1),
    training=TwoTowerTraining(epochs=6, batch=32, window=16, learning_rate=0.02),
    sasrec_widths=(16,),
    sasrec_dropouts=(0.2, 0.5),
    sasrec_trial_epochs=1,
    sasrec_epochs=2,
    sasrec_bce_epochs=2,
)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("round") / "walks.txt"
    file.write_text(as_lines(walks(150, 30, np.random.default_rng(0), steps=(5, 9))))
    return file


def test_every_model_is_measured_and_compared_with_ours_by_user(world: Path) -> None:
    steps: list[int] = []
    answer = leave_one_out.evaluate(world, seeds=2, settings=SMALL, on_progress=steps.append)
    assert answer["dataset"] == "walks"
    assert answer["size"] == {"users": 150, "items": 30, "interactions": len(world.read_text().split()) - 150}
    assert set(answer["models"]) == set(leave_one_out.MODELS)
    assert answer["models"]["reelrank"]["ndcg_at_10"]["mean"] > 0.99
    assert answer["models"]["popular"]["ndcg_at_10"]["mean"] < 0.4
    assert len(answer["models"]["reelrank"]["per_seed"]["recall_at_10"]) == 2
    assert len(answer["models"]["item_knn"]["per_seed"]["recall_at_10"]) == 1  # nothing in it is drawn
    assert len(answer["models"]["sasrec"]["chosen"][0]["trials"]) == 2
    better = answer["differences"]["popular"]["ndcg_at_10"]
    assert 0 < better["lo"] < better["mean"] < better["hi"]
    assert len(steps) == sum(steps) > 50


def test_the_same_seed_gives_the_same_numbers(world: Path) -> None:
    one, other = (leave_one_out.evaluate(world, ["reelrank"], settings=SMALL) for _ in range(2))
    assert one == other
    assert one["differences"] == {}


def test_a_model_that_nobody_knows_is_named(world: Path) -> None:
    with pytest.raises(SequencesError, match="no model 'gru'; known: reelrank, sasrec"):
        leave_one_out.evaluate(world, ["gru"])


def test_nobody_finds_what_the_history_holds_and_nothing_is_chosen_by_it(tmp_path: Path) -> None:
    (tmp_path / "again.txt").write_text("".join(f"{user} a b c b a c b a\n" for user in range(4)))
    answer = leave_one_out.evaluate(tmp_path / "again.txt", settings=SMALL)
    assert {of["recall_at_10"]["mean"] for of in answer["models"].values()} == {0.0}
    assert set(answer["models"]["reelrank"]["chosen"][0]["validation_ndcg_at_10"].values()) == {0.0}


def test_three_items_of_each_tell_nothing_of_an_order_and_the_models_of_order_say_so(tmp_path: Path) -> None:
    (tmp_path / "short.txt").write_text("1 a b c\n2 b c d\n")
    with pytest.raises(SequencesError, match=r"no user of .*short\.txt has more than 3 items.* tells sasrec_bce what follows what.*--models item_knn,popular"):
        leave_one_out.evaluate(tmp_path / "short.txt", ["popular", "sasrec_bce"], settings=SMALL)
    assert leave_one_out.evaluate(tmp_path / "short.txt", ["popular", "item_knn"])["size"]["users"] == 2


def test_a_single_user_is_measured_and_makes_no_difference(tmp_path: Path) -> None:
    (tmp_path / "one.txt").write_text("1 a b c d e f\n")
    assert leave_one_out.evaluate(tmp_path / "one.txt", ["popular", "reelrank"], settings=SMALL)["differences"] == {}
