"""Attribution: what was served, joined with what followed."""

import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.slates import FEATURES, NOW, Desk, clock, event, newest, served, watched
from reelrank.domain.event import Comment, Event, Follow, Hide, Impression, Like, Report, Served, Share, Skip, Unfollow, Unlike, Watch
from reelrank.domain.example import Labels
from reelrank.features.definitions import FEATURES_VERSION


def test_a_watch_makes_an_example_at_once_and_the_end_of_the_window_another() -> None:
    desk = Desk()
    assert desk.see(served(), event(Impression)) == []
    (first,) = desk.see(watched(watched_s=19.5))
    assert (first.kind, first.version, first.labels) == ("watched", 1, Labels(True, True, True, False, 19.5, 0))
    assert desk.see(event(Like, at=30), clock(600.9)) == []
    (last,) = desk.see(clock(601))
    assert (last.kind, last.version) == ("closed", 2)
    assert last.labels == Labels(True, True, True, False, 19.5, 0, like=True, share=False, follow=False, comment=False, hide=False)


def test_an_example_carries_what_was_known_when_it_was_served() -> None:
    desk = Desk()
    (made,) = desk.see(served(variant="b", models={"click": "7"}), event(Impression, "v2"), watched("v2"))
    assert made.example_id == "r/2"
    assert (made.slate.user_id, made.slate.policy, made.slate.params, made.slate.variant, made.slate.models) == ("u", "by_hand", "p1", "b", {"click": "7"})
    assert (made.slate.served_at, made.impression_at, made.impression_seen) == (NOW, NOW + 1, True)
    assert (made.slate.context.place, made.slate.context.surface, made.slate.context.bandwidth_kbps) == ("Rome", "for_you", 900)
    assert (made.place.video_id, made.place.author_id, made.place.duration_s, made.place.position) == ("v2", "a0", 20.0, 2)
    assert (made.place.sources, made.place.score, made.place.propensity, made.place.predictions) == (("fresh",), 0.5, 0.5, {"click": 0.25})
    assert tuple(np.frombuffer(made.place.features, dtype="<f4").tolist()) == FEATURES
    assert made.place.features_version == FEATURES_VERSION


def test_a_skip_is_no_click() -> None:
    (made,) = Desk().see(served(), event(Impression), event(Skip, watched_s=1.5))
    assert made.labels == Labels(False, False, False, True, 1.5, 0)


def test_an_impression_that_nobody_left_is_closed_without_a_watch() -> None:
    (made,) = Desk().see(served(), event(Impression), clock(700))
    assert made.kind == "closed"
    assert (made.labels.click, made.labels.watched_s, made.labels.like) == (None, None, False)


def test_what_was_not_on_screen_makes_no_example() -> None:
    assert [made.example_id for made in Desk().see(served(), event(Impression, "v1"), clock(5_000))] == ["r/1"]


def test_a_watch_whose_impression_was_lost_counts_as_one() -> None:
    desk = Desk()
    (made,) = desk.see(served(), watched(at=9))
    assert (made.kind, made.impression_at, made.impression_seen) == ("watched", NOW + 9, False)
    (closed,) = desk.see(event(Impression, at=3), clock(700))
    assert (closed.kind, closed.impression_at, closed.impression_seen) == ("closed", NOW + 3, True)


@pytest.mark.parametrize(
    ("kind", "label"),
    [(Like, "like"), (Share, "share"), (Follow, "follow"), (Comment, "comment"), (Hide, "hide"), (Report, "hide")],
)
def test_an_engagement_within_the_window_is_a_label(kind: type[Event], label: str) -> None:
    more = {"author_id": "a0"} if kind is Follow else {}
    (made,) = Desk().see(served(), event(Impression), event(kind, at=2, **more), clock(700))
    assert (made.kind, getattr(made.labels, label)) == ("closed", True)
    (made,) = Desk().see(served(), event(Impression), event(kind, "v1", at=2, **more), clock(700))[:1]
    assert getattr(made.labels, label) is False


def test_what_happens_after_the_window_is_no_label() -> None:
    desk = Desk()
    desk.see(served(), event(Impression, at=1), clock(500))
    assert desk.see(event(Like, at=602))[0].labels.like is False
    assert desk.see(event(Share, at=603), clock(3_000)) == []


