"""What deployments have served comes out of their logs again: of a generated world, of running processes, of a real day."""

import itertools
import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from conftest import NOW
from reelrank.benchmarks.local_server import free_port
from reelrank.benchmarks.scratch import in_folder
from reelrank.benchmarks.skew_audit import audit_day, audit_deployment
from reelrank.cli.progress import TerminalProgress
from reelrank.config import Settings
from reelrank.domain.clock import ManualClock
from reelrank.domain.event import Event, Served, Skip, VideoPublished, Watch, decode_accepted, encode_accepted
from reelrank.events.validation import Batch, Decoded
from reelrank.features.definitions import COLUMN
from reelrank.features.served_slates import Chosen
from reelrank.features.skew import CO_WATCH_GONE
from reelrank.feed import FeedRequest
from reelrank.ranking.answered_slate import Slate
from reelrank.simulation.client import FeedClient
from reelrank.simulation.kuairand import DataError, KuaiRand
from reelrank.simulation.past import past_events
from reelrank.simulation.world import World
from reelrank.storage.event_log import EVENTS, Record, StorageError
from reelrank.storage.online_store import OnlineStore, Snapshot
from reelrank.supervisor import running
from reelrank.wiring import Reelrank, open_reelrank
from simulation.small_log import shown, write

PROGRESS = TerminalProgress()


@dataclass
class Town:
    """A generated world in one process; people watch what the feed gives them."""

    system: Reelrank
    clock: ManualClock
    watched: int = 0

    def see(self, events: Sequence[Event]) -> None:
        for start in range(0, len(events), 500):
            receipt = self.system.collector.accept(Batch([Decoded(index, event) for index, event in enumerate(events[start : start + 500])], []))
            assert not receipt.refused
        self.system.stream.catch_up()

    def feed(self, user_id: str, exploration: bool = True) -> Slate:
        self.system.feed.refresh()
        slate = self.system.feed.recommend(FeedRequest(user_id=user_id, exploration=exploration), self.clock.now())
        self.system.feed.flush()
        return slate

    def turn(self, users: Sequence[str]) -> None:
        """Everybody gets a feed and watches the first three videos of it."""
        for user_id in users:
            self.clock.advance_to(self.clock.now() + 7.0)
            video_ids = [self.system.columns.videos[place.row].video_id for place in self.feed(user_id).places[:3]]
            self.see([Watch(event_id=f"t{self.watched}-{at}", user_id=user_id, video_id=one, watched_s=3.0 + 9 * at) for at, one in enumerate(video_ids)])
            self.watched += 1


@pytest.fixture
def town(open_system: Callable[..., Reelrank]) -> Town:
    world = World.from_seed(5, videos=80, users=40, now=NOW)
    clock = ManualClock(NOW)
    town = Town(open_system(clock), clock)
    town.see(all_of(world, np.random.default_rng(5), NOW, 3_000))
    town.system.columns.refresh()
    town.system.index_builder.build()
    return town


def all_of(world: World, rng: np.random.Generator, until: float, events: int) -> list[Event]:
    """The videos of a world, and what people did with them before."""
    published = [VideoPublished(event_id=f"p-{video.video_id}", occurred_at=video.uploaded_at, video=video) for video in world.videos]
    return [*published, *(event for event in past_events(world, rng, until, events=events) if not isinstance(event, VideoPublished | Served))]


def slates_of(system: Reelrank) -> list[Served]:
    records = [record for partition in range(4) for record in system.log.read(EVENTS, partition, 0, 100_000)]
    return [event for record in records if isinstance(event := decode_accepted(record.value).event, Served) and event.models]


