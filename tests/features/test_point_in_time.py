"""Served features come out of the log again bit for bit, and whatever was changed is found."""

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.audited import PARAMS, altered, audited, served
from features.folded_world import NOW, World, rows
from features.test_stream import events
from reelrank.domain.event import Accepted, Context, Event, Impression, Like, Watch, decode_accepted, encode_accepted
from reelrank.domain.params import FeedParams
from reelrank.features import packing
from reelrank.features.counter_fold import CounterFold
from reelrank.features.definitions import COLUMN
from reelrank.features.encoding import encode
from reelrank.features.reader import FeatureReader
from reelrank.features.served_slates import Chosen, in_chains
from reelrank.features.skew import BEYOND
from reelrank.features.windows import RINGS, Counter
from reelrank.storage.counter_store import CounterStore, Kind, Position
from reelrank.storage.event_log import EVENTS, Record, partition_of

USERS = ("u0", "u1", "u2", "nobody")
SURFACES = ("for_you", "search", "new here")


@contextmanager
def world_of(partitions: int = 3, batch: int = 7) -> Iterator[World]:
    with tempfile.TemporaryDirectory() as folder:
        world = World(Path(folder), partitions, batch)
        yield world
        world.close()


def watched(number: int, user: str = "u0", video: int = 0, watched_s: float = 20.0, ago_s: float = 60.0) -> Event:
    return Watch(event_id=f"w{number}", user_id=user, video_id=f"v{video}", watched_s=watched_s, occurred_at=NOW - ago_s)


def busy(world: World) -> None:
    """Two slates for each of two users, with watches before, between and after."""
    for number in range(4):
        world.see(watched(number, f"u{number % 2}", number), Impression(event_id=f"i{number}", user_id="u2", video_id="v0", occurred_at=NOW - number))
        world.append(served(world, f"s{number}", f"u{number % 2}", 0, 1, 2, 3, 4, at=NOW + number))
    world.see(watched(9, "u0", 0), watched(10, "u1", 4))


def live(world: World, machines: Sequence[tuple[CounterStore, FeatureReader]], seed: int) -> int:
    """Sixty things that happen in any order: events, folds of some users, folds of some counters, slates. Returns how many rows were served."""
    rng = np.random.default_rng(seed)
    rows_served = 0
    for number in range(60):
        counters, reader = machines[int(rng.integers(len(machines)))]
        what, partition, user = rng.random(), int(rng.integers(3)), USERS[rng.integers(len(USERS))]
        if what < 0.4:
            context = Context(surface=SURFACES[rng.integers(3)])
            video, at = f"v{rng.integers(5)}", {"user_id": user, "occurred_at": NOW - float(rng.random() * 1e5), "context": context}
            kinds = Watch(event_id=f"w{number}", video_id=video, watched_s=float(rng.integers(30)), **at), Like(event_id=f"l{number}", video_id=video, **at)
            world.append(*(kinds if rng.random() < 0.5 else kinds[:1]))
        elif what < 0.6:
            world.users.fold_once(partition, until=world.users.offset(partition) + int(rng.integers(1, 6)))
        elif what < 0.8:
            CounterFold(world.log, counters, blocks=1).fold_once([partition])
        else:
            context = Context(surface=SURFACES[rng.integers(3)])
            world.append(served(world, f"slate {number}", user, 0, 1, 2, 3, 4, at=NOW + number, reader=reader, context=context))
            rows_served += 5
    return rows_served


@settings(max_examples=25)
@given(st.integers(0, 2**32))
def test_slates_come_out_of_the_log_again_however_far_users_and_the_counters_of_two_machines_were_folded(seed: int) -> None:
    with world_of() as world, tempfile.TemporaryDirectory() as folder:
        other = CounterStore(Path(folder), 3, durable=False)
        rows_served = live(world, [(world.counters, world.reader), (other, FeatureReader(world.store, other, world.columns))], seed)
        found = audited(world)
        assert (found.rows, found.differences, found.skipped) == (rows_served, 0, {})
        other.close()


def test_slates_of_two_machines_of_which_neither_was_ahead_of_the_other_are_both_reproduced() -> None:
    with world_of() as world, tempfile.TemporaryDirectory() as folder:
        other = CounterStore(Path(folder), 3, durable=False)
        home = {partition_of(user, 3): user for user in ("u0", "u1", "u2", "u3", "u4", "u5")}
        first, second = sorted(home)[:2]
        for number in range(4):  # one machine counts what the one user did, the other what the other did
            world.append(watched(2 * number, home[first], 0), watched(2 * number + 1, home[second], 1, watched_s=1.0))
            for partition in (first, second):
                world.users.fold_once(partition)
            CounterFold(world.log, world.counters).fold_once([first])
            CounterFold(world.log, other).fold_once([second])
            world.append(served(world, f"a{number}", home[first], 0, 1))
            world.append(served(world, f"b{number}", home[first], 0, 1, reader=FeatureReader(world.store, other, world.columns)))
        assert len(in_chains([world.counters.position().origins, other.position().origins])) == 2
        found = audited(world)
        assert (found.rows, found.differences) == (16, 0)
        other.close()


