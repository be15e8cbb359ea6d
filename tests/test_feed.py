"""The whole recipe in one process, on small worlds whose answer is known."""

from collections import Counter
from collections.abc import Callable

import msgspec
import numpy as np
import pytest

from conftest import NOW
from reelrank.domain.clock import ManualClock
from reelrank.domain.event import Context, Event, Follow, Hide, Like, Served, ServedVideo, Skip, VideoPublished, VideoRemoved, Watch
from reelrank.events.validation import Batch, Decoded
from reelrank.features.definitions import FEATURES
from reelrank.feed import Feed, FeedRequest, Slate
from reelrank.ranking.answered import Answered
from reelrank.ranking.page_cache import PageCache
from reelrank.simulation.past import past_events
from reelrank.simulation.world import World
from reelrank.wiring import Reelrank
from small_feed import TAGS, SmallApp, in_log


@pytest.fixture
def app(open_system: Callable[..., Reelrank]) -> SmallApp:
    return SmallApp(open_system)


def tag_of(video_id: str) -> str:
    return TAGS[int(video_id[1:]) % 4]


def test_somebody_new_gets_a_full_slate_of_different_videos(app: SmallApp):
    slate = app.feed_of("nobody")
    assert len(slate) == len(set(slate)) == 10


def test_the_same_state_and_seed_give_the_same_slate(app: SmallApp):
    app.watches("u", 1, 5)
    first = app.system.feed.recommend(FeedRequest(user_id="u", seed=3), NOW)
    again = app.system.feed.recommend(FeedRequest(user_id="u", seed=3), NOW)
    assert [place.row for place in first.places] == [place.row for place in again.places]
    assert first.request_id != again.request_id


def test_the_feed_follows_what_was_liked(app: SmallApp):
    app.watches("twin", 0, 1, 2, 3)
    app.watches("liker", 0, 1, 2, 3)
    app.tell(Like(event_id="like", user_id="liker", video_id="v2"))
    before, after = app.feed_of("twin"), app.feed_of("liker")

    def standing(slate: list[str]) -> int:
        return sum(len(slate) - place for place, video_id in enumerate(slate) if tag_of(video_id) == "bread")

    assert standing(after) > standing(before)


def test_after_a_few_slates_the_feed_leans_towards_what_is_watched_and_away_from_what_is_skipped(open_system: Callable[..., Reelrank]):
    """Six people watch and like one theme each and skip the rest, in a world where everybody has a history."""
    system = open_system(ManualClock(NOW))
    world = World.from_seed(1, videos=300, users=400, authors=60, now=NOW)

    def tell(*events: Event) -> None:
        system.collector.accept(Batch([Decoded(index, event) for index, event in enumerate(events)], []))
        system.stream.catch_up()

    tell(*(VideoPublished(event_id=f"p-{video.video_id}", occurred_at=video.uploaded_at, video=video) for video in world.videos))
    tell(*past_events(world, np.random.default_rng(1), NOW, events=8_000, days=1.0))
    system.columns.refresh()
    system.index_builder.build()
    system.feed.refresh()
    themes = [theme for theme, _ in Counter(video.tags[0] for video in world.videos).most_common(6)]
    found = np.zeros((4, len(themes)))
    for person, theme in enumerate(themes):
        for number in range(len(found)):
            places = system.feed.recommend(FeedRequest(user_id=theme, exploration=False), NOW + number).places
            for place in places:
                video, seen = system.columns.videos[place.row], {"user_id": theme, "occurred_at": NOW + number}
                if video.tags[0] == theme:
                    found[number, person] += 1
                    tell(Watch(event_id=f"w-{theme}-{video.video_id}", video_id=video.video_id, watched_s=video.duration_s, **seen))
                    tell(Like(event_id=f"l-{theme}-{video.video_id}", video_id=video.video_id, **seen))
                else:
                    tell(Skip(event_id=f"s-{theme}-{video.video_id}", video_id=video.video_id, watched_s=1.0, **seen))
    by_chance = 10 * np.mean([video.tags[0] in themes for video in world.videos]) / len(themes)
    assert found[1:].mean() > 2.5 * by_chance


def test_a_watched_video_never_comes_back(app: SmallApp):
    app.watches("u", *range(20))
    assert not {f"v{row}" for row in range(20)} & set(app.feed_of("u", 20))


