"""What came of the last training of each model."""

from pathlib import Path

from reelrank.storage.artifacts import ArtifactStore
from reelrank.storage.last_runs import LastRun, LastRuns


def run(model: str, ended_at: float, how: str = "anew", outcome: str = "published") -> LastRun:
    return LastRun(model=model, how=how, outcome=outcome, ended_at=ended_at, seconds=2.5, version="v", metrics={"auc_long_view": 0.75})


def test_before_anything_was_trained_there_is_no_run(tmp_path: Path) -> None:
    runs = LastRuns(tmp_path / "nowhere")
    assert (runs.all(), runs.last("ranker")) == ([], None)


def test_the_last_run_of_each_model_stays_and_what_was_learned_online_is_another_one(tmp_path: Path) -> None:
    runs = LastRuns(tmp_path)
    kept = [run("ranker", 1.0), run("graph", 2.0, outcome="failed"), run("ranker", 3.0, "online"), run("ranker", 4.0, outcome="refused")]
    for one in kept:
        runs.keep(one)
    assert LastRuns(tmp_path).all() == kept[1:]
    assert (runs.last("ranker"), runs.last("ranker", "online"), runs.last("two_tower")) == (kept[3], kept[2], None)


def test_runs_stand_beside_the_versions_and_are_none(tmp_path: Path) -> None:
    artifacts, runs = ArtifactStore(tmp_path), LastRuns(tmp_path)
    runs.keep(run("ranker", 1.0))
    assert (artifacts.current("ranker"), artifacts.versions("ranker")) == (None, [])
    version = artifacts.publish("ranker", 1.0, lambda folder: (folder / "a").touch()).manifest.version
    assert artifacts.versions("ranker") == [version]
    assert runs.all() == [run("ranker", 1.0)]


def test_one_that_can_not_be_read_counts_as_none(tmp_path: Path) -> None:
    runs = LastRuns(tmp_path)
    runs.keep(run("ranker", 1.0))
    (path,) = (tmp_path / "ranker").iterdir()
    path.write_bytes(path.read_bytes()[:20])
    assert (runs.all(), runs.last("ranker")) == ([], None)
