"""The train role in a small deployment: from the lake to a live ranker, on with what happens, and back when it is told to."""

import logging
import shutil
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

import msgspec
import pytest

from features.slate_log import visits
from features.slates import NOW
from reelrank.domain.clock import ManualClock
from reelrank.domain.example import Example
from reelrank.models.ranker_inputs import RankerSettings
from reelrank.ranking.ranker_scorer import published_ranker
from reelrank.serving.hot_swap import HotSwap
from reelrank.storage.artifacts import ArtifactStore
from reelrank.storage.last_runs import How, LastRun, LastRuns
from reelrank.training import train_role
from reelrank.training.examples import ExamplesError
from reelrank.training.log_examples import LogExamples
from reelrank.training.online import Positions
from reelrank.training.online_config import OnlineConfig, TrainConfig
from reelrank.training.publish import GateConfig
from reelrank.training.retrain import Retraining
from reelrank.training.retrain_ranker import RANKER
from reelrank.training.train_role import TrainRole, TrainStatus
from training.damage import cut, emptied, pickled
from training.told_lake import ToldLake

SMALL = RankerSettings(
    width=8, attention_heads=2, window=8, strong=2, experts=2, hidden=8, thresholds=4, bins=4, admit_after=1, pretrain_epochs=0, epochs=1, batch_rows=16
)
CONFIG = TrainConfig(
    ranker=SMALL, min_examples=100, days=1_000.0, nice=0, two_tower_every_s=0, graph_every_s=0, ranker_every_s=1e9, gate=GateConfig(min_users=2),
    online=OnlineConfig(batch=32, rows_every_s=0.0, checkpoint_every_s=1.0, publish_every_s=1e9),
)  # fmt: skip
VISITS = 300


class Deployment:
    """A log, a lake, a store of artifacts, and the role."""

    def __init__(self, folder: Path) -> None:
        self.told = ToldLake(folder)
        self.world = self.told.world
        self.clock = ManualClock(NOW)
        self.clock.advance_to(NOW + 10_000)
        self.artifacts = ArtifactStore(folder / "artifacts")
        self.folder = folder
        self.visited = 0

    def visit(self) -> None:
        self.told.tell(visits(self.visited, VISITS))
        self.visited += VISITS

    def retraining(self, config: TrainConfig = CONFIG) -> Retraining:
        return Retraining(self.world.log, self.told.lake, self.world.columns, self.artifacts, self.clock, self.folder / "runs", config)

    def role(self, config: TrainConfig = CONFIG) -> TrainRole:
        return TrainRole(self.world.log, LogExamples(self.world.reader, self.world.columns), self.retraining(config), self.clock, self.folder / "train")

    def last(self, how: How = "anew") -> LastRun | None:
        return LastRuns(self.artifacts.root).last(RANKER, how)


@pytest.fixture
def deployment(tmp_path: Path) -> Iterator[Deployment]:
    made = Deployment(tmp_path)
    yield made
    made.world.close()