@pytest.mark.parametrize(("does", "undoes", "label"), [(Like, Unlike, "like"), (Follow, Unfollow, "follow")])
def test_what_is_taken_back_within_the_window_does_not_count(does: type[Event], undoes: type[Event], label: str) -> None:
    more = {"author_id": "a0"} if does is Follow else {}
    (made,) = Desk().see(served(), event(Impression), event(does, at=2, **more), event(undoes, at=3, **more), clock(700))
    assert getattr(made.labels, label) is False
    (made,) = Desk().see(served(), event(Impression), event(undoes, at=2, **more), event(does, at=3, **more), clock(700))
    assert getattr(made.labels, label) is True


def test_the_earliest_watch_is_the_outcome() -> None:
    desk = Desk()
    made = desk.see(served(), event(Impression), watched(at=50, watched_s=2), watched(at=20, watched_s=10), clock(700))
    assert [(one.kind, one.labels.watched_s) for one in made] == [("watched", 2.0), ("closed", 10.0)]


def test_a_late_event_corrects_what_was_closed_while_the_slate_is_remembered() -> None:
    desk = Desk()
    desk.see(served(), event(Impression), clock(700))
    (made,) = desk.see(event(Like, at=30))
    assert (made.kind, made.version, made.labels.like, made.labels.click) == ("corrected", 2, True, None)
    (made,) = desk.see(watched(at=6))
    assert (made.kind, made.version, made.labels.like, made.labels.click) == ("corrected", 3, True, True)
    assert desk.see(event(Like, at=31)) == []  # changes nothing
    assert desk.attribution.counts.late == 3
    assert desk.see(clock(3_601), event(Share, at=40)) == []
    assert desk.attribution.counts.without_slate == 3  # the two clocks name none, and this one is forgotten


def test_an_impression_that_arrives_late_waits_for_its_watch() -> None:
    desk = Desk()
    desk.see(served(), clock(2_000))
    (made,) = desk.see(event(Impression, at=5), watched(at=9))
    assert made.kind == "watched"
    assert desk.see(clock(2_059)) == []
    assert [one.kind for one in desk.see(clock(2_060))] == ["closed"]


def test_a_repeat_changes_nothing() -> None:
    desk = Desk()
    once = [served(), event(Impression), watched(at=5), event(Like, at=6)]
    made = desk.see(*once, *once, *once)
    assert [one.kind for one in made] == ["watched"]
    assert desk.attribution.counts.repeats == 8
    assert [one.kind for one in desk.see(clock(700), *once, clock(701))] == ["closed"]


def test_what_names_no_slate_of_this_user_is_counted_and_nothing_else() -> None:
    desk = Desk()
    nothing = [event(Impression, request=""), watched(request="other"), event(Like, user="stranger")]
    assert desk.see(served(), *nothing, event(Impression, "v6"), clock(9_000)) == []
    assert desk.attribution.counts.without_slate == 4
    assert desk.attribution.counts.without_place == 1


def test_a_video_that_is_twice_in_a_slate_is_told_apart_by_position() -> None:
    made = Desk().see(served(videos=("v0", "v1", "v0")), watched(position=2), watched(position=0, at=6), watched(position=1, at=7))
    assert [one.place.position for one in made] == [2, 0]
    made = Desk().see(served(videos=("v0", "v1")), watched("v1", position=0))
    assert [one.place.position for one in made] == [1]  # the slate knows better


def test_a_video_that_the_catalogue_does_not_have_makes_examples_without_what_takes_its_duration() -> None:
    (made,) = Desk().see(served(videos=("gone",)), watched("gone"))
    assert (made.place.author_id, made.place.duration_s, made.place.video_id) == ("", 0.0, "gone")
    assert (made.labels.click, made.labels.long_view, made.labels.completion) == (True, None, None)


def test_features_of_another_width_are_kept_and_marked() -> None:
    slate = served(videos=("v0",))
    from_elsewhere = Served(
        event_id="e", request_id="r", user_id="u", occurred_at=NOW, policy="theirs", videos=(type(slate.videos[0])(video_id="v0", features=(1.0, 1e300)),)
    )
    (made,) = Desk().see(from_elsewhere, watched())
    assert np.frombuffer(made.place.features, dtype="<f4").tolist() == [1.0, float("inf")]
    assert made.place.features_version == ""


def test_more_slates_than_fit_close_the_oldest_early_and_count_it() -> None:
    desk = Desk(max_slates=2)
    desk.see(served("r1", at=1), event(Impression, at=2, request="r1"), served("r2", at=3), event(Impression, at=4, request="r2"))
    (made,) = desk.see(served("r3", at=5))
    assert (made.kind, made.example_id) == ("closed", "r1/0")
    assert desk.attribution.counts.slates_closed_early == 1
    assert desk.attribution.remembered == 2
    assert desk.see(event(Like, request="r1", at=6)) == []
    assert [one.example_id for one in desk.see(event(Watch, request="r2", at=7, watched_s=1))] == ["r2/0"]


