"""Tests of what waits for users' next requests, counted in bytes."""

import numpy as np

from conftest import NOW
from reelrank.domain.candidate import Candidates
from reelrank.domain.event import Context
from reelrank.domain.params import FeedParams
from reelrank.domain.user import User
from reelrank.ranking.page_cache import Page, PageCache


def page(user_id: str, size: int, features: int = 10) -> Page:
    candidates = Candidates(
        rows=np.arange(size), sources=np.zeros(size, dtype=np.uint32), features=np.zeros((size, features), dtype=np.float32), score=np.linspace(0, 1, size)
    )
    return Page(candidates, User(user_id), Context(), FeedParams(), NOW)


def test_the_longest_unused_pages_give_way_when_there_are_too_many_bytes() -> None:
    one = PageCache(1 << 30)
    one.keep(page("u", 100))
    pages = PageCache(3 * one.bytes)
    for user_id in "abc":
        pages.keep(page(user_id, 100))
    assert (len(pages), pages.bytes) == (3, 3 * one.bytes)
    assert pages.latest("a") is not None
    pages.keep(page("d", 100))
    assert [pages.latest(user_id) is not None for user_id in "abcd"] == [True, False, True, True]
    pages.keep(page("d", 50))  # in place of the one before
    assert (len(pages), pages.bytes < 3 * one.bytes) == (3, True)


def test_the_best_of_a_page_are_kept() -> None:
    pages = PageCache(1 << 30)
    pages.keep(page("u", 500))
    found = pages.latest("u")
    assert found is not None
    assert sorted(found.candidates.rows.tolist()) == list(range(380, 500))


def test_a_cache_of_no_bytes_keeps_nothing() -> None:
    pages = PageCache(0)
    pages.keep(page("u", 5))
    assert pages.latest("u") is None