def test_one_changed_feature_is_found_and_nothing_else() -> None:
    with world_of() as world:
        busy(world)
        column = COLUMN["video_like_rate"]
        world.append(altered(served(world, "changed", "u0", 2, 0), 1, column))
        found = audited(world)
        assert (found.rows, found.differences, found.by_feature) == (22, 1, {"video_like_rate": 1})
        (example,) = found.examples
        assert (example.request_id, example.user_id, example.video_id, example.feature) == ("changed", "u0", "v0", "video_like_rate")
        assert example.served == np.nextafter(np.float32(example.recomputed), np.float32(np.inf))


def test_one_changed_counter_is_found_in_the_video_it_belongs_to() -> None:
    with world_of() as world:
        busy(world)
        keys = rows(3)
        state = packing.unpack(world.counters.read({Kind.VIDEO: keys}).records[Kind.VIDEO])
        state[0, len(RINGS) + Counter.LIKES] += 1
        position = world.counters.position()
        moved = Position(position.origins, tuple(offset + 1 for offset in position.signals))  # a commit goes forward
        world.counters.commit(position, moved, {Kind.VIDEO: (keys, packing.pack(state))})
        world.append(served(world, "off", "u1", 0, 1, 2, 3, 4))
        found = audited(world)
        assert (found.rows, found.differences, found.by_feature) == (25, 1, {"video_like_rate": 1})
        assert [(example.request_id, example.video_id) for example in found.examples] == [("off", "v3")]


def test_one_changed_event_is_found_in_the_slates_after_it_and_not_in_those_before() -> None:
    with world_of(1) as world, world_of(1) as forged:
        busy(world)
        for record in world.log.read(EVENTS, 0, 0, 1_000):
            accepted = decode_accepted(record.value)
            if accepted.event.event_id == "w2":  # u0's second watch: between the second slate and the third
                accepted = msgspec.structs.replace(accepted, event=msgspec.structs.replace(accepted.event, watched_s=1.0))
            forged.log.append(EVENTS, [Record(accepted.event.key, encode_accepted(accepted))])
        assert audited(world).differences == 0
        found = audited(forged)
        assert {example.request_id for example in found.examples} <= {"s2", "s3"}
        assert found.differences == 10
        assert found.by_feature["app_long_view_rate"] == 10
        assert found.by_feature["video_long_view_rate"] >= 2
        assert "app_click_rate" not in found.by_feature


def test_a_lost_record_is_found_even_if_nothing_came_after_it() -> None:
    with world_of(1) as world, world_of(1) as cut:
        busy(world)
        world.append(served(world, "last", "u0", 1, 2))
        records = world.log.read(EVENTS, 0, 0, 1_000)
        cut.log.append(EVENTS, [Record("", record.value, 0) for record in (*records[:-3], records[-1])])  # the watches before the last slate are gone
        found = audited(cut)
        assert (found.rows, found.differences, found.by_feature) == (22, 2, {BEYOND: 2})


def test_what_arrives_twice_counts_once_there_and_here() -> None:
    with world_of() as world:
        busy(world)
        world.see(watched(9, "u0", 0), watched(10, "u1", 4))
        world.append(served(world, "after", "u0", 0, 4))
        assert (audited(world).rows, audited(world).differences) == (22, 0)


def test_a_slate_made_without_the_user_is_reproduced_without_the_user() -> None:
    with world_of() as world:
        busy(world)
        away = msgspec.structs.replace(served(world, "away", "nobody", 0, 1), user_id="u0")  # u0 has watched much, but the store was away
        assert away.user_offset == world.store.read(["nobody"]).offsets[0]
        world.append(msgspec.structs.replace(away, user_offset=0))
        assert (audited(world).rows, audited(world).differences) == (22, 0)
        world.append(msgspec.structs.replace(away, event_id="late", request_id="late", user_offset=world.store.read(["u0"]).offsets[0]))
        assert audited(world).differences == 2


def test_what_can_not_be_compared_is_counted_with_its_reason() -> None:
    with world_of() as world:
        busy(world)
        slate = served(world, "odd", "u0", 0)
        world.append(
            msgspec.structs.replace(slate, event_id="1", offsets=()),
            msgspec.structs.replace(slate, event_id="2", params="other"),
            msgspec.structs.replace(slate, event_id="3", videos=(msgspec.structs.replace(slate.videos[0], video_id="unheard"),)),
            msgspec.structs.replace(slate, event_id="4", videos=(msgspec.structs.replace(slate.videos[0], features=()),)),
            msgspec.structs.replace(slate, event_id="5", videos=(msgspec.structs.replace(slate.videos[0], features=(1.0, 2.0)),)),
        )
        found = audited(world)
        assert (found.rows, found.differences, found.slates) == (20, 0, 4)
        assert sum(found.skipped.values()) == len(found.skipped) == 5
        assert any("params other" in reason for reason in found.skipped)


