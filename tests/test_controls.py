"""What people and operators say of a feed, through the whole of it: event or rule, fold, filter, slate, trace."""

from collections.abc import Callable

import pytest

from conftest import NOW
from reelrank.domain.event import Block, Context, Hide, Like, Profile, Reset, Served, Topic, Unblock, VideoPublished
from reelrank.domain.rule import RuleDraft
from reelrank.feed import FeedRequest
from reelrank.ranking.answered_slate import Slate
from reelrank.wiring import Reelrank
from small_feed import SmallApp, in_log, numbers


@pytest.fixture
def app(open_system: Callable[..., Reelrank]) -> SmallApp:
    return SmallApp(open_system)


def says(app: SmallApp, kind: type, **own: object) -> None:
    app.tell(kind(event_id=f"c{next(numbers)}", user_id="ana", occurred_at=app.clock.now(), **own))


def slate_of(app: SmallApp, user_id: str = "ana", size: int = 40, **more: object) -> Slate:
    app.system.feed.refresh()
    app.system.rule_book.refresh()
    return app.system.feed.recommend(FeedRequest(user_id=user_id, count=size, exploration=False, seed=1, **more), app.clock.now())


def shown(app: SmallApp, user_id: str = "ana", size: int = 40, **more: object) -> list[str]:
    return [app.system.columns.videos[place.row].video_id for place in slate_of(app, user_id, size, **more).places]


def rule(app: SmallApp, action: str, target: str, name: str, **more: object) -> str:
    return app.system.rules.add(RuleDraft(action=action, target=target, name=name, **more), "test", app.clock.now()).rule_id


def removals(slate: Slate) -> dict[str, float]:
    return {why: count for stage in slate.stages.values() for why, count in stage.items() if why.startswith("removed: ")}


def last_served(app: SmallApp) -> Served:
    app.system.feed.flush()
    return [event for event in in_log(app.system) if isinstance(event, Served)][-1]


def test_a_blocked_author_sound_and_word_stay_away_with_their_reasons_until_they_are_unblocked(app: SmallApp) -> None:
    says(app, Block, what="author", name="surf-0")
    says(app, Block, what="sound", name="s3")
    says(app, Block, what="word", name="CHESS")
    slate = slate_of(app)
    videos = [app.system.columns.videos[place.row] for place in slate.places]
    assert videos
    assert not [video for video in videos if video.author_id == "surf-0" or video.sound_id == "s3" or "chess" in video.tags]
    assert removals(slate) == {"removed: by a blocked author": 5, "removed: to a blocked sound": 5, "removed: with a blocked word": 9}
    for what, name in (("author", "surf-0"), ("sound", "s3"), ("word", "CHESS")):
        app.clock.advance_to(app.clock.now() + 1)
        says(app, Unblock, what=what, name=name)
    app.clock.advance_to(app.clock.now() + 1_000)
    assert len(shown(app)) == 40


def test_who_is_unknown_gets_only_what_everybody_may_see_everywhere(app: SmallApp) -> None:
    for name, own in {"adult": {"min_age": 18}, "pt": {"regions": ("PT",)}, "not-us": {"not_in": ("us",)}, "fr": {"language": "fr-CA"}}.items():
        app.tell(VideoPublished(event_id=f"p-{name}", video=app.video(0).__class__(video_id=name, author_id=name, duration_s=9.0, uploaded_at=NOW, **own)))
    own = {"adult", "pt", "not-us", "fr"}
    assert own & set(shown(app, size=50)) == {"fr"}
    app.clock.advance_to(app.clock.now() + 1_000)
    slate = slate_of(app, size=50)
    assert removals(slate) == {"removed: not for this region": 2, "removed: not for this age": 1}
    says(app, Profile, age=18, region="pt", languages=("en",))
    assert own & set(shown(app, size=50)) == {"adult", "pt", "not-us"}
    app.clock.advance_to(app.clock.now() + 1_000)
    assert own & set(shown(app, size=50, context=Context(region="US-CA"))) == {"adult"}
    app.clock.advance_to(app.clock.now() + 1_000)
    says(app, Profile, age=17, region="US", languages=("FR",))
    assert own & set(shown(app, size=50)) == {"fr"}


def test_more_and_less_of_a_topic_lift_and_lower_it_and_why_can_say_so(app: SmallApp) -> None:
    app.system.feed.params = app.system.feed.params.__class__(  # by the score alone
        cap_tag=40, cap_author=40, cap_sound=40, visit_cap_tag=40, visit_cap_author=40, visit_cap_sound=40, diversity=0.0
    )
    says(app, Topic, topic="chess", wish="more")
    says(app, Topic, topic="surf", wish="less")
    tags = [app.system.columns.videos[place.row].tags[0] for place in slate_of(app).places]
    assert set(tags[:10]) == {"chess"}
    assert set(tags[-10:]) == {"surf"}
    assert {lift for place in last_served(app).videos for lift in place.lifts.values()} == {1.0, -1.0}
    app.clock.advance_to(app.clock.now() + 1_000)
    says(app, Topic, topic="chess", wish="usual")
    says(app, Topic, topic="surf", wish="usual")
    slate_of(app)
    assert not any(place.lifts for place in last_served(app).videos)


