"""Who is asked what, on a log of three videos and two users."""

from pathlib import Path

import numpy as np
import pytest

from reelrank.simulation.kuairand import DataError
from reelrank.studies.feed_questions import FeedQuestions, days_before, midnight, split
from simulation.small_log import BEGIN_MS, shown, write

DAY_S = 86_400.0
VIDEOS = ["0", "1", "2"]


@pytest.fixture
def asked(tmp_path: Path) -> FeedQuestions:
    """User 5 had video 0 on screen and then watches 0 and 2 long; user 6 watches 1 long and 0 a little; user 7 nothing long."""
    first, second = {"at_s": 0.0}, {"at_s": DAY_S, "date": 20220426}
    data = write(
        tmp_path,
        [
            shown(5, 0, **first), shown(5, 0, **first), shown(6, 2, **first),
            shown(5, 0, **second, long_view=1), shown(5, 2, **second, long_view=1), shown(5, 2, **second, long_view=1),
            shown(6, 1, **second, long_view=1), shown(6, 0, **second), shown(7, 0, **second),
        ],
    )  # fmt: skip
    return split(data, 20220426, 20220426)[1]


def test_asked_is_who_watched_something_long_that_was_not_on_their_screen_before(asked: FeedQuestions):
    assert asked.user_ids.tolist() == ["5", "6"]
    assert asked.video_ids.tolist() == VIDEOS
    assert asked.indptr.tolist() == [0, 1, 2]
    assert asked.relevant.tolist() == [2, 1]


def test_what_was_on_screen_in_the_log_is_named_once_and_the_base_history_is_not(asked: FeedQuestions):
    assert (asked.shown_indptr.tolist(), asked.shown.tolist()) == ([0, 1, 2], [0, 2])


def test_it_is_asked_at_midnight_in_beijing(asked: FeedQuestions):
    assert asked.at == midnight(20220426)
    assert (asked.at + 8 * 3600) % DAY_S == 0
    assert BEGIN_MS / 1000 + DAY_S < asked.at < BEGIN_MS / 1000 + 2 * DAY_S  # the log begins an hour before the 25th


def test_lists_are_judged_by_what_they_hold_and_where(asked: FeedQuestions):
    found = asked.judged(np.array([[2, 0], [0, -1]]))
    assert found == {"recall_at_2": 0.5, "ndcg_at_2": 0.5, "hit_at_2": 0.5, "distinct_videos": 2}
    assert asked.judged(np.array([[1, 2], [0, 1]]))["ndcg_at_2"] == round(1 / np.log2(3), 4)
    assert asked.shown_again(np.array([[2, 0], [0, -1]])) == 1


def test_days_on_which_nobody_found_something_new_are_refused(tmp_path: Path):
    data = write(tmp_path, [shown(5, 0, 0.0), shown(5, 0, DAY_S, date=20220426, long_view=1)])
    with pytest.raises(DataError, match="20220426"):
        split(data, 20220426, 20220426)


@pytest.mark.parametrize(
    ("test_from", "test_until", "what"),
    [
        (20230101, 20230102, "from 20230101 until 20230102 to ask for"),
        (20220426, 20220425, "from 20220426 until 20220425 to ask for"),
        (20220425, 20220426, "before 20220425 to know"),
    ],
)
def test_days_that_the_log_does_not_have_are_refused_with_those_it_has(test_from: int, test_until: int, what: str, tmp_path: Path):
    data = write(tmp_path, [shown(5, 0, 0.0), shown(5, 1, DAY_S, date=20220426, long_view=1)])
    with pytest.raises(DataError, match=f"no exposures {what}: the log has the days from 20220425 to 20220426"):
        split(data, test_from, test_until)


def test_the_days_before_are_as_many():
    assert days_before(20220505, 20220506) == (20220503, 20220504)
    assert days_before(20220501, 20220501) == (20220430, 20220430)
