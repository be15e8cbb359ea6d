"""What users said, folded: the newest word stands in whatever order it comes, and a reset leaves what was said."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.folded_world import NOW, World
from reelrank.domain.event import Block, Event, Follow, Hide, Impression, Like, Profile, Reset, Share, Skip, Topic, Unblock, Watch
from reelrank.domain.user import Bounds, Signal, Wish
from reelrank.features import sequences
from reelrank.features.controls import KEEP_WISHES, bounds_entry, decode_bounds, merge_wishes, wished
from reelrank.features.user_changes import UserChanges

WISHES = st.lists(st.tuples(st.integers(0, 9), st.integers(1, 3), st.sampled_from(["a", "b", "c"]), st.integers(-1, 1)), max_size=20)


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


@settings(max_examples=100)
@given(WISHES, st.data())
def test_the_newest_word_on_a_name_stands_in_whatever_order_it_comes(wishes: list[tuple[int, int, str, int]], data: st.DataObject) -> None:
    kept = ()
    for wish in data.draw(st.permutations(wishes)):
        kept = merge_wishes(kept, [wish])
    assert kept == merge_wishes((), wishes) == tuple(sorted({wish[1:3]: wish for wish in sorted(wishes)}.values()))


def test_of_very_many_names_the_newest_are_kept() -> None:
    kept = merge_wishes((), [(at, 1, f"word {at}", 1) for at in range(KEEP_WISHES + 5)])
    assert (len(kept), kept[0][2]) == (KEEP_WISHES, "word 5")


def test_however_many_topics_somebody_names_what_they_blocked_stays_blocked() -> None:
    kept = merge_wishes((), [(0, Wish.WORD, "crypto", 1), (0, Wish.SOUND, "s-1", 1)])
    kept = merge_wishes(kept, [(1 + at, Wish.TOPIC, f"topic {at}", 1) for at in range(KEEP_WISHES + 5)])
    assert (list(wished(kept, Wish.WORD)), list(wished(kept, Wish.SOUND)), len(wished(kept, Wish.TOPIC))) == (["crypto"], ["s-1"], KEEP_WISHES)


def test_however_many_authors_somebody_follows_whom_they_blocked_stays_blocked() -> None:
    kept = sequences.merge_authors(b"", [sequences.signal_entry(NOW, Signal.BLOCK, 7, True)])
    follows = [sequences.signal_entry(NOW + 1 + at, Signal.FOLLOW, at, True) for at in range(sequences.KEEP_AUTHORS + 5)]
    user = sequences.decode_user("u", sequences.encode_record(sequences.UserRecord(authors=sequences.merge_authors(kept, follows))))
    assert (user.blocked.tolist(), len(user.followed)) == ([7], sequences.KEEP_AUTHORS)


def test_a_profile_is_kept_normalised_and_the_newest_holds_whole() -> None:
    first = bounds_entry(1_000, Profile(event_id="1", user_id="u", age=12, region="us-ca", languages=("pt-BR", "EN", "en")))
    second = bounds_entry(2_000, Profile(event_id="2", user_id="u", region="PT"))
    assert decode_bounds(first) == Bounds(12, 1.0, "US-CA", ("en", "pt"))
    assert decode_bounds(max(first, second)) == Bounds(None, 2.0, "PT", ())
    assert decode_bounds(b"") == Bounds()


def test_an_age_grows_with_the_years_and_never_too_early() -> None:
    told = Bounds(age=17, told_at=NOW)
    assert [told.age_at(NOW + days * 86_400.0) for days in (-5, 0, 365, 366, 2 * 366)] == [17, 17, 17, 18, 19]
    assert Bounds().age_at(NOW) == 0


@settings(max_examples=60)
@given(st.lists(st.tuples(st.sampled_from([Watch, Skip, Like, Share, Hide, Reset]), st.integers(0, 4), st.integers(0, 8)), max_size=15), st.data())
def test_histories_after_a_reset_are_the_same_in_whatever_order_everything_comes(told: list[tuple[type[Event], int, int]], data: st.DataObject) -> None:
    def folded(events: list[tuple[type[Event], int, int]]) -> sequences.UserRecord:
        stored = None
        for kind, row, second in events:
            changes, at = UserChanges(), NOW + second
            if kind is Reset:
                changes.reset_ms = sequences.milliseconds(at)
            elif kind in (Watch, Skip):
                changes.seen.append(row)
                changes.watches.append(sequences.watch_entry(at, row, 4.0, 0, skipped=kind is Skip, long_view=kind is Watch))
            else:
                signal = {Like: 1, Share: 2, Hide: 4}[kind]
                changes.signals.append(sequences.signal_entry(at, signal, row, on=True))
                changes.seen += [row] if kind is Hide else []
            stored = changes.applied_to(stored, 256)
        return sequences.EMPTY if stored is None else sequences.decode_record(stored)

    one, other = folded(told), folded(data.draw(st.permutations(told)))
    for name in ("watches", "long_views", "signals", "seen", "reset_ms"):
        assert getattr(one, name) == getattr(other, name), name


def test_what_is_told_late_of_the_time_before_a_reset_is_forgotten_too(world: World) -> None:
    about = {"user_id": "u", "video_id": "v1"}
    world.see(Reset(event_id="r", user_id="u", occurred_at=NOW))
    world.see(Watch(event_id="w", occurred_at=NOW - 5, watched_s=9.0, **about), Like(event_id="l", occurred_at=NOW - 4, **about))
    user = world.user("u")
    assert (len(user.watches), len(user.signals.kinds), int(user.counts.sum()), list(user.seen)) == (0, 0, 0, [1])


def test_a_reset_that_comes_late_leaves_what_followed_it(world: World) -> None:
    about = {"user_id": "u", "video_id": "v1"}
    world.see(
        Impression(event_id="i", occurred_at=NOW + 1, **about),
        Watch(event_id="w", occurred_at=NOW + 5, watched_s=11.0, **about),
        Like(event_id="l", occurred_at=NOW + 6, **about),
        Watch(event_id="w0", occurred_at=NOW - 5, watched_s=2.0, **about),
    )
    before = world.user("u").counts.tolist()
    world.see(Reset(event_id="r", user_id="u", occurred_at=NOW))
    user = world.user("u")
    assert (len(user.watches), user.liked.tolist()) == (1, [1])
    assert before[1] == 2
    assert user.counts[[0, 1, 2, 3, 5, 11]].tolist() == [1, 1, 0, 1, 1, 110]


def test_what_was_said_outlives_a_reset(world: World) -> None:
    own = {"user_id": "u"}
    world.see(
        Follow(event_id="1", occurred_at=NOW, author_id="a1", **own),
        Block(event_id="2", occurred_at=NOW, what="author", name="a0", **own),
        Block(event_id="3", occurred_at=NOW, what="word", name="cats", **own),
        Topic(event_id="4", occurred_at=NOW, topic="dogs", wish="less", **own),
        Profile(event_id="5", occurred_at=NOW, age=30, **own),
        Reset(event_id="6", occurred_at=NOW + 1, **own),
    )
    user = world.user("u")
    assert (len(user.followed), len(user.blocked), user.blocked_words, dict(user.topics), user.bounds.age) == (1, 1, ("cats",), {"dogs": -1}, 30)
    world.see(
        Unblock(event_id="7", occurred_at=NOW + 2, what="author", name="a0", **own), Topic(event_id="8", occurred_at=NOW + 2, topic="dogs", wish="usual", **own)
    )
    user = world.user("u")
    assert (len(user.blocked), dict(user.topics)) == (0, {})


def test_everything_that_is_said_is_folded_once_and_again_to_the_same_bytes(world: World, tmp_path: Path) -> None:
    own = {"user_id": "u"}
    events = [
        Block(event_id="1", occurred_at=NOW, what="sound", name="song", **own),
        Watch(event_id="2", occurred_at=NOW + 1, video_id="v1", watched_s=9.0, **own),
        Reset(event_id="3", occurred_at=NOW + 2, **own),
        Profile(event_id="4", occurred_at=NOW + 3, languages=("pt",), **own),
        Block(event_id="1", occurred_at=NOW, what="sound", name="song", **own),
    ]
    for event in events:
        world.see(event)
    other = World(tmp_path / "other")
    other.see(*events)
    assert dict(world.store.scan_users()) == dict(other.store.scan_users())