def test_the_feeds_of_a_town_are_what_its_log_says_whatever_model_was_in_force(town: Town) -> None:
    everybody = sorted({user_id for user_id, _ in town.system.store.scan_users()})[:12]
    town.turn(everybody)
    town.system.index_builder.build()
    town.turn(["somebody new", *everybody])
    town.feed(everybody[0], exploration=False)
    assert len({slate.models["item_to_item"] for slate in slates_of(town.system)}) == 2
    assert sum(shown.features[COLUMN["co_watch"]] != 0 for slate in slates_of(town.system) for shown in slate.videos) > 20
    found = audit_deployment(town.system, PROGRESS)
    assert (found.slates, found.differences, found.skipped) == (26, 0, {})
    assert found.rows == 260
    assert audit_deployment(town.system, PROGRESS, Chosen(policy="somebody else")).rows == 0


def test_a_slate_of_what_waited_has_the_features_of_when_it_was_ranked(town: Town) -> None:
    active, _ = max(town.system.store.scan_users(), key=lambda one: len(one[1]))
    first = town.feed(active)
    town.clock.advance_to(town.clock.now() + 5.0)
    skipped = town.system.columns.videos[first.places[0].row].video_id
    town.see([Skip(event_id="skip", user_id=active, video_id=skipped, watched_s=0.5)])
    town.clock.advance_to(town.clock.now() + 5.0)
    assert town.feed(active).kept
    found = audit_deployment(town.system, PROGRESS)
    assert (found.slates, found.rows, found.differences, found.skipped) == (2, 20, 0, {})


def test_a_model_that_is_not_kept_any_more_leaves_out_its_own_column_and_says_so(town: Town) -> None:
    town.turn(["somebody new", "u1"])
    (version,) = {slate.models["item_to_item"] for slate in slates_of(town.system)}
    town.system.artifacts.keep = 1
    town.see([Watch(event_id="later", user_id="u2", video_id=town.system.columns.videos[0].video_id, watched_s=5.0)])
    town.system.index_builder.build()
    assert town.system.artifacts.version("item_to_item", version) is None
    found = audit_deployment(town.system, PROGRESS)
    assert (found.slates, found.rows, found.differences, found.skipped) == (2, 20, 0, {CO_WATCH_GONE: 2})


def test_a_slate_that_names_another_model_is_found(town: Town) -> None:
    active, _ = max(town.system.store.scan_users(), key=lambda one: len(one[1]))
    town.feed(active)
    before = slates_of(town.system)[-1]
    town.turn(["somebody new"])
    town.system.index_builder.build()
    current = town.system.artifacts.current("item_to_item")
    assert current is not None
    wrong = msgspec.structs.replace(before, event_id="wrong", request_id="wrong", models={"item_to_item": current.manifest.version})
    accepted = next(
        decode_accepted(record.value)
        for partition in range(4)
        for record in town.system.log.read(EVENTS, partition, 0, 100_000)
        if decode_accepted(record.value).event.event_id == before.event_id
    )
    town.system.log.append(EVENTS, [Record(active, encode_accepted(msgspec.structs.replace(accepted, event=wrong)))])
    found = audit_deployment(town.system, PROGRESS)
    assert found.differences > 0
    assert set(found.by_feature) == {"co_watch"}
    assert {example.request_id for example in found.examples} == {"wrong"}


class Unsteady:
    """An online store that is away now and then."""

    def __init__(self, store: OnlineStore) -> None:
        self._store = store
        self.away = False

    def read(self, user_ids: Sequence[str]) -> Snapshot:
        if self.away:
            raise StorageError("the online store is away")
        return self._store.read(user_ids)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)


def test_a_degraded_slate_is_reproduced_as_it_was(open_system: Callable[..., Reelrank]) -> None:
    world, clock = World.from_seed(6, videos=60, users=20, now=NOW), ManualClock(NOW)
    system = open_system(clock)
    store = system.store = Unsteady(system.store)
    town = Town(system, clock)
    town.see(all_of(world, np.random.default_rng(6), NOW, 1_500))
    system.columns.refresh()
    system.index_builder.build()
    active, _ = max(system.store.scan_users(), key=lambda one: len(one[1]))
    town.feed(active)
    store.away = True
    assert town.feed(active).degraded
    store.away = False
    with_user, without = slates_of(system)
    assert with_user.user_offset > without.user_offset == 0
    assert with_user.videos[0].features[COLUMN["user_outcomes"]] > without.videos[0].features[COLUMN["user_outcomes"]] == 0
    found = audit_deployment(system, PROGRESS)
    assert (found.slates, found.differences, found.skipped) == (2, 0, {})


