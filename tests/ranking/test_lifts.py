"""Boosts: what rules lift, by how much, and what many of them cost."""

import math
import time
from collections.abc import Callable

import pytest

from conftest import NOW
from ranking.conftest import candidates
from reelrank.domain.rule import MAX_RULES, Rule, Target
from reelrank.features.columns import VideoColumns
from reelrank.features.rule_book import RuleBook
from reelrank.pipeline.stages import Query
from reelrank.ranking.lifts import BOOSTED, BoostScorer


def boosted(*given: tuple[Target, str, float]) -> list[Rule]:
    return [
        Rule(action="boost", target=target, name=name, times=times, rule_id=f"r{number}", made_at=NOW, made_by="me")
        for number, (target, name, times) in enumerate(given)
    ]


def test_boosts_of_a_video_and_of_all_that_it_has_multiply(columns: VideoColumns, query: Callable[..., Query]) -> None:
    book, some = RuleBook(None, columns), candidates([0, 1, 2, 3])
    rules = boosted(("video", "v0", 2.0), ("video", "v0", 3.0), ("author", "a0", 5.0), ("tag", "even", 7.0), ("sound", "s3", 0.5), ("tag", "unheard of", 9.0))
    book.hold(1, rules)
    BoostScorer(book, columns).score(query(), some)
    assert some.lifts[BOOSTED].tolist() == pytest.approx([math.log(2 * 3 * 5 * 7), 0.0, math.log(7), math.log(5 / 2)])


def test_as_many_boosts_as_there_may_be_cost_no_more_than_a_few(columns: VideoColumns, query: Callable[..., Query]) -> None:
    book = RuleBook(None, columns)
    book.hold(1, boosted(*[("video", f"v{number % 12}", 2.0) for number in range(MAX_RULES)]))
    scorer, some = BoostScorer(book, columns), candidates([row % 11 for row in range(800)])
    scorer.score(query(), some)
    began = time.thread_time()
    for _ in range(20):
        scorer.score(query(), some)
    assert (time.thread_time() - began) / 20 < 0.01  # a tenth of what asking each rule takes
