"""An interrupted run is gone on with by whoever trains the same, and by nobody else."""

from pathlib import Path

import numpy as np
import pytest

from reelrank.training.examples import TrainingSet
from reelrank.training.run_folders import RunFolder, RunPlan, begin, interrupted
from training.small_ranker import NOW, world

PLAN = RunPlan(seed=0, settings="{}")
GIVEN = RunPlan(seed=0, settings="{}", given=50)
DATA = world(50)


def interrupt(run: RunFolder) -> Path:
    """What a kill leaves behind."""
    with pytest.raises(KeyboardInterrupt), run:
        raise KeyboardInterrupt
    return run.folder


def gone_on_with(home: Path, plan: RunPlan, now: float, given: TrainingSet | None = None) -> RunFolder:
    found = interrupted(home, plan, now, given)
    assert found is not None
    return found


def test_one_that_was_interrupted_is_gone_on_with_from_the_same_examples(tmp_path: Path) -> None:
    folder = interrupt(begin(tmp_path, PLAN, NOW, DATA, {"offsets": "1,2"}))
    with gone_on_with(tmp_path, PLAN, NOW + 60) as again:
        assert (again.folder, again.about) == (folder, {"offsets": "1,2"})
        assert np.array_equal(again.training_set.examples.features, DATA.examples.features)
        assert again.training_set.user_ids.tolist() == DATA.user_ids.tolist()
        assert interrupted(tmp_path, PLAN, NOW + 60) is None  # somebody is at it
    assert interrupted(tmp_path, PLAN, NOW + 60) is None  # it has ended
    assert list(folder.iterdir()) == []


def test_one_of_other_settings_of_long_ago_or_that_failed_is_not_gone_on_with(tmp_path: Path) -> None:
    assert interrupted(tmp_path / "nowhere", PLAN, NOW) is None
    interrupt(begin(tmp_path, PLAN, NOW, DATA, {}))
    assert interrupted(tmp_path, RunPlan(seed=1, settings="{}"), NOW) is None
    assert interrupted(tmp_path, RunPlan(seed=0, settings='{"width":8}'), NOW) is None
    assert interrupted(tmp_path, PLAN, NOW + 100_000) is None
    with pytest.raises(ValueError, match="no room"), gone_on_with(tmp_path, PLAN, NOW):
        raise ValueError("no room")
    assert interrupted(tmp_path, PLAN, NOW) is None


def test_examples_that_were_handed_in_are_not_copied(tmp_path: Path) -> None:
    folder = interrupt(begin(tmp_path, GIVEN, NOW, DATA, {}))
    assert [path.name for path in folder.iterdir()] == ["under-way.json"]
    with gone_on_with(tmp_path, GIVEN, NOW, DATA) as again:
        assert again.training_set is DATA


def test_what_is_damaged_is_begun_anew(tmp_path: Path) -> None:
    folder = interrupt(begin(tmp_path, PLAN, NOW, DATA, {}))
    (folder / "examples" / "set.json").unlink()
    assert interrupted(tmp_path, PLAN, NOW) is None
    folder = interrupt(begin(tmp_path, GIVEN, NOW, DATA, {}))
    (folder / "under-way.json").write_bytes(b"{")
    assert interrupted(tmp_path, GIVEN, NOW, DATA) is None


def test_the_last_few_runs_stay_and_none_at_which_somebody_is(tmp_path: Path) -> None:
    with begin(tmp_path, GIVEN, NOW, DATA, {}) as at_work:
        for number in range(1, 6):
            with begin(tmp_path, GIVEN, NOW + number, DATA, {}):
                pass
        assert at_work.folder.exists()
        assert len(list(tmp_path.iterdir())) == 4
