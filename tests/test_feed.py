"""The whole recipe in one process, on small worlds whose answer is known."""

from collections import Counter
from collections.abc import Callable

import numpy as np
import pytest

from conftest import NOW
from reelrank.domain.clock import ManualClock
from reelrank.domain.event import Event, Follow, Hide, Like, Served, ServedVideo, Skip, VideoPublished, VideoRemoved, Watch
from reelrank.events.validation import Batch, Decoded
from reelrank.features.definitions import FEATURES
from reelrank.feed import Feed, FeedRequest
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


def test_before_anything_is_published_it_warms_up_and_answers_with_nothing(open_system: Callable[..., Reelrank]):
    feed = open_system(ManualClock(NOW)).feed
    feed.warm_up(NOW)
    slate = feed.recommend(FeedRequest(user_id="u"), NOW)
    assert (slate.places, slate.empty_because, slate.degraded) == ([], {}, [])


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


def test_what_no_source_proposes_is_found_when_less_than_a_slate_is_left_and_then_there_is_nothing_with_the_reason(app: SmallApp):
    app.system.feed.sources = []
    assert set(app.feed_of("u", 50)) == {f"v{row}" for row in range(40)}
    app.watches("u", *range(30), watched_s=1.0)
    app.tell(Hide(event_id="h", user_id="u", video_id="v0", whole_author=True), VideoRemoved(event_id="r", video_id="v39"))
    left = app.feed_of("u", 10)
    assert set(left) == {f"v{row}" for row in range(30, 39) if app.video(row).author_id != app.video(0).author_id}
    app.watches("u", *(int(video_id[1:]) for video_id in left), watched_s=1.0)
    app.system.feed.refresh()
    slate = app.system.feed.recommend(FeedRequest(user_id="u"), app.clock.now())
    assert slate.places == []
    assert slate.empty_because is not None
    assert sum(slate.empty_because.values()) == 39
    assert slate.empty_because == {"was on this user's screen before": 30 + len(left), "by a blocked author": 9 - len(left)}
    assert app.system.feed.recommend(FeedRequest(user_id="somebody else", count=5), app.clock.now()).empty_because is None


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
