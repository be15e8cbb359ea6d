"""The next page, the same request again, and what is left when everything fails, in one process."""

from collections.abc import Callable
from typing import Any

import msgspec
import numpy as np
import pytest

from conftest import NOW
from reelrank.domain.event import Block, Context, Event, Follow, Hide, Like, Served, Skip, VideoRemoved, Watch
from reelrank.domain.rule import RuleDraft
from reelrank.feed import FeedRequest
from reelrank.ranking.answered import Answered
from reelrank.ranking.answered_slate import Slate
from reelrank.ranking.page_cache import PageCache
from reelrank.storage.event_log import StorageError
from reelrank.wiring import Reelrank
from small_feed import SmallApp, in_log


@pytest.fixture
def app(open_system: Callable[..., Reelrank]) -> SmallApp:
    return SmallApp(open_system)


def next_slate(app: SmallApp, user_id: str, after_s: float = 1.0, **wish: object) -> Slate:
    app.clock.advance_to(app.clock.now() + after_s)
    return app.system.feed.recommend(FeedRequest(**{"user_id": user_id, "count": 5, "exploration": False, **wish}), app.clock.now())


def shown(app: SmallApp, slate: Slate) -> list[str]:
    return [app.system.columns.videos[place.row].video_id for place in slate.places]


def test_the_next_page_comes_from_what_was_ranked_and_not_served(app: SmallApp):
    app.watches("u", 1, 5)
    first, second, third = (next_slate(app, "u") for _ in range(3))
    assert [slate.kept for slate in (first, second, third)] == [False, True, True]
    assert len({*shown(app, first), *shown(app, second), *shown(app, third)}) == 15
    assert (second.models, second.ranked_by) == (first.models, first.ranked_by)
    assert np.mean([place.score for place in first.places]) > np.mean([place.score for place in third.places])
    app.system.feed.flush()
    scored_at = [(event.occurred_at, event.scored_at) for event in in_log(app.system) if isinstance(event, Served)]
    assert scored_at == [(first.now, None), (second.now, first.now), (third.now, first.now)]


@pytest.mark.parametrize(
    "deed",
    [
        lambda video, seen: Like(video_id=video, **seen),
        lambda video, seen: Watch(video_id=video, watched_s=10.0, **seen),  # for long
        lambda video, seen: Hide(video_id=video, whole_author=True, **seen),
        lambda _, seen: Follow(author_id="cats-1", **seen),
    ],
    ids=["like", "long view", "hide", "follow"],
)
def test_what_a_user_means_makes_the_next_page_new(app: SmallApp, deed: Callable[..., Event]):
    video_id = shown(app, next_slate(app, "u"))[0]
    app.tell(deed(video_id, {"event_id": "e", "user_id": "u", "occurred_at": app.clock.now()}))
    assert not next_slate(app, "u").kept


def test_skips_are_forgiven_until_they_are_many(app: SmallApp):
    slates = []
    for _ in range(2):
        slates.append(next_slate(app, "u"))
        for video_id in shown(app, slates[-1])[:3]:
            app.tell(Skip(event_id=f"s-{video_id}", user_id="u", video_id=video_id, watched_s=0.5, occurred_at=app.clock.now()))
    assert [slate.kept for slate in (*slates, next_slate(app, "u"))] == [False, True, False]


def test_a_page_is_for_the_same_wish_and_not_for_long(app: SmallApp):
    next_slate(app, "u")
    assert not next_slate(app, "u", context=Context(surface="search")).kept
    assert not next_slate(app, "u", context=Context(surface="search"), exploration=True).kept
    assert next_slate(app, "u", context=Context(surface="search", bandwidth_kbps=9), exploration=True).kept  # of the one before
    assert not next_slate(app, "u", after_s=31.0, context=Context(surface="search"), exploration=True).kept
    assert not next_slate(app, "somebody else").kept


def test_a_kept_page_shows_nothing_that_was_seen_or_taken_down_since(app: SmallApp):
    first = next_slate(app, "u")
    waiting = app.system.feed.pages.take("u")
    assert waiting is not None
    app.system.feed.pages.give_back(waiting)
    seen, removed = (app.system.columns.videos[row].video_id for row in waiting.candidates.rows[:2].tolist())
    app.tell(Skip(event_id="s", user_id="u", video_id=seen, watched_s=0.5, occurred_at=app.clock.now()), VideoRemoved(event_id="r", video_id=removed))
    second = next_slate(app, "u")
    assert second.kept
    assert not {seen, removed, *shown(app, first)} & set(shown(app, second))


