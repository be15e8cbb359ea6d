"""Tests of the fold: every event once, the same bytes whatever happened on the way."""

import os
import random
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.folded_world import NOW, REPEAT_WINDOW, World, video_ids
from reelrank.benchmarks.refold import Records
from reelrank.domain.event import (
    Block,
    Comment,
    Context,
    Event,
    Follow,
    Hide,
    History,
    Impression,
    Like,
    Profile,
    Report,
    Served,
    ServedVideo,
    Share,
    Skip,
    Topic,
    Unblock,
    Unfollow,
    Unlike,
    Watch,
)
from reelrank.domain.video import Video
from reelrank.features import windows
from reelrank.features.user_fold import StreamConfig, UserFold
from reelrank.features.windows import Counter
from reelrank.storage.counter_store import Kind
from reelrank.storage.event_log import EVENTS, Record
from reelrank.storage.online_store_embedded import EmbeddedOnlineStore

KINDS: list[type[Event]] = [
    Impression, Watch, Skip, Like, Unlike, Share, Comment, Hide, Report, Follow, Unfollow, Served, History, Block, Unblock, Topic, Profile,
]  # fmt: skip


def any_event(number: int, kind: type[Event], user: int, video: int, ago_s: float, place: str) -> Event:
    own: dict[str, Any] = {"video_id": f"v{video}"}
    if kind in (Follow, Unfollow):
        own = {"author_id": f"a{video % 2}"}
    elif kind is Served:
        own = {"policy": "test", "videos": (ServedVideo(video_id=f"v{video}"), ServedVideo(video_id="v0"))}
    elif kind is History:
        own = {"watched": ("v1", f"v{video}"), "long_viewed": ("v2", "v1"), "liked": (f"v{video}",)}
    elif kind is Watch:
        own |= {"watched_s": float(video * 4), "replays": video}
    elif kind in (Block, Unblock):
        own = {"what": ("author", "word", "sound")[video % 3], "name": f"a{video % 2}"}
    elif kind is Topic:
        own = {"topic": "cats", "wish": ("more", "less", "usual")[video % 3]}
    elif kind is Profile:
        own = {"age": 10 + video, "region": "PT"}
    elif kind is Hide:
        own |= {"whole_author": video == 1}
    context = Context(place=place, surface="search" if video % 2 else "for_you")
    return kind(event_id=f"e{number}", user_id=f"u{user}", occurred_at=NOW - ago_s, context=context, **own)  # pyright: ignore[reportCallIssue]


@st.composite
def events(draw: st.DrawFn) -> list[Event]:
    ago = st.sampled_from([0.0, 0.0005, 30.0, 400.0, 90_000.0, 700_000.0, 5_000_000.0])
    drawn = draw(
        st.lists(st.tuples(st.sampled_from(KINDS), st.integers(0, 2), st.integers(0, 4), ago, st.sampled_from(["", "Rome", "Oslo"])), min_size=1, max_size=25)
    )
    return [any_event(number, *one) for number, one in enumerate(drawn)]


class Crash(Exception):
    """The fold dies."""


class DyingStore(EmbeddedOnlineStore):
    """Loses every fold at its commit."""

    def __init__(self, store: EmbeddedOnlineStore) -> None:
        self.__dict__ = store.__dict__

    def commit(self, partition: int, folded_from: int, folded_to: int, users: Mapping[str, bytes], fingerprints: bytes) -> None:
        raise Crash


def crash_in_the_middle(world: World, batch: int) -> None:
    """Folds a batch of every partition up to its commit, then loses it: the signals have gone out, nobody knows of it."""
    dying = UserFold(world.log, DyingStore(world.store), world.columns, REPEAT_WINDOW, StreamConfig(batch=batch, history=4))
    for partition in range(world.log.partitions):
        if world.log.end(EVENTS, partition) > world.store.offsets()[partition]:
            with pytest.raises(Crash):
                dying.fold_once(partition)


def state_without_offsets(world: World) -> Records:
    return {name: record for name, record in world.state().items() if not name[0].endswith(" folded")}


