"""A log made to order has just the events and users that were asked for, in order of time."""

from collections import Counter

import pytest

from conftest import NOW
from reelrank.benchmarks.made_log import events_each, made_events, made_videos
from reelrank.domain.event import Served


def test_every_user_makes_an_event_and_the_most_active_make_most_of_them():
    each = events_each(10_000, 1_000)
    assert each.sum() == 10_000 and each.min() >= 1
    assert each[0] > 1_000 and each[:100].sum() > 5_000
    with pytest.raises(ValueError, match="too few"):
        events_each(10, 11)


def test_the_events_are_as_many_as_asked_for_and_each_visit_begins_with_its_slate():
    events = list(made_events(5_000, 700, made_videos(100, NOW), NOW))
    assert len(events) == len({event.event_id for event in events}) == 5_000
    assert len({event.key for event in events}) == 700
    moments = [event.occurred_at or 0.0 for event in events]
    assert moments == sorted(moments)
    slates: Counter[str] = Counter()
    for event in events:
        if isinstance(event, Served):
            slates[event.request_id] += 1
        else:
            assert slates[event.request_id] == 1  # pyright: ignore[reportAttributeAccessIssue]