def test_no_number_of_likes_fills_the_memory() -> None:
    desk = Desk()
    desk.see(served(), event(Impression), *(event(Like, at=2 + number / 100) for number in range(500)))
    assert desk.attribution.counts.too_many == 500 - 63
    assert desk.see(clock(700))[0].labels.like


def test_progress_is_told_at_set_offsets_whatever_else_was_made() -> None:
    desk = Desk(progress_every=10)
    desk.fold(*(clock(number) for number in range(35)))
    assert [(one.kind, one.offset) for one in desk.everything()] == [("progress", 0), ("progress", 10), ("progress", 20), ("progress", 30)]


# --- properties ---

KINDS: list[type[Event]] = [Impression, Watch, Skip, Like, Unlike, Share, Comment, Hide]


@st.composite
def logs(draw: st.DrawFn) -> list[Event]:
    """Slates and what follows, late, repeated and out of order; sometimes of nothing that was served."""
    events: list[Event] = []
    at = 0.0
    for number in range(draw(st.integers(1, 25))):
        at += draw(st.sampled_from([0.5, 5.0, 40.0, 200.0]))
        if draw(st.integers(0, 3)) == 0:
            request = f"r{draw(st.integers(0, 6))}"
            events.append(served(request, at=at - draw(st.sampled_from([0, 0, 30, 900])), event_id=f"s{request}{draw(st.integers(0, 1))}"))
        else:
            kind = draw(st.sampled_from(KINDS))
            more = {"watched_s": float(draw(st.integers(0, 25)))} if kind in (Watch, Skip) else {}
            late = draw(st.sampled_from([0, 0, 0, 20, 300, 1_000]))
            events.append(event(kind, f"v{draw(st.integers(0, 3))}", max(0.0, at - late), f"r{draw(st.integers(0, 6))}", event_id=f"e{number}", **more))
        if draw(st.integers(0, 4)) == 0:
            events.append(draw(st.sampled_from(events)))
    return events


CONFIGS = st.sampled_from(
    [{"window_s": 100, "lateness_s": 10, "remember_s": 400, "max_slates": 3, "progress_every": 7}, {"window_s": 100, "remember_s": 150}, {"max_slates": 1}]
)


@settings(max_examples=300)
@given(logs(), CONFIGS)
def test_whoever_begins_where_any_record_says_goes_on_with_exactly_the_same_records(events: list[Event], config: dict[str, float]) -> None:
    whole = Desk(**config)
    whole.fold(*events)
    made = whole.everything()
    for place, record in enumerate(made):
        again = Desk(record, record.replay_from, **config)
        again.fold(*events[record.replay_from :])
        assert [one for one in again.everything() if one.origin > record.origin] == made[place + 1 :]


@settings(max_examples=200)
@given(st.lists(st.tuples(st.sampled_from(KINDS), st.integers(0, 2), st.integers(1, 900)), max_size=14), st.randoms(use_true_random=False))
def test_what_holds_in_the_end_does_not_depend_on_the_order_of_arrival(told: list[tuple[type[Event], int, int]], chance: random.Random) -> None:
    events = [
        event(kind, f"v{video}", at, event_id=f"e{number}", **({"watched_s": number} if kind in (Watch, Skip) else {}))
        for number, (kind, video, at) in enumerate(told)
    ]
    shuffled = chance.sample(events, len(events))
    ends = []
    for order in (events, shuffled, [*shuffled, *events]):
        made = newest(Desk().see(served(), *order, clock(2_000)))
        ends.append({key: (one.labels, one.impression_at, one.impression_seen) for key, one in made.items()})
    assert ends[0] == ends[1] == ends[2]


@settings(max_examples=200)
@given(logs(), CONFIGS)
def test_each_head_learns_each_impression_once(events: list[Event], config: dict[str, float]) -> None:
    made = Desk(**config).see(*events, clock(100_000))
    lives: dict[str, list[str]] = {}
    for one in made:
        kinds = lives.setdefault(one.example_id, [])
        if one.version == 1:
            kinds.clear()  # the same name for another slate, by this test's making
        kinds.append(one.kind)
        assert one.version == len(kinds)
        assert kinds.count("watched") <= 1 and kinds.count("closed") <= 1
        assert kinds == sorted(kinds, key=["watched", "closed", "corrected"].index)