def test_slates_are_chosen_by_policy_moment_and_number() -> None:
    with world_of() as world:
        busy(world)
        assert audited(world, Chosen(policy="somebody else")).slates == 0
        assert audited(world, Chosen(since=NOW + 2)).slates == 2
        latest = audited(world, Chosen(limit=3))
        assert (latest.slates, latest.differences) == (3, 0)
        assert latest.skipped == {"only the latest 3 slates are looked at": 1}


def test_a_record_that_nobody_can_read_disturbs_nothing() -> None:
    with world_of() as world:
        busy(world)
        for partition in range(3):
            world.log.append(EVENTS, [Record("", b"\x93\x81\xa4type\xa6served", partition)])
        world.see(watched(11))
        world.append(served(world, "after", "u0", 0, 4))
        assert (audited(world).rows, audited(world).differences) == (22, 0)


def test_params_of_several_variants_are_told_apart() -> None:
    other = FeedParams(taste_half_life_s=3_600.0)
    with world_of() as world:
        busy(world)
        assert audited(world, params=(other,)).rows == 0
        assert audited(world, params=(other, PARAMS)).differences == 0


@given(st.lists(st.tuples(*[st.integers(0, 4)] * 3), max_size=30))
def test_chains_hold_every_state_once_and_never_go_back(vectors: list[tuple[int, ...]]) -> None:
    chains = in_chains(vectors)
    assert sorted(vector for chain in chains for vector in chain) == sorted(set(vectors))
    for chain in chains:
        assert all(before <= after for earlier, later in pairwise(chain) for before, after in zip(earlier, later, strict=True))
    if len(set(vectors)) > 1 and all(sorted(column) == list(column) for column in zip(*sorted(vectors), strict=True)):
        assert len(chains) == 1


@settings(max_examples=30)
@given(events(), st.lists(st.tuples(st.sampled_from(USERS), st.lists(st.integers(0, 4), min_size=1, max_size=60), st.floats(0, 1e6)), min_size=1, max_size=12))
def test_the_features_of_a_pair_are_the_same_bits_whatever_else_is_encoded_with_it(happened: list[Event], asked: list[tuple[str, list[int], float]]) -> None:
    with world_of() as world:
        world.see(*happened)
        users = world.reader.users([user_id for user_id, *_ in asked])
        owner = np.repeat(np.arange(len(asked)), [len(videos) for _, videos, _ in asked])
        wanted = rows(*(video for _, videos, _ in asked for video in videos))
        moments = np.array([NOW + after_s for *_, after_s in asked])
        contexts = [Context(local_hour=place, bandwidth_kbps=place * 100, surface=SURFACES[place % 2]) for place in range(len(asked))]
        together = encode(world.reader.read(users, owner, wanted, moments, contexts), world.columns, contexts, PARAMS)
        for place, row in enumerate(wanted.tolist()):
            one = int(owner[place])
            reading = world.reader.read([users[one]], rows(0), rows(row), moments[one : one + 1], [contexts[one]])
            alone = encode(reading, world.columns, [contexts[one]], PARAMS)
            assert alone[0].tobytes() == together[place].tobytes()


def test_the_features_of_a_pair_are_the_same_bits_in_a_batch_as_large_as_a_feed_reads() -> None:
    with world_of() as world:
        rng = np.random.default_rng(0)
        world.see(*(watched(number, f"u{number % 3}", int(rng.integers(5)), float(rng.random() * 30), float(rng.random() * 1e6)) for number in range(300)))
        world.see(*(Like(event_id=f"l{number}", user_id="u0", video_id=f"v{number}", occurred_at=NOW - 777.7 * number) for number in range(4)))
        wanted = rng.integers(5, size=703)
        user = world.user("u0")
        whole = encode(world.reader.read([user], np.zeros_like(wanted), wanted, np.array([NOW])), world.columns, [Context()], PARAMS)
        for size in (1, 2, 3, 7, 8, 9, 15, 16, 17, 63, 64, 65, 500):
            for start in (0, 1, 5):
                part = wanted[start : start + size]
                alone = encode(world.reader.read([user], np.zeros_like(part), part, np.array([NOW])), world.columns, [Context()], PARAMS)
                assert alone.tobytes() == whole[start : start + size].tobytes()


def test_the_moment_of_a_slate_is_the_one_in_the_log_not_the_one_the_sender_named() -> None:
    with world_of() as world:
        world.see(watched(1))
        slate = served(world, "posted", "u0", 0, 1, at=NOW)
        world.log.append(EVENTS, [Record("u0", encode_accepted(Accepted(msgspec.structs.replace(slate, occurred_at=NOW + 9e6), NOW, NOW, clamped_s=9e6)))])
        assert (audited(world).rows, audited(world).differences) == (2, 0)


@pytest.mark.parametrize("batch", [1, 3, 100])
def test_the_size_of_the_batches_that_were_folded_makes_no_difference(batch: int) -> None:
    with world_of(batch=batch) as world:
        busy(world)
        assert (audited(world).rows, audited(world).differences) == (20, 0)
