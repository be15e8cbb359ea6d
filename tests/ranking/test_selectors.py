from collections import Counter
from collections.abc import Callable

import numpy as np
import pytest

from conftest import NOW
from ranking.conftest import candidates
from reelrank.domain.user import User
from reelrank.features.columns import VideoColumns
from reelrank.pipeline.stages import Query
from reelrank.ranking.selectors import SlateSelector

MakeQuery = Callable[..., Query]
PLAIN = {"diversity": 0.0, "exploration": 0.0}
NO_CAPS = {"cap_author": 99, "cap_sound": 99, "cap_tag": 99, "diversity": 0.0}


def chosen(columns: VideoColumns, query: Query, rows: list[int], scores: list[float], outcomes: float = 100.0) -> list[int]:
    return np.array(rows)[SlateSelector(columns).select(query, candidates(rows, scores, outcomes)).places].tolist()


def test_the_best_come_first(columns: VideoColumns, query: MakeQuery):
    assert chosen(columns, query(count=3, exploration=0.0, **NO_CAPS), [0, 1, 2, 3], [0.1, 0.4, 0.2, 0.3]) == [1, 3, 2]


def test_equal_scores_are_ordered_by_row_so_that_one_state_makes_one_slate(columns: VideoColumns, query: MakeQuery):
    assert chosen(columns, query(count=4, exploration=0.0, **NO_CAPS), [5, 2, 9, 0], [1.0] * 4) == [0, 2, 5, 9]


def test_no_author_takes_more_places_than_the_cap(columns: VideoColumns, query: MakeQuery):
    caps = {**NO_CAPS, "cap_author": 1}
    assert chosen(columns, query(count=3, exploration=0.0, **caps), [0, 3, 6, 1, 2], [9.0, 8.0, 7.0, 2.0, 1.0]) == [0, 1, 2]


def test_no_tag_and_no_sound_takes_more_places_than_its_cap(columns: VideoColumns, query: MakeQuery):
    assert chosen(columns, query(count=2, exploration=0.0, **{**NO_CAPS, "cap_tag": 1}), [0, 2, 1], [9.0, 8.0, 1.0]) == [0, 1]
    assert chosen(columns, query(count=2, exploration=0.0, **{**NO_CAPS, "cap_sound": 1}), [0, 4, 1], [9.0, 8.0, 1.0]) == [0, 1]


def test_caps_give_way_before_the_slate_stays_short(columns: VideoColumns, query: MakeQuery):
    placement = SlateSelector(columns).select(query(count=3, **PLAIN, cap_author=1), candidates([0, 3, 6], [1.0, 2.0, 3.0]))
    assert placement.places.tolist() == [2, 1, 0]
    assert "gave way" in placement.reasons[1]


def test_a_slate_is_never_longer_than_what_is_there(columns: VideoColumns, query: MakeQuery):
    assert chosen(columns, query(count=10, exploration=0.0), [1, 2], [0.5, 0.6]) == [2, 1]
    assert chosen(columns, query(count=10), [], []) == []


def test_every_place_shows_another_video(columns: VideoColumns, query: MakeQuery):
    rows = chosen(columns, query(count=11, exploration=0.5), list(range(11)), [float(row) for row in range(11)], outcomes=0.0)
    assert sorted(rows) == list(range(11))


def test_without_exploration_propensities_are_one(columns: VideoColumns, query: MakeQuery):
    placement = SlateSelector(columns).select(query(exploration=0.0), candidates([0, 1, 2], [1.0, 2.0, 3.0], outcomes=0.0))
    assert placement.propensities.tolist() == [1.0, 1.0, 1.0]


def test_well_known_videos_are_not_explored(columns: VideoColumns, query: MakeQuery):
    placement = SlateSelector(columns).select(query(exploration=1.0, **NO_CAPS), candidates([0, 1, 2], [1.0, 2.0, 3.0], outcomes=1_000.0))
    assert placement.places.tolist() == [2, 1, 0]
    assert placement.propensities.tolist() == [1.0, 1.0, 1.0]


def test_propensities_are_how_often_the_first_place_really_shows_each_video(columns: VideoColumns, query: MakeQuery):
    rows, scores, draws = [0, 1, 2, 4], [4.0, 3.0, 2.0, 1.0], 4_000
    shown: Counter[int] = Counter()
    told: dict[int, float] = {}
    for seed in range(draws):
        placement = SlateSelector(columns).select(query(count=1, seed=seed, exploration=0.4), candidates(rows, scores, outcomes=0.0))
        first = int(placement.places[0])
        shown[first] += 1
        told[first] = float(placement.propensities[0])
    assert told == pytest.approx({0: 0.6 + 0.1, 1: 0.1, 2: 0.1, 3: 0.1})
    for place, propensity in told.items():
        assert shown[place] / draws == pytest.approx(propensity, abs=0.03)


def test_what_is_like_those_above_makes_room_for_something_else(columns: VideoColumns, query: MakeQuery):
    rows, scores = [0, 6, 1], [1.0, 0.9, 0.7]  # 6 has author and tag of 0
    assert chosen(columns, query(count=3, exploration=0.0, diversity=0.0), rows, scores) == [0, 6, 1]
    placement = SlateSelector(columns).select(query(count=3, exploration=0.0, diversity=1.0), candidates(rows, scores))
    assert placement.places.tolist() == [0, 2, 1]
    assert "1 better ones are more like them" in placement.reasons[1]


def test_an_author_shown_often_in_this_visit_waits_until_nobody_else_is_left(columns: VideoColumns, query: MakeQuery):
    watched = User("u", served_rows=np.array([6, 9]), served_at=np.array([NOW - 60.0, NOW - 30.0]))  # both by the author of 0 and 3
    params = {**PLAIN, **NO_CAPS, "visit_cap_author": 2, "visit_cap_sound": 99, "visit_cap_tag": 99}
    placement = SlateSelector(columns).select(query(watched, count=4, **params), candidates([0, 3, 1, 2], [4.0, 3.0, 2.0, 1.0]))
    assert placement.places.tolist() == [2, 3, 0, 1]
    assert "the visit's caps gave way" in placement.reasons[2]