@settings(max_examples=25)
@given(events(), st.data())
def test_any_interleaving_with_repeats_and_crashes_folds_to_the_same_bytes(happened: list[Event], data: st.DataObject) -> None:
    with tempfile.TemporaryDirectory() as folder:
        straight = World(Path(folder) / "straight", history=4)
        straight.see(*happened)
        shuffled = data.draw(st.permutations(happened))
        repeated = [*shuffled, *data.draw(st.lists(st.sampled_from(happened), max_size=10))]
        world = World(Path(folder) / "shuffled", partitions=2, batch=data.draw(st.integers(1, 7)), history=4)
        while repeated:
            size = data.draw(st.integers(1, len(repeated)))
            world.append(*repeated[:size])
            del repeated[:size]
            if data.draw(st.booleans()):
                crash_in_the_middle(world, data.draw(st.integers(1, 7)))
            if data.draw(st.booleans()):
                world.stream.catch_up()
        world.stream.catch_up()
        assert state_without_offsets(world) == state_without_offsets(straight)
        assert sum(world.store.offsets()) >= len(happened)
        world.close()
        straight.close()


def event(kind: type[Event], name: str, user_id: str = "ana", **more: Any) -> Any:
    return kind(**{"event_id": name, "user_id": user_id, "video_id": "v0", "occurred_at": NOW, **more})  # pyright: ignore[reportCallIssue]


def test_a_repeat_changes_nothing(world: World) -> None:
    like = event(Like, "1")
    world.see(like)
    before = state_without_offsets(world)
    world.see(like)
    world.see(like, like)
    assert state_without_offsets(world) == before
    assert world.total(Kind.VIDEO, 0, Counter.LIKES) == 1


def test_two_users_may_choose_the_same_event_id(world: World) -> None:
    world.see(event(Like, "1"), event(Like, "1", "ben"))
    assert world.total(Kind.VIDEO, 0, Counter.LIKES) == 2


def test_a_like_counts_at_once_for_all_that_the_video_belongs_to(world: World) -> None:
    world.see(event(Like, "1", context=Context(place="Oslo", surface="search")))
    assert video_ids(world.user("ana").liked) == ["v0"]
    row = world.columns.rows["v0"]
    tags = [tag for tag in world.columns.tag_rows[row].tolist() if tag >= 0]
    oslo = world.columns.places["Oslo"]
    keys = [
        (Kind.EVERYTHING, 0),
        (Kind.VIDEO, row),
        (Kind.AUTHOR, 0),
        (Kind.SOUND, 0),
        (Kind.PLACE_VIDEO, oslo << 32 | row),
        (Kind.SURFACE, 2),
        (Kind.SURFACE_VIDEO, 2 << 32 | row),
        (Kind.SURFACE_LENGTH, 2 << 32 | int(world.columns.length_class[row])),
        *((Kind.TAG, tag) for tag in tags),
    ]
    assert [world.total(kind, key, Counter.LIKES) for kind, key in keys] == [1] * 10
    assert world.user("ana").counts[Counter.LIKES] == 1
    assert world.user("ana").place == "Oslo"


def test_a_surface_counts_what_was_done_there_and_neither_what_was_only_shown_nor_a_past_without_times(world: World) -> None:
    here = Context(surface="search")
    world.see(event(Impression, "1", context=here), event(Watch, "2", watched_s=9.0, context=here), event(Skip, "3"))
    world.see(History(event_id="4", user_id="ana", occurred_at=NOW, watched=("v0",), long_viewed=("v1",), context=here))
    counted = {counter: world.total(Kind.SURFACE, 2, counter) for counter in (Counter.IMPRESSIONS, Counter.CLICKS, Counter.SKIPS, Counter.WATCHED_DS)}
    assert counted == {Counter.IMPRESSIONS: 0, Counter.CLICKS: 1, Counter.SKIPS: 0, Counter.WATCHED_DS: 90}
    assert world.reader.scan(Kind.SURFACE)[0].tolist() == [2]


def test_a_like_taken_back_is_gone(world: World) -> None:
    world.see(event(Like, "1"), event(Unlike, "2", occurred_at=NOW + 1))
    assert len(world.user("ana").liked) == 0
    assert world.total(Kind.VIDEO, 0, Counter.LIKES) == 0


