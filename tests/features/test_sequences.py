"""Tests of histories that do not depend on the order of arrival, and of what comes back out of the bytes."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reelrank.domain.user import Signal, User
from reelrank.features import sequences
from reelrank.features.windows import COUNTERS

NOW = 1_750_000_000.0
MOMENTS = st.integers(0, 20).map(lambda number: NOW + number / 1000)
WATCHES = st.lists(
    st.builds(
        lambda at, tie, row: sequences.watch_entry(at, tie, row, 1.0, 0, skipped=False, long_view=False), MOMENTS, st.integers(0, 2**32 - 1), st.integers(0, 3)
    ),
    unique=True,
    max_size=20,
)
SIGNALS = st.lists(
    st.builds(sequences.signal_entry, MOMENTS, st.integers(0, 2**32 - 1), st.sampled_from([Signal.LIKE, Signal.SHARE]), st.integers(0, 5), st.booleans()),
    unique_by=lambda entry: entry[:10],
    max_size=20,
)


def split(entries: list[bytes], cuts: list[int]) -> list[list[bytes]]:
    return [entries[start:end] for start, end in zip([0, *cuts], [*cuts, len(entries)], strict=True)]


def decoded(**fields: bytes) -> User:
    return sequences.decode_user("ana", sequences.encode_record(sequences.UserRecord(**fields)))


@settings(deadline=None, max_examples=150)
@given(WATCHES, st.integers(1, 8), st.data())
def test_watches_are_the_newest_in_whatever_order_they_come(entries: list[bytes], keep: int, data: st.DataObject) -> None:
    kept = b""
    for part in split(data.draw(st.permutations(entries)), sorted(data.draw(st.lists(st.integers(0, len(entries)), max_size=4)))):
        kept = sequences.merge_watches(kept, part, keep)
    assert kept == b"".join(sorted(entries)[-keep:])


@settings(deadline=None, max_examples=150)
@given(SIGNALS, st.integers(1, 6), st.data())
def test_the_newest_word_on_a_signal_stands_in_whatever_order_it_comes(entries: list[bytes], keep: int, data: st.DataObject) -> None:
    kept = b""
    for part in split(data.draw(st.permutations(entries)), sorted(data.draw(st.lists(st.integers(0, len(entries)), max_size=4)))):
        kept = sequences.merge_signals(kept, part, keep)
    newest = {entry[10:15]: entry for entry in sorted(entries)}
    assert kept == b"".join(sorted(newest.values())[-keep:])


@settings(deadline=None, max_examples=50)
@given(st.permutations(range(3)))
def test_like_unlike_like_is_a_like_in_any_order_of_arrival(order: list[int]) -> None:
    entries = [sequences.signal_entry(NOW + at, at, Signal.LIKE, 7, on=at != 1) for at in range(3)]
    kept = b""
    for place in order:
        kept = sequences.merge_signals(kept, [entries[place]], 10)
    assert decoded(signals=kept).liked.tolist() == [7]
    assert decoded(signals=sequences.merge_signals(b"", entries[:2], 10)).liked.tolist() == []


@settings(deadline=None, max_examples=10)
@given(st.sets(st.integers(0, 70_000), max_size=200), st.booleans(), st.data())
def test_the_seen_set_has_the_same_bytes_in_any_order(more: set[int], dense: bool, data: st.DataObject) -> None:
    wanted = sorted(more | set(range(9_000))) if dense else sorted(more)  # dense: beyond the 4,096 at which roaring changes its form
    data.draw(st.randoms()).shuffle(wanted)
    kept = b""
    for start in range(0, len(wanted), 1_500):
        kept = sequences.merge_seen(kept, wanted[start : start + 1_500])
    assert kept == (sequences.merge_seen(b"", sorted(wanted)) if wanted else b"")
    assert set(decoded(seen=kept).seen) == set(wanted)


@settings(deadline=None, max_examples=100)
@given(
    st.floats(0, 32_503_680_000),
    st.integers(0, 2**32 - 1),
    st.none() | st.floats(0, 86_400),
    st.integers(0, 10_000),
    st.booleans(),
    st.booleans(),
    st.booleans(),
)
def test_a_watch_comes_back_as_it_was(at: float, row: int, watched_s: float | None, replays: int, skipped: bool, long_view: bool, timed: bool) -> None:
    watches = decoded(watches=sequences.watch_entry(at, 5, row, watched_s, replays, skipped=skipped, long_view=long_view, timed=timed)).watches
    assert watches.video_rows.tolist() == [row]
    assert watches.occurred_at[0] == pytest.approx(at, abs=0.001) if timed else np.isnan(watches.occurred_at[0])
    assert np.isnan(watches.watched_s[0]) if watched_s is None else watches.watched_s[0] == pytest.approx(min(watched_s, 6_553.4), abs=0.0501)
    assert (watches.replays[0], watches.skipped[0], watches.long_view[0]) == (min(replays, 255), skipped, long_view)


def test_a_moment_before_1970_is_the_beginning_of_time() -> None:
    assert decoded(served=sequences.served_entry(-0.5, 1, 3)).served_at.tolist() == [0.0]


def test_follows_and_blocks_are_told_apart_and_can_be_taken_back() -> None:
    entry = sequences.signal_entry
    authors = sequences.merge_signals(
        b"", [entry(NOW, 1, Signal.FOLLOW, 4, True), entry(NOW, 2, Signal.BLOCK, 5, True), entry(NOW, 3, Signal.FOLLOW, 6, True)], 10
    )
    assert decoded(authors=authors).followed.tolist() == [4, 6]
    authors = sequences.merge_signals(authors, [entry(NOW + 1, 4, Signal.FOLLOW, 4, False)], 10)
    assert decoded(authors=authors).followed.tolist() == [6]
    assert decoded(authors=authors).blocked.tolist() == [5]


def test_the_newest_place_counts() -> None:
    entries = [sequences.place_entry(NOW + 1, 1, "Øsaka"), sequences.place_entry(NOW, 9, "Rome")]
    assert decoded(place=max(entries)).place == "Øsaka"


def test_nothing_stored_is_somebody_new() -> None:
    for user in (sequences.decode_user("ana", None), decoded()):
        assert (len(user.watches), len(user.signals.kinds), len(user.followed)) == (0, 0, 0)
        assert (user.user_id, user.place, len(user.seen), user.counts.tolist()) == ("ana", "", 0, [0] * COUNTERS)
