"""Tests of signals: what events mean for videos, and whether it is new."""

import tempfile
from pathlib import Path

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.folded_world import NOW, World
from reelrank.features.columns import VideoColumns, length_class
from reelrank.features.signals import Block, BlockBuilder, UnknownSignals, decode_block, encode_block
from reelrank.features.windows import Counter
from reelrank.storage.counter_store import Kind


def same(one: Block, other: Block) -> bool:
    return all(np.array_equal(mine, theirs) for mine, theirs in zip(one, other, strict=True))


def rows_of(block: Block) -> list[tuple[int, int, int, int, int]]:
    """(origin, kind, key, counter, amount) of everything that a block counts."""
    return sorted(
        (int(block.origins[entry]), int(kind), int(key), int(counter), int(amount))
        for entry, kind, key in zip(block.target_entries, block.target_kinds, block.target_keys, strict=True)
        for of, counter, amount in zip(block.amount_entries, block.amount_counters, block.amounts, strict=True)
        if of == entry
    )


def some_block(columns: VideoColumns, origins: list[int], origin_from: int, origin_to: int) -> Block:
    builder = BlockBuilder(columns)
    for origin in origins:
        if origin % 3 == 0:
            builder.author(origin, NOW + origin, 1, ((Counter.FOLLOWS, 1),))
        else:
            builder.video(origin, NOW + origin, origin % 5, -1, ((Counter.CLICKS, 1), (Counter.WATCHED_DS, origin)), origin % 2)
    return builder.block(origin_from, origin_to)


def test_an_event_counts_for_everything_that_its_video_stands_for(world: World) -> None:
    builder = BlockBuilder(world.columns)
    builder.video(7, NOW, 0, 1, ((Counter.LIKES, 1),), surface=2)
    block = builder.block(5, 9)
    tags = [(Kind.TAG, tag) for tag in world.columns.tag_rows[0].tolist() if tag >= 0]
    assert len(tags) == 2
    whom = [(Kind.VIDEO, 0), (Kind.AUTHOR, 0), (Kind.SOUND, 0), (Kind.PLACE_VIDEO, 1 << 32), (Kind.EVERYTHING, 0), *tags]
    whom += [(Kind.SURFACE, 2), (Kind.SURFACE_VIDEO, 2 << 32), (Kind.SURFACE_LENGTH, 2 << 32 | length_class(10.0))]
    assert rows_of(block) == sorted((7, int(kind), key, int(Counter.LIKES), 1) for kind, key in whom)
    assert block.seconds.tolist() == [int(NOW)]


def test_a_follow_counts_for_the_author_alone(world: World) -> None:
    builder = BlockBuilder(world.columns)
    builder.author(3, NOW, 1, ((Counter.FOLLOWS, -1),))
    assert rows_of(builder.block(3, 4)) == [(3, Kind.AUTHOR, 1, Counter.FOLLOWS, -1)]


@settings(max_examples=30)
@given(st.lists(st.integers(10, 40), max_size=12), st.integers(0, 50))
def test_a_block_comes_back_and_gives_what_is_new(world_columns: VideoColumns, origins: list[int], since: int) -> None:
    block = some_block(world_columns, sorted(origins), 10, 41)
    again = decode_block(encode_block(block))
    assert same(again, block)
    assert rows_of(again.since(since)) == [row for row in rows_of(block) if row[0] >= since]


@given(st.lists(st.integers(10, 40), max_size=30), st.integers(1, 5))
def test_the_blocks_it_is_split_into_are_the_whole(world_columns: VideoColumns, origins: list[int], entries: int) -> None:
    block = some_block(world_columns, sorted(origins), 10, 41)
    parts = list(block.split(entries))
    assert [row for part in parts for row in rows_of(part)] == rows_of(block)
    assert [parts[0].origin_from, *(part.origin_to for part in parts)] == [*(part.origin_from for part in parts), 41]
    assert all(len(part.origins) <= entries or len(set(part.origins.tolist())) == 1 for part in parts)


@pytest.fixture(scope="module")
def world_columns(tmp_path_factory: pytest.TempPathFactory) -> VideoColumns:
    return World(tmp_path_factory.mktemp("signals")).columns


def test_what_is_no_block_says_so(world_columns: VideoColumns) -> None:
    with pytest.raises(UnknownSignals, match="can't be read"):
        decode_block(b"from another planet")
    block = encode_block(some_block(world_columns, [10], 10, 11))
    with pytest.raises(UnknownSignals, match="has format 127; this release reads 2: bring it up to date"):
        decode_block(block.replace(b"\x02", b"\x7f", 1))
    with pytest.raises(UnknownSignals, match="has format 1; this release reads 2: it comes again when the users are folded again"):
        decode_block(block.replace(b"\x02", b"\x01", 1))


@settings(max_examples=30)
@given(st.lists(st.integers(10, 40), unique=True, max_size=20), st.integers(5, 50))
def test_a_block_is_what_comes_before_an_origin_and_what_comes_from_it_on(origins: list[int], origin: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        world = World(Path(folder))
        block = some_block(world.columns, sorted(origins), 10, 41)
        before, after = block.until(origin), block.since(origin)
        assert rows_of(before) + rows_of(after) == rows_of(block)
        assert (before.origin_from, before.origin_to) == (10, min(max(origin, 10), 41))
        assert (after.origin_from, after.origin_to) == (min(max(origin, 10), 41), 41)
        world.close()


@pytest.mark.parametrize("columns", [{"origins": b"abc"}, {"target_kinds": b"\x63"}, {"amount_counters": b"\x63"}, {"target_entries": b"\x09\0\0\0"}])
def test_a_block_that_contradicts_itself_is_refused(columns: dict[str, bytes]) -> None:
    one = {"origins": bytes(4), "seconds": bytes(4), "target_entries": bytes(4), "target_kinds": b"\x01", "target_keys": bytes(8)}
    one |= {"amount_entries": bytes(4), "amount_counters": b"\0", "amounts": bytes(4)}
    assert decode_block(msgspec.msgpack.encode([2, 0, 1, *one.values()])).origin_to == 1
    with pytest.raises(UnknownSignals):
        decode_block(msgspec.msgpack.encode([2, 0, 1, *(one | columns).values()]))
