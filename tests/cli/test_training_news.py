"""One calm line for each training that has ended."""

import threading
from collections.abc import Callable
from pathlib import Path

from reelrank.cli.training_news import follow, line, since
from reelrank.storage.artifacts import ArtifactStore
from reelrank.storage.last_runs import LastRun, LastRuns

METRICS = {"auc_click": 0.7555, "auc_long_view": 0.76312, "auc_comment": 0.9, "likelihood": -1.2}
PUBLISHED = LastRun(model="ranker", outcome="published", ended_at=1_750_000_000.0, seconds=41.8, version="v7", metrics=METRICS, gains={"auc_long_view": 0.0012})


def test_it_says_which_version_is_live_and_how_good_it_is() -> None:
    at, told = line(PUBLISHED).split("  ")
    assert at.startswith("2025-06-1") and len(at) == len("2025-06-15 15:06")
    assert told == "ranker trained anew in 42 s: published as v7 (AUC click 0.7555, AUC long view 0.7631 +0.0012)"
    towers = LastRun(model="two_tower", outcome="published", ended_at=0.0, seconds=1_234.0, version="v8", metrics={"recall_at_100": 0.1564})
    assert line(towers).endswith("  two tower trained anew in 1,234 s: published as v8 (recall@100 0.1564)")


def test_it_says_why_one_was_refused_or_what_it_failed_of() -> None:
    refused = LastRun(model="ranker", how="online", outcome="refused", ended_at=0.0, seconds=3.0, reasons=("auc_click is worse", "likelihood is worse"))
    assert line(refused).endswith("  ranker learned online: refused, auc_click is worse; likelihood is worse")
    failed = LastRun(model="graph", outcome="failed", ended_at=0.0, seconds=3.0, problem="RuntimeError: mat1\n  and mat2 " + 1_000 * "x")
    assert line(failed).partition("graph ")[2].startswith("trained anew in 3 s: failed, RuntimeError: mat1 and mat2 xxx")
    assert len(line(failed)) < 400 and "\n" not in line(failed)


def test_the_last_run_of_each_comes_first_and_then_each_that_ends_once(tmp_path: Path) -> None:
    runs, said, stopping = LastRuns(tmp_path), [], threading.Event()
    graph = LastRun(model="graph", outcome="failed", ended_at=5.0, seconds=1.0, problem="MemoryError: ")
    runs.keep(graph)

    def say(told: str) -> None:
        said.append(told)
        if len(said) == 1:
            runs.keep(PUBLISHED)  # as a role does in another process
        else:
            stopping.set()

    follow(ArtifactStore(tmp_path), say, stopping)
    assert said == [line(graph), line(PUBLISHED) + "; now nothing is live"]


def versions(artifacts: ArtifactStore, *made_at: float) -> list[str]:
    return [artifacts.publish("two_tower", at, lambda folder: (folder / "a").touch()).manifest.version for at in made_at]


def test_a_version_that_is_not_live_any_more_is_not_told_as_if_it_were(tmp_path: Path) -> None:
    artifacts = ArtifactStore(tmp_path)
    one, two = versions(artifacts, 1.0, 2.0)
    run = LastRun(model="two_tower", outcome="published", ended_at=2.0, seconds=1.0, version=two)
    assert since(run, artifacts) == ""
    artifacts.roll_back("two_tower")
    assert since(run, artifacts) == f"; rolled back, {one} is live"
    (three,) = versions(artifacts, 3.0)
    assert since(run, artifacts) == f"; now {three} is live"
    refused = LastRun(model="two_tower", outcome="refused", ended_at=2.0, seconds=1.0, reasons=("worse",))
    assert since(refused, artifacts) == ""


class Meanwhile(threading.Event):
    """Between two looks each of these happens, one after the other; then it is time to stop."""

    def __init__(self, *happens: Callable[[], object]) -> None:
        super().__init__()
        self._happens = list(happens)

    def wait(self, timeout: float | None = None) -> bool:
        if self._happens:
            self._happens.pop(0)()
            return False
        return True


def test_what_is_rolled_back_is_told_and_what_is_published_is_not(tmp_path: Path) -> None:
    artifacts, said = ArtifactStore(tmp_path), []
    _, two = versions(artifacts, 1.0, 2.0)
    follow(artifacts, said.append, Meanwhile(lambda: versions(artifacts, 3.0), lambda: artifacts.roll_back("two_tower")))
    three = artifacts.versions("two_tower")[-1]
    assert [told.partition("  ")[2] for told in said] == [f"two tower rolled back: {two} is live again, in place of {three}"]