def test_a_newly_published_model_makes_the_next_page_new(app: SmallApp):
    for user in range(8):
        app.watches(f"u{user}", user, user + 4, user + 8)
    app.system.index_builder.build()
    app.system.feed.refresh()
    assert next_slate(app, "u1").models and next_slate(app, "u1").kept
    app.watches("u9", 1, 2)
    app.system.index_builder.build()
    app.system.feed.refresh()
    assert not next_slate(app, "u1").kept


def test_when_everything_fails_a_user_gets_what_was_ranked_before(app: SmallApp):
    first = next_slate(app, "u")
    recovered = app.system.feed.recover(FeedRequest(user_id="u", count=5), app.clock.now() + 3_600.0)
    assert recovered is not None and recovered.kept
    assert recovered.degraded == ["the feed failed and shows what was ranked before"]
    assert not set(shown(app, recovered)) & set(shown(app, first))
    assert app.system.feed.recover(FeedRequest(user_id="nobody", count=5), app.clock.now()) is None


def test_a_request_that_is_asked_again_has_the_same_slate_in_another_replica(open_system: Callable[..., Reelrank]):
    app = SmallApp(open_system)
    feed, asked, now = app.system.feed, FeedRequest(user_id="u", count=5, asked_as="this"), app.clock.now()
    feed.refresh()
    first = feed.recommend(asked, now)
    assert feed.recommend(asked, now) is first
    feed.flush()
    app.system.stream.catch_up()
    feed._answered, feed.pages = Answered(), PageCache(0)  # as one that has answered nothing
    again = feed.recommend(asked, now)
    assert (again.request_id, again.places) == (first.request_id, first.places)
    assert [place.score for place in again.places] == [place.score for place in first.places]
    other = feed.recommend(msgspec.structs.replace(asked, asked_as="that"), now + 0.001)
    assert {place.row for place in other.places}.isdisjoint(place.row for place in first.places)
    feed.flush()
    app.system.stream.catch_up()
    assert len(app.system.reader.user("u").served_rows) == 10  # it was recorded twice, and counts once
    assert len([event for event in in_log(app.system) if isinstance(event, Served) and event.request_id == first.request_id]) == 2


def recovered(app: SmallApp, user_id: str, **wish: object) -> Slate | None:
    return app.system.feed.recover(FeedRequest(**{"user_id": user_id, "count": 5, "exploration": False, **wish}), app.clock.now() + 1.0)


def test_what_was_seen_blocked_or_hidden_there_since_is_not_recovered(app: SmallApp):
    next_slate(app, "u", context=Context(region="FR"))
    first = recovered(app, "u", context=Context(region="FR"))
    assert first is not None
    page = app.system.feed.pages.take("u")
    assert page is not None
    seen, blocked, hidden = (app.system.columns.videos[row] for row in page.candidates.rows[:3].tolist())
    app.system.feed.pages.give_back(page)
    app.watches("u", int(seen.video_id[1:]))
    app.tell(Block(event_id="b", user_id="u", what="author", name=blocked.author_id))
    app.system.rules.add(RuleDraft(action="hide", target="video", name=hidden.video_id, region="PT"), "me", NOW)
    app.system.rule_book.refresh()
    again = recovered(app, "u", context=Context(region="PT"))
    assert again is not None
    assert not {seen.video_id, hidden.video_id, *shown(app, first)} & set(shown(app, again))
    assert blocked.author_id not in {app.system.columns.videos[place.row].author_id for place in again.places}
    app.system.feed.flush()
    served = [event for event in in_log(app.system) if isinstance(event, Served)]
    assert [event.context.region for event in served if event.context] == ["FR", "FR", "PT"]


def test_a_feed_that_is_not_personal_is_not_recovered_from_a_personal_one(app: SmallApp):
    next_slate(app, "u")
    assert recovered(app, "u", personalized=False) is None
    assert recovered(app, "u") is not None


def test_while_the_store_is_away_what_was_served_is_not_recovered(app: SmallApp, monkeypatch: pytest.MonkeyPatch):
    first = next_slate(app, "u")

    def away(_user_id: str) -> None:
        raise StorageError("the store is away")

    monkeypatch.setattr(app.system.reader, "user", away)
    unknown = next_slate(app, "u", count=10)
    assert unknown.degraded == ["the user's history is away"]
    back = recovered(app, "u")
    assert back is not None
    assert not {*shown(app, first), *shown(app, unknown)} & set(shown(app, back))


