"""Tests of recognising repeats against the plain rule."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reelrank.domain.event import Like
from reelrank.features.repeats import NOTHING, RepeatWindow, fingerprint


def packed(names: list[int]) -> bytes:
    return np.array(names, dtype="<u8").tobytes()


def expected(names: list[int], window: int) -> list[bool]:
    """A record is new unless an equal one lies at most `window` records before it."""
    return [name not in names[max(0, place - window) : place] for place, name in enumerate(names)]


BATCHES = st.lists(st.lists(st.integers(1, 12), min_size=1, max_size=9), min_size=1, max_size=12)


@given(BATCHES, st.integers(1, 20))
def test_the_rule_does_not_depend_on_the_batches(batches: list[list[int]], window: int) -> None:
    repeats = RepeatWindow(window)
    told = [is_new for batch in batches for is_new in repeats.first_time(repeats.offset, packed(batch)).tolist()]
    assert told == expected([name for batch in batches for name in batch], window)


@given(BATCHES, st.integers(1, 20), st.data())
def test_a_window_that_is_loaded_again_goes_on_as_if_nothing_had_happened(batches: list[list[int]], window: int, data: st.DataObject) -> None:
    names = [name for batch in batches for name in batch]
    stop = data.draw(st.integers(0, len(names)))
    first = max(0, stop - window - data.draw(st.integers(0, 5)))  # a store may know more than it must
    repeats = RepeatWindow(window)
    repeats.load(first, stop, packed(names[first:stop]))
    assert repeats.offset == stop
    rest = names[stop:]
    assert repeats.first_time(stop, packed(rest)).tolist() == expected(names, window)[stop:]


def test_what_it_keeps_is_bounded_by_the_window() -> None:
    repeats = RepeatWindow(100)
    for number in range(2_000):
        repeats.first_time(number, packed([number + 1]))
    assert sum(len(run.offsets) for run in repeats._runs) <= 300


def test_a_store_that_gives_too_little_is_an_error() -> None:
    with pytest.raises(ValueError, match="1 fingerprints for the offsets 4 to 6"):
        RepeatWindow(10).load(4, 6, packed([1]))


def test_a_fingerprint_is_of_user_and_event_id_together() -> None:
    prints = {fingerprint(Like(event_id=event_id, user_id=user_id, video_id="v")) for event_id in ("1", "2") for user_id in ("ana", "ben")}
    assert len(prints) == 4
    assert NOTHING not in prints
    assert fingerprint(Like(event_id="1", user_id="ana", video_id="v")) == fingerprint(Like(event_id="1", user_id="ana", video_id="w"))