@contextmanager
def learning(role: TrainRole) -> Iterator[None]:
    ended = threading.Event()
    thread = threading.Thread(target=role.learn, args=(ended.is_set,))
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def wait(what: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not what():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def of_errors(caplog: pytest.LogCaptureFixture) -> list[logging.LogRecord]:
    return [record for record in caplog.records if record.levelno >= logging.ERROR]


def under_way(deployment: Deployment) -> list[Path]:
    return list((deployment.folder / "runs" / RANKER).glob("*/under-way.json"))


def test_with_too_few_examples_it_says_how_many_are_needed(deployment: Deployment) -> None:
    deployment.told.tell(visits(0, 10))
    with pytest.raises(ExamplesError, match=r"examples in the lake, left out: nothing; 100 are needed"):
        deployment.retraining().retrain(RANKER)


def test_what_happens_after_training_is_learned_and_served_a_moment_later_each_example_once(deployment: Deployment) -> None:
    deployment.visit()
    role = deployment.role()
    verdict = deployment.retraining().retrain(RANKER)
    assert verdict.published, verdict
    live = published_ranker(deployment.artifacts)
    swap = HotSwap(live, deployment.world.log)
    swap.step()
    assert Positions.told(live.live.manifest.about).offsets == {0: deployment.world.log.end("examples", 0)}
    with learning(role):
        wait(lambda: role.status.base == verdict.version)
        assert role.status.learned == 0  # the lake had it all
        deployment.visit()
        wait(lambda: role.status.learned > 100 and role.status.waiting == 0)
        wait(lambda: swap.step() == 0 and swap.rows > 0)
    status = msgspec.json.decode((deployment.folder / "train" / "status.json").read_bytes(), type=TrainStatus)
    assert 0.0 < status.progressive["click"] < 1.0
    again = deployment.role()
    with learning(again):
        wait(lambda: again.status.learned == role.status.learned)  # it went on at the checkpoint


def test_what_was_learned_online_is_published_through_the_gates_and_learning_goes_on(deployment: Deployment) -> None:
    deployment.visit()
    first = deployment.retraining().retrain(RANKER)
    role = deployment.role(msgspec.structs.replace(CONFIG, online=msgspec.structs.replace(CONFIG.online, publish_every_s=0.5)))
    trained = deployment.last()
    with learning(role):
        deployment.visit()
        wait(lambda: deployment.last("online") is not None)
    live = deployment.artifacts.current(RANKER).manifest
    if deployment.last("online").version:  # the gates may find that so little has made it worse
        assert live.about["parent"] and live.about["learned"] > 0
        assert live.version == deployment.last("online").version
    else:
        assert deployment.last("online").reasons
        assert live.version == first.version
    assert deployment.last() == trained  # when the next training from the lake is due is another matter


def test_learning_does_not_wait_for_a_model_that_is_trained_anew(deployment: Deployment) -> None:
    deployment.visit()
    first = deployment.retraining().retrain(RANKER)
    role = deployment.role(msgspec.structs.replace(CONFIG, online=msgspec.structs.replace(CONFIG.online, publish_every_s=0.01)))
    with role._publishing, learning(role):  # as it is while the other thread trains
        wait(lambda: role.status.base == first.version)
        deployment.visit()
        wait(lambda: role.status.learned > 100 and role.status.waiting == 0)
        assert deployment.last("online") is None


def test_a_training_that_fails_ends_neither_the_role_nor_what_it_learns_online(deployment: Deployment) -> None:
    deployment.visit()
    role = deployment.role(msgspec.structs.replace(CONFIG, ranker=msgspec.structs.replace(SMALL, attention_heads=3)))  # 8 is not 3 times anything
    ended = threading.Event()
    thread = threading.Thread(target=role.follow, args=(ended.is_set,))
    thread.start()
    try:
        wait(lambda: deployment.last() is not None)
        assert thread.is_alive()
    finally:
        ended.set()
        thread.join()
    failed = deployment.last()
    assert failed.outcome == "failed"
    assert (failed.version, failed.reasons) == ("", ())
    assert ":" in failed.problem
    assert deployment.artifacts.current(RANKER) is None


def test_damaged_checkpoints_are_told_and_learning_goes_on_without_them(deployment: Deployment, caplog: pytest.LogCaptureFixture) -> None:
    deployment.visit()
    deployment.retraining().retrain(RANKER)
    role = deployment.role()
    with learning(role):
        deployment.visit()
        wait(lambda: role.status.learned > 100 and role.status.waiting == 0)
    kept = sorted((deployment.folder / "train" / "online" / "checkpoints").iterdir())
    cut(kept[-1] / "learner.pt")
    emptied(kept[0] / "state.json")
    again = deployment.role()
    with learning(again):
        wait(lambda: again.status.learned == role.status.learned)  # all of it once more, from the live version on
    assert [str(path) in told.getMessage() for path, told in zip(kept[::-1], of_errors(caplog), strict=True)] == [True, True]


@pytest.mark.parametrize("damage", [Path.unlink, pickled])
def test_a_live_version_that_can_not_be_learned_on_from_is_told_once_and_the_next_one_is_learned_on(
    deployment: Deployment, caplog: pytest.LogCaptureFixture, damage: Callable[[Path], object], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(train_role, "_LOOK_S", 0.02)
    deployment.visit()
    deployment.retraining().retrain(RANKER)
    sound = shutil.copytree(deployment.artifacts.current(RANKER).folder, deployment.folder / "sound")
    damage(deployment.artifacts.current(RANKER).folder / "network.pt")
    role = deployment.role()
    with learning(role):
        wait(lambda: of_errors(caplog))
        time.sleep(0.2)
        deployment.clock.advance_to(NOW + 20_000)
        assert deployment.retraining().publish(RANKER, sound, {}).published
        wait(lambda: role.status.base == deployment.artifacts.current(RANKER).manifest.version)
    (told,) = of_errors(caplog)
    assert "network.pt can't be read" in told.getMessage()


def test_a_live_version_with_garbage_for_positions_is_not_learned_on(deployment: Deployment, caplog: pytest.LogCaptureFixture) -> None:
    deployment.artifacts.publish(RANKER, NOW, lambda folder: (folder / "file").touch(), {"positions": "garbage"})
    with learning(deployment.role()):
        wait(lambda: of_errors(caplog))
    assert "manifest.json can't be read: DecodeError" in of_errors(caplog)[0].getMessage()


def test_a_candidate_that_can_not_be_learned_on_from_is_refused_by_the_name_of_the_file(deployment: Deployment) -> None:
    deployment.visit()
    first = deployment.retraining().retrain(RANKER)
    for file, damage in (("network.pt", Path.unlink), ("network.pt", cut), ("rows-user.npy", Path.unlink), ("places-video.npy", cut)):
        candidate = deployment.folder / "candidate"
        shutil.copytree(deployment.artifacts.current(RANKER).folder, candidate)
        damage(candidate / file)
        verdict = deployment.retraining().publish(RANKER, candidate, {}, anyway=True)
        assert not verdict.published
        assert file in verdict.reasons[0]
        assert verdict.against == first.version == deployment.artifacts.current(RANKER).manifest.version
        shutil.rmtree(candidate)


def test_when_learning_fails_while_a_model_is_trained_the_role_ends_and_the_training_goes_on_the_next_time(
    deployment: Deployment, caplog: pytest.LogCaptureFixture
) -> None:
    deployment.visit()
    deployment.retraining().retrain(RANKER)
    forever = msgspec.structs.replace(CONFIG, ranker_every_s=1.0, ranker=msgspec.structs.replace(SMALL, epochs=100_000))
    deployment.clock.advance_to(NOW + 20_000)

    def broken(_: Sequence[Example]) -> NoReturn:
        wait(lambda: bool(under_way(deployment)))
        raise RuntimeError("no such thing")

    role = TrainRole(deployment.world.log, broken, deployment.retraining(forever), deployment.clock, deployment.folder / "train")
    deployment.visit()
    with pytest.raises(RuntimeError, match="no such thing"):
        role.follow(lambda: False)
    assert "learning online failed" in of_errors(caplog)[0].getMessage()
    assert deployment.last().outcome == "published"
    assert under_way(deployment)


def test_after_a_rollback_it_learns_on_top_of_the_version_that_is_live_again(deployment: Deployment) -> None:
    deployment.visit()
    role = deployment.role()
    first = deployment.retraining().retrain(RANKER)
    deployment.clock.advance_to(NOW + 20_000)
    second = deployment.retraining().retrain(RANKER, anyway=True)
    assert second.published
    live = published_ranker(deployment.artifacts)
    swap = HotSwap(live, deployment.world.log)
    with learning(role):
        wait(lambda: role.status.base == second.version)
        deployment.visit()
        wait(lambda: role.status.learned > 0 and swap.step() == 0 and swap.rows > 0)
        deployment.artifacts.roll_back(RANKER)
        wait(lambda: role.status.base == first.version)
        wait(lambda: swap.step() == 0)
        assert live.version == first.version
        deployment.visit()
        wait(lambda: swap.step() == 0 and swap.rows > 0)
