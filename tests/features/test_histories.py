"""Tests of histories as few bytes: what goes in comes out, the same content has the same bytes, and broken bytes do no harm."""

import threading

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from reelrank.features.histories import PLAIN_UP_TO, Layout, pack_entries, pack_words, unpack_entries, unpack_words

LAYOUTS = [Layout(15, noisy=(4, 5, 8, 9, 11)), Layout(12, noisy=(4, 5, 8, 9)), Layout(10, noisy=(8, 9), plain_up_to=0), Layout(10, noisy=(), plain_up_to=100)]


def made(seed: int, size: int, most: int = 256) -> bytes:
    return np.random.default_rng(seed).integers(0, most, size, dtype=np.uint8).tobytes()


@settings(max_examples=100)
@given(st.sampled_from(LAYOUTS), st.integers(0, 500), st.integers(1, 256), st.integers(0, 2**32))
def test_entries_come_back_as_they_were(layout: Layout, count: int, most: int, seed: int) -> None:
    entries = made(seed, count * layout.size, most)
    stored = pack_entries(entries, layout)
    assert unpack_entries(stored, layout) == entries
    assert pack_entries(entries, layout) == stored
    assert bool(stored) == bool(entries)


@settings(max_examples=100)
@given(st.integers(0, 10_000), st.integers(1, 256), st.integers(0, 2**32))
@example(PLAIN_UP_TO, 256, 0)
@example(PLAIN_UP_TO + 1, 256, 0)
@example(PLAIN_UP_TO + 2, 256, 0)
def test_words_come_back_as_they_were_even_half_a_word_at_the_end(size: int, most: int, seed: int) -> None:
    words = made(seed, size, most)
    assert unpack_words(pack_words(words)) == words


def test_short_ones_are_copied_and_long_ones_are_packed() -> None:
    layout = LAYOUTS[0]
    short, long = bytes(layout.size * (PLAIN_UP_TO // layout.size)), bytes(layout.size * (PLAIN_UP_TO // layout.size + 1))
    assert pack_entries(short, layout) == b"\0" + short
    assert len(pack_entries(long, layout)) < len(long) / 2


def test_equal_content_has_equal_bytes_whatever_was_packed_before_and_by_which_thread() -> None:
    entries, words = made(1, 15 * 256, 7), made(2, 4_000, 7)
    found: set[tuple[bytes, bytes]] = set()

    def pack(seed: int) -> None:
        for more in range(50):
            pack_words(made(1_000 * seed + more, 2_000 + 37 * more, 1 + more))
            found.add((pack_entries(entries, LAYOUTS[0]), pack_words(words)))

    threads = [threading.Thread(target=pack, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 1


@settings(max_examples=100)
@given(st.integers(0, 2**32 - 1), st.integers(0, 6_000))
@example(4_999, 6_000)  # as many words
def test_broken_bytes_are_refused_and_can_not_ask_for_more_memory_than_they_are_worth(length: int, cut: int) -> None:
    stored = pack_words(made(3, 5_000, 4))
    broken = (stored[:1] + length.to_bytes(4, "little") + stored[5:])[: max(cut, 5)]
    if broken != stored:
        with pytest.raises(ValueError, match=r"can't be unpacked|unpacks to"):
            unpack_words(broken)