def test_of_two_requests_at_once_only_one_is_answered_from_what_waits(app: SmallApp, monkeypatch: pytest.MonkeyPatch):
    next_slate(app, "u")
    feed, slates = app.system.feed, list[Slate]()
    plainly = feed.chosen

    def meanwhile(*given: Any) -> Any:
        monkeypatch.setattr(feed, "chosen", plainly)
        slates.append(next_slate(app, "u"))
        return plainly(*given)

    monkeypatch.setattr(feed, "chosen", meanwhile)
    slates.append(next_slate(app, "u"))
    assert [slate.kept for slate in slates] == [False, True]
    assert not set(shown(app, slates[0])) & set(shown(app, slates[1]))


def test_a_page_counts_as_found_when_a_full_slate_is_left_of_it(app: SmallApp):
    slates = [next_slate(app, "u", after_s=0.1, count=10) for _ in range(5)]
    pages = app.system.feed.pages
    assert (pages.hits, pages.misses) == (sum(slate.kept for slate in slates), sum(not slate.kept for slate in slates))


def test_when_a_slate_fails_what_waited_is_there_to_recover(app: SmallApp, monkeypatch: pytest.MonkeyPatch):
    next_slate(app, "u")
    plainly = app.system.feed.chosen

    def fails(*_: object) -> None:
        raise RuntimeError("no selector today")

    monkeypatch.setattr(app.system.feed, "chosen", fails)
    with pytest.raises(RuntimeError):
        next_slate(app, "u")
    monkeypatch.setattr(app.system.feed, "chosen", plainly)
    assert recovered(app, "u") is not None


def test_a_repeat_is_for_the_user_as_they_were_before_the_first_attempt(open_system: Callable[..., Reelrank]):
    """Ten people with histories: the caps of their visits and what is known of their feed so far must not count what they ask for again."""
    app = SmallApp(open_system)
    feed = app.system.feed
    feed.refresh()
    for number in range(10):
        app.watches(f"u{number}", number, number + 5)
        asked, now = FeedRequest(user_id=f"u{number}", count=10, asked_as="this"), app.clock.now() + number
        first = feed.recommend(asked, now)
        feed.flush()
        app.system.stream.catch_up()
        feed._answered, feed.pages = Answered(), PageCache(0)
        assert feed.recommend(asked, now).places == first.places


def test_another_wish_under_the_same_id_is_another_request_on_every_replica(app: SmallApp):
    feed, asked, now = app.system.feed, FeedRequest(user_id="u", count=5, asked_as="this"), app.clock.now()
    first = feed.recommend(asked, now)
    for wish in ({"count": 8}, {"personalized": False}, {"context": Context(region="PT")}, {"exploration": False}, {"seed": 7}):
        other = msgspec.structs.replace(asked, **wish)
        slate = feed.recommend(other, now)
        assert slate.request_id != first.request_id
        assert len(slate.places) == other.count
        assert feed.name_slate(other, now) == slate.request_id
    assert feed.recommend(msgspec.structs.replace(asked, context=Context(bandwidth_kbps=900)), now) is first


def test_what_is_popular_is_shown_to_nobody_who_must_or_wants_not_to_see_it(app: SmallApp, monkeypatch: pytest.MonkeyPatch):
    system, rows = app.system, np.arange(8)
    app.watches("u", 1)
    app.tell(Block(event_id="b", user_id="u", what="author", name=app.video(2).author_id))
    system.rules.add(RuleDraft(action="hide", target="video", name="v3", region="PT"), "me", NOW)
    system.rule_book.refresh()

    def allowed(region: str = "") -> list[int]:
        return system.feed.allowed(FeedRequest(user_id="u", context=Context(region=region)), rows, NOW).tolist()

    assert allowed() == [0, 3, 4, 5, 6, 7]
    assert allowed("PT") == [0, 4, 5, 6, 7]

    def broken(_user_id: str) -> None:
        raise RuntimeError("no reader today")

    monkeypatch.setattr(system.reader, "user", broken)
    assert allowed("PT") == [0, 1, 2, 4, 5, 6, 7]