def test_a_watch_is_counted_for_what_it_was(world: World) -> None:
    world.see(event(Watch, "1", watched_s=10.0, replays=2), event(Watch, "2", watched_s=4.0), event(Skip, "3", watched_s=0.5), event(Impression, "4"))
    expected = {
        Counter.CLICKS: 2,
        Counter.SKIPS: 1,
        Counter.LONG_VIEWS: 1,
        Counter.COMPLETIONS: 1,
        Counter.REPLAYS: 2,
        Counter.WATCHED_DS: 145,
        Counter.IMPRESSIONS: 1,
    }
    assert {counter: world.total(Kind.VIDEO, 0, counter) for counter in expected} == expected
    user = world.user("ana")
    assert {counter: int(user.counts[counter]) for counter in expected} == expected
    assert sorted(zip(user.watches.watched_s.tolist(), user.watches.skipped.tolist(), user.watches.long_view.tolist(), strict=True)) == [
        (0.5, True, False),
        (4.0, False, False),
        (10.0, False, True),
    ]
    assert list(user.seen) == [0]


def test_an_unknown_id_is_left_out_with_a_warning(world: World, caplog: pytest.LogCaptureFixture) -> None:
    lost: list[Event] = [
        event(Watch, "1", video_id="nobody", watched_s=1.0, context=Context(place="Rome")),
        Follow(event_id="2", user_id="ana", author_id="nobody"),
        History(event_id="3", user_id="ana", watched=("v1",), liked=("v0", "nobody")),
        Served(event_id="4", user_id="ana", policy="test", videos=(ServedVideo(video_id="v0"), ServedVideo(video_id="nobody"))),
    ]
    world.see(*lost, event(Like, "5", "ben"))
    assert [record.getMessage().split(":")[0] for record in caplog.records] == [f"event {number} was not folded" for number in range(1, 5)]
    assert [user_id for user_id, _ in world.store.scan_users()] == ["ben"]  # nothing of them, not even a part
    assert world.total(Kind.VIDEO, 1, Counter.CLICKS) == 0
    assert world.store.offsets() == (5,)


def test_a_record_that_can_not_be_read_does_not_stop_the_ones_behind_it(world: World, caplog: pytest.LogCaptureFixture) -> None:
    world.log.append(EVENTS, [Record("ana", b"from another planet")])
    world.see(event(Like, "1", video_id="v0"))
    assert video_ids(world.user("ana").liked) == ["v0"]
    assert "offset 0 can't be read" in caplog.text


def test_a_video_published_a_moment_ago_is_found(world: World) -> None:
    world.catalog.publish([Video(video_id="new", author_id="new author", duration_s=1.0, uploaded_at=NOW)])
    world.see(event(Like, "1", video_id="new"), Follow(event_id="2", user_id="ana", author_id="new author"))
    assert world.user("ana").liked.tolist() == [5]
    assert world.user("ana").followed.tolist() == [2]


def test_a_history_is_a_base_state_without_times(world: World) -> None:
    world.see(
        event(Watch, "1", video_id="v4", watched_s=1.0, occurred_at=NOW + 1),
        History(event_id="2", user_id="ana", occurred_at=NOW, watched=("v1", "v0"), long_viewed=("v3", "v0"), liked=("v2",)),
    )
    user = world.user("ana")
    assert video_ids(user.watches.video_rows) == ["v3", "v1", "v0", "v4"]
    assert user.watches.long_view.tolist() == [True, False, True, False]
    assert np.isnan(user.watches.occurred_at).tolist() == [True, True, True, False]
    assert (user.base_watches, user.base_long_views) == (3, 2)
    assert video_ids(user.liked) == ["v2"]
    assert video_ids(list(user.seen)) == ["v0", "v1", "v3", "v4"]
    assert [world.total(Kind.VIDEO, row, Counter.CLICKS) for row in range(5)] == [1, 0, 0, 1, 1]
    assert not windows.window(world.reader.video_counters(np.arange(4)), "7d", NOW).any()


def test_a_watch_remembers_its_surface_and_a_base_state_has_none(world: World) -> None:
    world.see(
        History(event_id="1", user_id="ana", occurred_at=NOW - 9, watched=("v0",), context=Context(surface="search")),
        event(Watch, "2", video_id="v1", watched_s=1.0, occurred_at=NOW - 3, context=Context(surface="search")),
        event(Skip, "3", video_id="v2", occurred_at=NOW - 2, context=Context()),
        event(Watch, "4", video_id="v3", watched_s=1.0, occurred_at=NOW - 1),
        event(Watch, "5", video_id="v4", watched_s=1.0, occurred_at=NOW, context=Context(surface="friends")),
    )
    assert world.user("ana").watches.surface.tolist() == [0, *(world.columns.surfaces[name] for name in ("search", "for_you")), 0, 3]


