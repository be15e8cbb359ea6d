"""Pins: which places they take, and how the rest is filled."""

from collections.abc import Callable

import numpy as np
import pytest

from conftest import NOW
from ranking.conftest import candidates
from reelrank.domain.rule import Rule
from reelrank.features.columns import VideoColumns
from reelrank.features.rule_book import RuleBook
from reelrank.pipeline.stages import Query
from reelrank.ranking.pinned_selector import PinnedSelector
from reelrank.ranking.selectors import SlateSelector

MakeQuery = Callable[..., Query]
FREE = {"exploration": 0.0, "cap_author": 9, "cap_sound": 9, "cap_tag": 9}


@pytest.fixture
def pinned(columns: VideoColumns) -> Callable[..., PinnedSelector]:
    def make(**positions: int) -> PinnedSelector:
        book = RuleBook(None, columns)
        rules = [
            Rule(action="pin", target="video", name=video, position=position, rule_id=f"r-{video}", made_at=NOW + number, made_by="me")
            for number, (video, position) in enumerate(positions.items())
        ]
        book.hold(1, rules)
        return PinnedSelector(SlateSelector(columns), book)

    return make


def slate(selector: PinnedSelector, query: Query) -> list[int]:
    given = candidates([0, 1, 2, 3, 4, 5], [6.0, 5.0, 4.0, 3.0, 2.0, 1.0])
    placement = selector.select(query, given)
    assert len(placement.places) == len(placement.propensities) == len(placement.reasons)
    return given.rows[placement.places].tolist()


def test_a_pin_takes_its_place_and_the_best_fill_the_others(pinned: Callable[..., PinnedSelector], query: MakeQuery) -> None:
    assert slate(pinned(v5=1), query(count=4, **FREE)) == [0, 5, 1, 2]


def test_of_two_pins_for_one_place_the_older_has_it(pinned: Callable[..., PinnedSelector], query: MakeQuery) -> None:
    assert slate(pinned(v5=0, v4=0), query(count=4, **FREE)) == [5, 4, 0, 1]


def test_a_pin_beyond_a_short_slate_is_left_out(pinned: Callable[..., PinnedSelector], query: MakeQuery) -> None:
    assert slate(pinned(v5=7), query(count=3, **FREE)) == [0, 1, 2]


def test_more_pins_than_places_fill_the_slate_and_no_more(pinned: Callable[..., PinnedSelector], query: MakeQuery) -> None:
    assert slate(pinned(v5=0, v4=1, v3=2), query(count=2, **FREE)) == [5, 4]


def test_what_is_no_candidate_any_more_is_not_pinned(pinned: Callable[..., PinnedSelector], query: MakeQuery) -> None:
    assert slate(pinned(v9=0), query(count=3, **FREE)) == [0, 1, 2]


def test_a_pinned_place_has_no_chance_in_it(pinned: Callable[..., PinnedSelector], query: MakeQuery) -> None:
    placement = pinned(v5=0).select(query(count=2, **FREE), candidates([0, 5], [2.0, 1.0]))
    assert placement.reasons[0] == "pinned by rule r-v5"
    assert np.allclose(placement.propensities, 1.0)


def test_pins_count_towards_the_caps_of_what_is_chosen_beside_them(pinned: Callable[..., PinnedSelector], query: MakeQuery) -> None:
    capped = FREE | {"cap_author": 2}
    assert slate(pinned(v0=0), query(count=5, **capped)) == [0, 1, 2, 3, 4]  # 0 and 3 are by one author
    assert slate(pinned(v0=0, v3=1), query(count=4, **FREE | {"cap_author": 1})) == [0, 3, 1, 2]
    assert slate(pinned(v3=3), query(count=3 + 1, **FREE | {"cap_author": 1})) == [1, 2, 0, 3]  # beyond the caps only when nothing else is left


def test_what_is_chosen_beside_pins_is_unlike_them(columns: VideoColumns, pinned: Callable[..., PinnedSelector], query: MakeQuery) -> None:
    given = candidates([0, 6, 1], [1.0, 3.0, 2.9])  # 0 and 6 share author and tag
    placement = pinned(v0=0).select(query(count=2, **FREE | {"diversity": 2.0}), given)
    assert given.rows[placement.places].tolist() == [0, 1]