def test_a_hidden_author_never_comes_back(app: SmallApp):
    app.tell(Hide(event_id="h", user_id="u", video_id="v0", whole_author=True))
    by_the_author = {f"v{row}" for row in range(40) if app.video(row).author_id == app.video(0).author_id}
    assert not by_the_author & set(app.feed_of("u", 40))


def test_a_followed_author_is_proposed_and_says_so(app: SmallApp):
    app.tell(Follow(event_id="f", user_id="u", author_id="cats-1"))
    app.system.feed.refresh()
    slate = app.system.feed.recommend(FeedRequest(user_id="u", count=40, exploration=False, seed=1), NOW)
    followed = [place for place in slate.places if place.following]
    assert followed and all("following" in place.sources for place in followed)


def test_a_removed_video_is_gone_and_a_new_one_can_be_served(app: SmallApp):
    app.tell(VideoRemoved(event_id="r", video_id="v7"), VideoPublished(event_id="p40", video=app.video(40)))
    slate = app.feed_of("u", 40)
    assert "v7" not in slate
    assert "v40" in slate


def test_what_was_served_is_not_served_again_while_it_waits_on_the_screen(app: SmallApp):
    first = set(app.feed_of("u"))
    app.system.feed.flush()
    app.system.stream.catch_up()
    assert not first & set(app.feed_of("u"))


def test_a_slate_goes_to_the_log_with_features_predictions_and_propensities(app: SmallApp):
    app.system.feed.refresh()
    slate = app.system.feed.recommend(FeedRequest(user_id="u", seed=1), NOW)
    app.system.feed.flush()
    (served,) = [event for event in in_log(app.system) if isinstance(event, Served)]
    assert served.request_id == slate.request_id
    assert [shown.video_id for shown in served.videos] == [app.system.columns.videos[place.row].video_id for place in slate.places]
    for shown in served.videos:
        assert len(shown.features) == len(FEATURES)
        assert shown.predictions.keys() == {"click", "long_view", "like"}
        assert shown.sources and shown.propensity is not None and 0 < shown.propensity <= 1
    assert served.offsets == app.system.counters.position().origins == app.system.store.offsets()
    assert served.user_offset == served.offsets[0]


def test_what_another_policy_showed_is_scored_exactly_as_the_feed_scores_it(app: SmallApp):
    app.watches("u", 1, 5, 9)
    app.watches("w", 2, 3, watched_s=1.0)
    app.system.feed.refresh()
    app.system.feed.recommend(FeedRequest(user_id="u", seed=1), NOW)
    app.system.feed.flush()
    ours = next(event for event in in_log(app.system) if isinstance(event, Served))
    shown = Served(event_id="x", user_id="u", policy="other", context=ours.context, videos=tuple(ServedVideo(video_id=one.video_id) for one in ours.videos))
    stranger = Served(event_id="y", user_id="w", policy="other", videos=(ServedVideo(video_id="v1"),))
    _, scored, _ = app.system.feed.score_shown([stranger, shown, stranger], [NOW, NOW, NOW])
    assert [one.features for one in scored.videos] == [one.features for one in ours.videos]
    assert [one.predictions for one in scored.videos] == [one.predictions for one in ours.videos]
    assert scored.params != "" and scored.offsets == ours.offsets


def test_a_failing_source_is_left_out_and_the_answer_says_so(app: SmallApp):
    class Broken:
        name = "fresh"

        def propose(self, query: object, quota: int) -> None:
            raise RuntimeError("broken on purpose")

    app.watches("w", 1, 2)
    feed: Feed = app.system.feed
    feed.sources = [source for source in feed.sources if source.name != "fresh"] + [Broken()]  # pyright: ignore[reportAttributeAccessIssue]
    feed.refresh()
    slate = feed.recommend(FeedRequest(user_id="u"), NOW)
    assert slate.degraded == ["source fresh failed"]
    assert slate.places


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
    assert min(place.score for place in first.places) >= max(place.score for place in third.places)
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
    waiting = app.system.feed.pages.latest("u")
    assert waiting is not None
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
    other = feed.recommend(msgspec.structs.replace(asked, asked_as="that"), now + 0.001)
    assert {place.row for place in other.places}.isdisjoint(place.row for place in first.places)
    feed.flush()
    app.system.stream.catch_up()
    assert len(app.system.reader.user("u").served_rows) == 10  # it was recorded twice, and counts once
    assert len([event for event in in_log(app.system) if isinstance(event, Served) and event.request_id == first.request_id]) == 2