def test_the_earliest_moment_an_event_may_have_is_folded(world: World) -> None:
    world.see(History(event_id="1", user_id="ana", occurred_at=0.0, watched=("v1", "v0"), liked=("v2",)))
    assert len(world.user("ana").watches) == 2


def test_following_and_unfollowing_an_author(world: World) -> None:
    world.see(Follow(event_id="1", user_id="ana", author_id="a1", occurred_at=NOW))
    assert world.user("ana").followed.tolist() == [1]
    assert world.total(Kind.AUTHOR, 1, Counter.FOLLOWS) == 1
    world.see(Unfollow(event_id="2", user_id="ana", author_id="a1", occurred_at=NOW + 1))
    assert world.user("ana").followed.tolist() == []
    assert world.total(Kind.AUTHOR, 1, Counter.FOLLOWS) == 0


def test_hiding_a_whole_author_blocks_every_video_of_theirs(world: World) -> None:
    world.see(event(Hide, "1", video_id="v0"), event(Hide, "2", video_id="v3", whole_author=True), event(Report, "3", video_id="v2"))
    assert sorted(video_ids(world.user("ana").hidden)) == ["v0", "v2", "v3"]
    assert world.user("ana").blocked.tolist() == [1]
    assert world.total(Kind.VIDEO, 2, Counter.HIDES) == 1


def test_what_was_served_is_remembered_in_order(world: World) -> None:
    for number in range(3):
        shown = ServedVideo(video_id=f"v{number}")
        world.see(Served(event_id=str(number), user_id="ana", policy="test", videos=(shown,), occurred_at=NOW + number))
    assert video_ids(world.user("ana").served_rows) == ["v0", "v1", "v2"]
    assert world.user("ana").served_at.tolist() == [NOW, NOW + 1, NOW + 2]


def test_the_stream_follows_the_log_until_it_is_stopped(world: World) -> None:
    stopped = threading.Event()
    thread = threading.Thread(target=world.stream.follow, args=(stopped.is_set,), daemon=True)
    thread.start()
    try:
        world.append(event(Like, "1"))
        deadline = time.monotonic() + 20
        while world.store.offsets() != (1,):
            assert time.monotonic() < deadline
            time.sleep(0.002)
    finally:
        stopped.set()
        thread.join(20)
    assert not thread.is_alive()
    claim = world.counters.claim()
    assert claim is not None
    with claim:
        pass


def test_a_fold_that_another_process_was_faster_with_is_not_repeated(world: World) -> None:
    slow = UserFold(world.log, world.store, world.columns, REPEAT_WINDOW)
    assert slow.offset(0) == 0  # it has looked at the store, and then it sleeps
    world.see(event(Like, "1"))
    before = world.state()
    assert slow.fold_once(0) == 0
    world.stream.catch_up()
    assert world.state() == before
    assert slow.offset(0) == 1
    assert world.total(Kind.VIDEO, 0, Counter.LIKES) == 1


_FOLLOWER = """
import sys
from pathlib import Path
from features.folded_world import World
world = World(Path(sys.argv[1]), partitions=2, batch=7, history=64)
world.stream.follow(lambda: False)
"""


def test_a_stream_that_is_killed_again_and_again_ends_where_an_undisturbed_one_does(tmp_path: Path) -> None:
    chance = random.Random()
    kinds = [chance.choice(KINDS) for _ in range(600)]
    happened = [
        any_event(number, kind, chance.randrange(20), chance.randrange(5), chance.random() * 1e6, chance.choice(["", "Rome"]))
        for number, kind in enumerate(kinds)
    ]
    world, straight = World(tmp_path / "killed", partitions=2, history=64), World(tmp_path / "straight", partitions=2, history=64)
    straight.see(*happened)
    world.append(*happened)
    folded: list[int] = []
    for life in range(6):
        before = sum(world.store.offsets())
        path = os.environ | {"PYTHONPATH": str(Path(__file__).parents[1])}
        child = subprocess.Popen([sys.executable, "-W", "error", "-c", _FOLLOWER, str(tmp_path / "killed")], env=path)
        wanted = len(happened) if life == 5 else min(before + chance.randint(1, 150), len(happened))
        deadline = time.monotonic() + 60
        while sum(world.store.offsets()) < wanted or (life == 5 and sum(world.counters.position().origins) < wanted):
            assert child.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.001)
        child.kill()
        child.wait()
        folded.append(sum(world.store.offsets()))
    assert folded == sorted(folded)
    assert world.state() == straight.state()
    world.close()
    straight.close()
