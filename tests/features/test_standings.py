"""Standings in a table: how long what was worked out holds."""

import numpy as np
import pytest

from reelrank.features import windows
from reelrank.features.standings import EVERYTHING, Parts, StandingTable
from reelrank.features.windows import COUNTERS, WIDTH

BEGIN = 1_750_000_200.0  # a bucket of five minutes begins
COUNTED = windows.fold(np.zeros((1, WIDTH), dtype=np.int32), np.zeros(1, np.int64), np.zeros(1, np.int64), np.array([int(BEGIN)]), np.ones((1, COUNTERS)))
ROW = np.array([3])


@pytest.mark.parametrize(("parts", "bucket_s"), [(EVERYTHING, 300), (Parts(day=True), 10_800), (Parts(week=True), 86_400)])
def test_it_holds_from_the_beginning_of_the_shortest_bucket_that_was_read_to_its_end(parts: Parts, bucket_s: int) -> None:
    table, begin = StandingTable(5), BEGIN // bucket_s * bucket_s
    table.put(ROW, COUNTED, begin + bucket_s / 2, parts)
    moments = (begin - 1.0, begin, begin + bucket_s / 2, begin + bucket_s - 1.0, begin + bucket_s)
    assert [bool(table.hold(ROW, at)[0]) for at in moments] == [False, True, True, True, False]


def test_totals_hold_until_more_is_counted() -> None:
    table = StandingTable(5)
    table.put(ROW, COUNTED, BEGIN, Parts())
    assert table.hold(ROW, BEGIN - 1e9).all() and table.hold(ROW, BEGIN + 1e9).all()
    table.forget(ROW)
    assert not table.hold(ROW, BEGIN).any()