def use(client: FeedClient, name: str, stopping: threading.Event) -> None:
    """Five people ask for feeds and watch, one after the other."""
    for number in itertools.count():
        if stopping.is_set():
            return
        user_id = f"{name}{number % 5}"
        events: list[Event] = [
            Watch(event_id=f"{name}-{number}-{one['position']}", user_id=user_id, video_id=one["video_id"], watched_s=9.0, occurred_at=time.time())
            for one in client.feed(user_id, count=8)["videos"][:3]
        ]
        client.post_events(events)


def test_two_serving_processes_that_people_use_right_now_serve_what_the_log_says(tmp_path: Path) -> None:
    settings = in_folder(tmp_path / "data", Settings())
    second = msgspec.structs.replace(settings, serving=msgspec.structs.replace(settings.serving, port=free_port()))
    now = time.time()
    world = World.from_seed(7, videos=60, users=20, now=now)
    stopping = threading.Event()
    with (
        running(settings, ("stream", "index", "serve")) as one,
        running(second, ("serve",)) as other,
        FeedClient(one.url) as at_one,
        FeedClient(other.url) as at_other,
    ):
        at_one.post_events(all_of(world, np.random.default_rng(7), now, 1_500))
        using = [threading.Thread(target=use, args=(client, name, stopping)) for client, name in ((at_one, "a"), (at_other, "b"), (at_other, "c"))]
        for thread in using:
            thread.start()
        time.sleep(3.0)
        words = ["audit", "skew", "--data-dir", settings.data_dir, "--policy", "reelrank", "--json"]
        done = subprocess.run([sys.executable, "-m", "reelrank.cli", *words], capture_output=True, text=True, timeout=120)
        stopping.set()
        for thread in using:
            thread.join()
    assert done.returncode == 0, done.stdout + done.stderr
    numbers = json.loads(done.stdout.splitlines()[-1])
    assert (numbers["differences"], numbers["by_feature"]) == (0, {})
    assert numbers["rows"] > 100
    system = open_reelrank(settings)
    assert audit_deployment(system, PROGRESS).differences == 0  # and all the rest, after they have stopped
    system.close()


def test_a_day_of_a_log_is_replayed_after_the_days_before_it(tmp_path: Path) -> None:
    yesterday = [shown(5, place % 3, at_s=place * 40, played_s=2, is_click=1) for place in range(20)]
    today = [shown(5 + place % 2, place % 3, at_s=90_000 + place * 20, played_s=30, long_view=1, date=20220426) for place in range(40)]
    data = write(tmp_path, [*yesterday, *today])
    found = audit_day(data, data.exposures(), 20220426, PROGRESS, feeds=10)
    assert (found.differences, found.skipped) == (0, {})
    assert found.slates >= 40
    with pytest.raises(DataError, match="nothing on 20220501; of the days up to then it has 20220425 to 20220426"):
        audit_day(data, data.exposures(until_day=20220501), 20220501, PROGRESS)
    with pytest.raises(DataError, match="nothing on 20220401; of the days up to then it has none"):
        audit_day(data, data.exposures(until_day=20220401), 20220401, PROGRESS)


def test_a_beginning_of_a_real_day_is_served_as_its_log_says(real_data: Path) -> None:
    data = KuaiRand(real_data / "kuairand-pure")
    found = audit_day(data, data.exposures(from_day=20220506, limit=600), 20220506, PROGRESS, feeds=30, histories=150)
    assert (found.differences, found.skipped) == (0, {})
    assert found.slates == 630
    assert found.rows == 600 + 300
