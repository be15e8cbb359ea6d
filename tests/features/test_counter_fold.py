"""Tests of folding signals: every origin once, however the blocks were cut and how often they came."""

import tempfile
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.folded_world import NOW, World
from reelrank.benchmarks.refold import Records
from reelrank.features import counter_fold
from reelrank.features.counter_fold import CounterFold
from reelrank.features.signals import BlockBuilder, encode_block
from reelrank.features.windows import Counter
from reelrank.storage.counter_store import CounterStore, Kind
from reelrank.storage.event_log import SIGNALS, Record

LAST = 30


def send(world: World, origin_from: int, origin_to: int) -> None:
    """The signals of these origins, as the user fold makes them: always the same for the same origins."""
    builder = BlockBuilder(world.columns)
    for origin in range(origin_from, origin_to):
        builder.video(origin, NOW - 997 * (origin % 7), origin % 5, origin % 3 - 1, ((Counter.CLICKS, 1), (Counter.WATCHED_DS, origin)))
    world.log.append(SIGNALS, [Record("", encode_block(builder.block(origin_from, origin_to)), 0)])


def counted(world: World) -> Records:
    return {name: record for name, record in world.state().items() if name[0] != "users folded"}


@settings(max_examples=30)
@given(st.lists(st.tuples(st.integers(0, 12), st.integers(1, 15), st.booleans()), max_size=12))
def test_blocks_that_come_again_cut_elsewhere_count_once(sent: list[tuple[int, int, bool]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        world, straight = World(Path(folder) / "again"), World(Path(folder) / "straight")
        fold = CounterFold(world.log, world.counters)
        reached = 0
        for back, length, then_fold in sent:  # a process that died goes on from further back
            begin = max(0, reached - back)
            reached = max(reached, begin + length)
            send(world, begin, begin + length)
            if then_fold:
                fold.fold_once()
        send(world, reached, reached + LAST)
        while fold.fold_once():
            pass
        send(straight, 0, reached + LAST)
        CounterFold(straight.log, straight.counters).fold_once()
        assert counted(world) == counted(straight)
        world.close()
        straight.close()


def test_what_follows_a_gap_is_counted_once_what_is_missing_has_come(world: World, caplog: pytest.LogCaptureFixture) -> None:
    fold = CounterFold(world.log, world.counters)
    send(world, 5, 6)  # the second half of an append whose first half did not arrive
    fold.fold_once()
    assert "from 5 on wait for those from 0" in caplog.text
    assert world.counters.position().origins == (0,)
    send(world, 0, 5)
    send(world, 5, 6)
    fold.fold_once()
    assert world.counters.position().origins == (6,)
    assert world.total(Kind.EVERYTHING, 0, Counter.CLICKS) == 6


def test_a_block_that_can_not_be_read_does_not_stop_the_ones_behind_it(world: World, caplog: pytest.LogCaptureFixture) -> None:
    world.log.append(SIGNALS, [Record("", b"from another planet", 0)])
    send(world, 0, 2)
    CounterFold(world.log, world.counters).fold_once()
    assert "were not counted" in caplog.text
    assert world.total(Kind.EVERYTHING, 0, Counter.CLICKS) == 2


def test_kinds_that_are_folded_at_once_and_one_by_one_count_alike(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    together, apart = World(tmp_path / "together"), World(tmp_path / "apart")
    for world, small in ((together, 10_000), (apart, 0)):
        monkeypatch.setattr(counter_fold, "_SMALL", small)
        for begin in range(0, 20, 10):
            send(world, begin, begin + 10)
            CounterFold(world.log, world.counters).fold_once()
    assert counted(together) == counted(apart)
    together.close()
    apart.close()


def test_two_machines_count_alike_from_the_same_signals(world: World, tmp_path: Path) -> None:
    other = CounterStore(tmp_path / "other machine", 1)
    for begin in range(0, 20, 5):
        send(world, begin, begin + 5)
        CounterFold(world.log, world.counters).fold_once()
    CounterFold(world.log, other).fold_once()
    for kind in Kind:
        assert other.scan(kind)[1] == world.counters.scan(kind)[1]
    other.close()


@settings(max_examples=30)
@given(st.lists(st.integers(1, 9), min_size=1, max_size=8), st.lists(st.integers(0, 80), max_size=6).map(sorted))
def test_counters_stop_at_any_origin_and_go_on_from_there(lengths: list[int], stops: list[int]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        world = World(Path(folder) / "stopping")
        fold = CounterFold(world.log, world.counters, blocks=2)
        ends = [sum(lengths[:place]) for place in range(len(lengths) + 1)]
        for begin, end in pairwise(ends):
            send(world, begin, end)
        for number, stop in enumerate([*stops, ends[-1]]):
            while fold.fold_once(until=(stop,)):
                pass
            reached = min(max([stop, *stops[:number]]), ends[-1])
            assert world.counters.position().origins == (reached,)
            straight = World(Path(folder) / f"straight {number}")
            if reached:
                send(straight, 0, reached)
                CounterFold(straight.log, straight.counters).fold_once()
            assert counted(world) == counted(straight)
            straight.close()
        assert world.counters.position().signals == (len(lengths),)
        world.close()
