"""Tests of what waits for users' next requests, counted in bytes."""

import numpy as np
from pyroaring import BitMap

from conftest import NOW
from reelrank.domain.candidate import Candidates
from reelrank.domain.event import Context
from reelrank.domain.params import FeedParams
from reelrank.domain.user import User, Watches
from reelrank.pipeline.stages import Query
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
    pages.keep(page("a", 100))
    pages.keep(page("d", 100))
    pages.keep(page("d", 50))  # in place of the one before
    assert (len(pages), pages.bytes < 3 * one.bytes) == (3, True)
    assert [pages.take(user_id) is not None for user_id in "abcd"] == [True, False, True, True]
    assert (len(pages), pages.bytes) == (0, 0)


def test_the_best_of_a_page_are_kept() -> None:
    pages = PageCache(1 << 30)
    pages.keep(page("u", 500))
    found = pages.take("u")
    assert found is not None
    assert sorted(found.candidates.rows.tolist()) == list(range(380, 500))


def test_a_cache_of_no_bytes_keeps_nothing() -> None:
    pages = PageCache(0)
    pages.keep(page("u", 5))
    assert pages.take("u") is None


def query() -> Query:
    return Query(user=User("u"), now=NOW, count=5, params=FeedParams(), rng=np.random.default_rng(0), context=Context())


def test_a_page_is_for_one_request_until_it_is_given_back() -> None:
    pages = PageCache(1 << 30)
    pages.keep(page("u", 5))
    taken = pages.good(query(), {})
    assert taken is not None
    assert pages.good(query(), {}) is None
    pages.give_back(taken)
    assert pages.good(query(), {}) is not None


def test_what_is_given_back_takes_no_newer_page_away() -> None:
    pages = PageCache(1 << 30)
    pages.keep(page("u", 5))
    taken = pages.take("u")
    assert taken is not None
    pages.keep(page("u", 7))
    pages.give_back(taken)
    found = pages.take("u")
    assert found is not None and len(found.candidates) == 7


def test_what_is_known_of_the_user_takes_memory_too() -> None:
    without, pages = PageCache(1 << 30), PageCache(1 << 30)
    without.keep(page("u", 5))
    watched = np.arange(256)
    watches = Watches(video_rows=watched, occurred_at=watched * 1.0)
    pages.keep(page("u", 5)._replace(user=User("u", watches=watches, seen=BitMap(range(0, 30_000, 3)))))
    assert pages.bytes - without.bytes >= 256 * 16 + 2 * 10_000