def test_not_interested_lowers_the_author_and_the_tags_of_the_video_too(app: SmallApp) -> None:
    before = {place.row: place.score for place in slate_of(app).places}
    app.clock.advance_to(app.clock.now() + 1_000)
    says(app, Hide, video_id="v1")
    after = {place.row: place.score for place in slate_of(app).places}
    change = {row: after[row] - before[row] for row in after}
    assert 1 not in after
    same_author = {row: change[row] for row in change if row % 8 == 1}
    same_tag = {row: change[row] for row in change if row % 8 == 5}
    others = {row: change[row] for row in change if row % 4 != 1}
    assert max(same_author.values()) < min(same_tag.values()) < max(same_tag.values()) < min(others.values()) - 0.5


def test_after_a_reset_nothing_is_left_of_tastes_but_what_was_seen_and_blocked(app: SmallApp) -> None:
    app.watches("ana", 1, 5, 9)
    says(app, Like, video_id="v1")
    says(app, Block, what="author", name="surf-0")
    says(app, Hide, video_id="v2")  # which was never on screen
    app.clock.advance_to(app.clock.now() + 10)
    says(app, Reset)
    user = app.system.reader.user("ana")
    assert (len(user.watches), len(user.signals.kinds), user.counts.sum()) == (0, 0, 0)
    assert sorted(user.seen) == [1, 2, 5, 9]
    assert len(user.blocked) == 1
    assert not {"v1", "v2", "v5", "v9", "v0"} & set(shown(app))


def test_a_feed_that_is_not_personal_is_the_same_for_whoever_saw_the_same(app: SmallApp) -> None:
    app.watches("ana", 1, 5, 9)
    app.watches("bob", 1, 5, 9, watched_s=0.5)
    says(app, Like, video_id="v5")
    says(app, Topic, topic="chess", wish="more")
    mine, others = slate_of(app, personalized=False), slate_of(app, "bob", personalized=False)
    assert [(place.row, place.score) for place in mine.places] == [(place.row, place.score) for place in others.places]
    app.clock.advance_to(app.clock.now() + 1_000)
    assert shown(app) != [app.system.columns.videos[place.row].video_id for place in mine.places]
    app.system.feed.flush()
    assert [event.personalized for event in in_log(app.system) if isinstance(event, Served)].count(False) == 2


def test_rules_hide_expire_and_mute_where_and_while_they_hold(app: SmallApp) -> None:
    rule(app, "hide", "video", "v0", region="PT")
    rule(app, "hide", "author", "chess-1", ends_at=NOW + 500)
    rule(app, "expire", "video", "v2", begins_at=NOW + 500)
    rule(app, "mute", "tag", "cats")
    rule(app, "mute", "sound", "s1")
    here = slate_of(app, context=Context(region="pt"))
    assert removals(here) == {
        "removed: hidden by a rule": 1, "removed: by an author hidden by a rule": 5, "removed: under a muted tag": 10, "removed: to a muted sound": 4,
    }  # fmt: skip
    app.clock.advance_to(app.clock.now() + 1_000)
    later = slate_of(app)
    assert removals(later) == {"removed: expired": 1, "removed: under a muted tag": 10, "removed: to a muted sound": 5}


def test_a_boost_is_a_part_of_the_score_and_a_pin_takes_its_place(app: SmallApp) -> None:
    plain = {place.row: place.score for place in slate_of(app).places}
    app.clock.advance_to(app.clock.now() + 1_000)
    rule(app, "boost", "video", "v30", times=2.0)
    pin = rule(app, "pin", "video", "v39", position=2)
    slate = slate_of(app)
    scores = {place.row: place.score for place in slate.places}
    served = last_served(app)
    assert slate.places[2].row == 39
    assert (slate.places[2].reason, slate.places[2].propensity) == (f"pinned by rule {pin}", 1.0)
    assert [place.position for place in slate.places] == list(range(40))
    boosted = served.videos[[place.row for place in slate.places].index(30)]
    assert boosted.lifts == {"boosted": pytest.approx(0.6931, abs=1e-4)}
    assert scores[30] == pytest.approx(plain[30] + 0.6931, abs=0.01)


def test_what_was_seen_or_blocked_does_not_come_back_for_a_pin(app: SmallApp) -> None:
    rule(app, "pin", "video", "v39")
    app.clock.advance_to(app.clock.now() + 1)
    rule(app, "pin", "video", "v38")
    app.watches("ana", 39)
    says(app, Block, what="author", name=app.video(38).author_id)
    assert not {"v38", "v39"} & set(shown(app))
    assert shown(app, "bob", 3)[:2] == ["v39", "v38"]
