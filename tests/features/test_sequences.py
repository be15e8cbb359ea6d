"""Tests of histories that do not depend on the order of arrival, and of what comes back out of the bytes."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reelrank.domain.user import Signal, User
from reelrank.features import sequences
from reelrank.features.columns import MAX_SURFACES
from reelrank.features.histories import pack_entries
from reelrank.features.windows import COUNTERS

NOW = 1_750_000_000.0
MOMENTS = st.integers(0, 20).map(lambda number: NOW + number / 1000)
WATCHES = st.lists(
    st.builds(
        lambda at, row, watched_s, replays, long_view: sequences.watch_entry(at, row, watched_s, replays, skipped=False, long_view=long_view),
        MOMENTS,
        st.integers(0, 3),
        st.sampled_from([None, 0.0, 1.0, 300.0]),
        st.integers(0, 2),
        st.booleans(),
    ),
    max_size=20,
)
SIGNALS = st.lists(
    st.builds(sequences.signal_entry, MOMENTS, st.sampled_from([Signal.LIKE, Signal.SHARE]), st.integers(0, 5), st.booleans()),
    max_size=20,
)


def split(entries: list[bytes], cuts: list[int]) -> list[list[bytes]]:
    return [entries[start:end] for start, end in zip([0, *cuts], [*cuts, len(entries)], strict=True)]


def decoded(**fields: object) -> User:
    return sequences.decode_user("ana", sequences.encode_record(sequences.UserRecord(**fields)))


@settings(max_examples=150)
@given(WATCHES, st.integers(1, 8), st.data())
def test_watches_are_the_newest_in_whatever_order_they_come_and_so_are_the_long_views_before_them(entries: list[bytes], keep: int, data: st.DataObject) -> None:
    kept = long_views = b""
    for part in split(data.draw(st.permutations(entries)), sorted(data.draw(st.lists(st.integers(0, len(entries)), max_size=4)))):
        kept, pushed_out = sequences.merge_watches(kept, part, keep)
        long_views = sequences.merge_long_views(long_views, pushed_out)
    assert kept == pack_entries(b"".join(sorted(entries)[-keep:]), sequences._WATCHES)
    assert long_views == sequences.merge_long_views(b"", sorted(entries)[:-keep])
    assert decoded(long_views=long_views).long_views.long_view.all()


@settings(max_examples=150)
@given(SIGNALS, st.integers(1, 6), st.data())
def test_the_newest_word_on_a_signal_stands_in_whatever_order_it_comes(entries: list[bytes], keep: int, data: st.DataObject) -> None:
    kept = b""
    for part in split(data.draw(st.permutations(entries)), sorted(data.draw(st.lists(st.integers(0, len(entries)), max_size=4)))):
        kept = sequences.merge_signals(kept, part, keep)
    newest = {entry[6:11]: entry for entry in sorted(entries)}
    assert kept == pack_entries(b"".join(sorted(newest.values())[-keep:]), sequences._SIGNALS)


@settings(max_examples=50)
@given(st.permutations(range(3)))
def test_like_unlike_like_is_a_like_in_any_order_of_arrival(order: list[int]) -> None:
    entries = [sequences.signal_entry(NOW + at, Signal.LIKE, 7, on=at != 1) for at in range(3)]
    kept = b""
    for place in order:
        kept = sequences.merge_signals(kept, [entries[place]], 10)
    assert decoded(signals=kept).liked.tolist() == [7]
    assert decoded(signals=sequences.merge_signals(b"", entries[:2], 10)).liked.tolist() == []


@settings(max_examples=10)
@given(st.sets(st.integers(0, 70_000), max_size=200), st.booleans(), st.data())
def test_the_seen_set_has_the_same_bytes_in_any_order(more: set[int], dense: bool, data: st.DataObject) -> None:
    wanted = sorted(more | set(range(9_000))) if dense else sorted(more)  # dense: beyond the 4,096 at which roaring changes its form
    data.draw(st.randoms()).shuffle(wanted)
    kept = b""
    for start in range(0, len(wanted), 1_500):
        kept = sequences.merge_seen(kept, wanted[start : start + 1_500])
    assert kept == (sequences.merge_seen(b"", sorted(wanted)) if wanted else b"")
    assert set(decoded(seen=kept).seen) == set(wanted)


@settings(max_examples=100)
@given(
    st.floats(0, 32_503_680_000),
    st.integers(0, 2**32 - 1),
    st.none() | st.floats(0, 86_400),
    st.integers(0, 10_000),
    st.booleans(),
    st.booleans(),
    st.booleans(),
    st.floats(0, 1_000),
    st.integers(0, MAX_SURFACES),
)
def test_a_watch_comes_back_as_it_was(
    at: float, row: int, watched_s: float | None, replays: int, skipped: bool, long_view: bool, timed: bool, stalled_s: float, surface: int
) -> None:
    entry = sequences.watch_entry(at, row, watched_s, replays, skipped=skipped, long_view=long_view, timed=timed, stalled_s=stalled_s, surface=surface)
    watches = decoded(watches=sequences.merge_watches(b"", [entry], 10)[0]).watches
    assert watches.video_rows.tolist() == [row]
    assert watches.occurred_at[0] == pytest.approx(at, abs=0.001) if timed else np.isnan(watches.occurred_at[0])
    assert np.isnan(watches.watched_s[0]) if watched_s is None else watches.watched_s[0] == pytest.approx(min(watched_s, 6_553.4), abs=0.0501)
    assert (watches.replays[0], watches.skipped[0], watches.long_view[0]) == (min(replays, 31), skipped, long_view)
    assert watches.stalled_s[0] == pytest.approx(min(stalled_s, 25.5), abs=0.0501)
    assert (watches.rendition.tolist(), watches.surface.tolist()) == ([0], [surface])


@pytest.mark.parametrize(("height", "kept"), [(0, 0), (100, 0), (144, 144), (719, 640), (720, 720), (721, 720), (1_080, 1_080), (9_999, 3_840)])
def test_a_rendition_is_kept_as_the_next_height_below(height: int, kept: int) -> None:
    entry = sequences.watch_entry(NOW, 3, 1.0, 0, skipped=False, long_view=False, rendition=height)
    assert decoded(watches=sequences.merge_watches(b"", [entry], 10)[0]).watches.rendition.tolist() == [kept]


def test_heights_ascend_and_a_code_fits_a_byte() -> None:
    assert sorted(set(sequences.HEIGHTS)) == list(sequences.HEIGHTS)
    assert len(sequences.HEIGHTS) <= 256


@settings(max_examples=20)
@given(st.integers(0, 2**32), st.integers(150, 400), st.data())
def test_a_full_history_is_the_same_to_the_bit_whatever_the_order_and_the_batches(seed: int, count: int, data: st.DataObject) -> None:
    rng = np.random.default_rng(seed)
    entries = [made_watch(rng, at) for at in np.cumsum(rng.exponential(600, count)) + NOW]
    shuffled = [entries[place] for place in rng.permutation(count)]
    kept = b""
    for part in split(shuffled, sorted(data.draw(st.lists(st.integers(0, count), max_size=6)))):
        kept, _ = sequences.merge_watches(kept, part, 256)
    in_order = b""
    for entry in entries:
        in_order, _ = sequences.merge_watches(in_order, [entry], 256)
    assert kept == in_order == sequences.merge_watches(b"", entries, 256)[0]
    watches = decoded(watches=kept).watches
    assert len(watches) == min(count, 256)
    assert watches.video_rows.tolist() == [int.from_bytes(entry[6:10], "big") for entry in entries[-256:]]


def made_watch(rng: np.random.Generator, at: float) -> bytes:
    long_view, rendition = bool(rng.random() < 0.3), int(rng.choice([540, 720, 1_080]))
    watched_s = float(rng.lognormal(2.3, 1))
    surface = 1 + int(rng.random() < 0.2)
    kinds = {"skipped": not long_view, "long_view": long_view}
    return sequences.watch_entry(float(at), int(rng.integers(1_000_000)), watched_s, 0, **kinds, rendition=rendition, surface=surface)


def test_of_slates_the_last_videos_are_kept() -> None:
    entries = [entry for place in range(100) for entry in sequences.served_entries(NOW + place // 8, [place])]
    kept = b""
    for start in range(0, 100, 8):
        kept = sequences.merge_served(kept, entries[start : start + 8])
    user = decoded(served=kept)
    assert user.served_rows.tolist() == list(range(100 - sequences.KEEP_SERVED, 100))
    assert user.served_at[-1] == NOW + 12


def test_of_the_long_views_that_were_pushed_out_the_last_are_kept() -> None:
    entries = [sequences.watch_entry(NOW + at, at, 9.0, 0, skipped=False, long_view=at % 2 == 0, surface=3) for at in range(300)]
    kept = long_views = b""
    for start in range(0, 300, 7):
        kept, pushed_out = sequences.merge_watches(kept, entries[start : start + 7], 100)
        long_views = sequences.merge_long_views(long_views, pushed_out)
    user = decoded(watches=kept, long_views=long_views)
    assert user.watches.video_rows.tolist() == list(range(200, 300))
    assert user.long_views.video_rows.tolist() == list(range(200 - 2 * sequences.KEEP_LONG_VIEWS, 200, 2))
    assert user.long_views.occurred_at[-1] == NOW + 198
    assert set(user.long_views.surface.tolist()) == {3}


def test_a_full_record_stays_below_7_kib() -> None:
    rng = np.random.default_rng(7)
    moments = np.cumsum(np.where(rng.random(512) < 0.08, rng.exponential(28_800, 512), 1 + rng.exponential(15, 512))) + NOW
    watches, pushed_out = sequences.merge_watches(b"", [made_watch(rng, at) for at in moments], 256)
    record = sequences.encode_record(
        sequences.UserRecord(
            watches=watches,
            long_views=sequences.merge_long_views(b"", pushed_out),
            signals=sequences.merge_signals(
                b"", [sequences.signal_entry(NOW + at * 4e4, Signal.LIKE, int(rng.integers(10**6)), True) for at in range(40)], 512
            ),
            authors=sequences.merge_signals(
                b"", [sequences.signal_entry(NOW + at * 4e5, Signal.FOLLOW, int(rng.integers(10**5)), True) for at in range(10)], 99
            ),
            served=sequences.merge_served(
                b"", [entry for slate in range(8) for entry in sequences.served_entries(NOW + slate, rng.integers(10**6, size=8).tolist())]
            ),
            seen=sequences.merge_seen(b"", rng.choice(1_000_000, 2_000, replace=False).tolist()),
            counts=sequences.merge_counts((), [(counter, 1_000) for counter in range(COUNTERS)]),
            place=sequences.place_entry(sequences.milliseconds(NOW), "Ljubljana"),
        )
    )
    assert len(record) < 7_168


def test_what_is_added_to_counts_is_added_once() -> None:
    counts = sequences.merge_counts((), [(0, 1), (5, 1), (0, 2)])
    assert sequences.merge_counts(counts, [(5, -3)]) == (3, 0, 0, 0, 0, -2, *(0,) * (COUNTERS - 6))
    assert decoded(counts=counts).counts.tolist() == [3, 0, 0, 0, 0, 1, *(0,) * (COUNTERS - 6)]
    assert decoded(counts=(1, 2)).counts.tolist() == [1, 2, *(0,) * (COUNTERS - 2)]  # written when there were fewer


def test_a_moment_before_1970_is_the_beginning_of_time() -> None:
    assert decoded(served=sequences.merge_served(b"", sequences.served_entries(-0.5, [3]))).served_at.tolist() == [0.0]


def test_follows_and_blocks_are_told_apart_and_can_be_taken_back() -> None:
    entry = sequences.signal_entry
    authors = sequences.merge_signals(b"", [entry(NOW, Signal.FOLLOW, 4, True), entry(NOW, Signal.BLOCK, 5, True), entry(NOW, Signal.FOLLOW, 6, True)], 10)
    assert decoded(authors=authors).followed.tolist() == [4, 6]
    authors = sequences.merge_signals(authors, [entry(NOW + 1, Signal.FOLLOW, 4, False)], 10)
    assert decoded(authors=authors).followed.tolist() == [6]
    assert decoded(authors=authors).blocked.tolist() == [5]


def test_the_newest_place_counts() -> None:
    entries = [sequences.place_entry(sequences.milliseconds(at), name) for at, name in ((NOW + 1, "Øsaka"), (NOW, "Rome"))]
    assert decoded(place=max(entries)).place == "Øsaka"


def test_a_user_comes_with_the_offset_it_stands_for() -> None:
    assert sequences.decode_user("ana", None, 7).offset == 7
    assert sequences.decode_user("ana", sequences.encode_record(sequences.EMPTY), 9).offset == 9


def test_nothing_stored_is_somebody_new() -> None:
    for user in (sequences.decode_user("ana", None), decoded()):
        assert (len(user.watches), len(user.signals.kinds), len(user.followed)) == (0, 0, 0)
        assert (user.user_id, user.place, len(user.seen), user.counts.tolist()) == ("ana", "", 0, [0] * COUNTERS)
