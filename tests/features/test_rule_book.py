"""The rule book: which rules hold for a request, as rows."""

from pathlib import Path

import pytest

from features.folded_world import NOW, World
from reelrank.domain.rule import Rule, RuleDraft
from reelrank.domain.video import Video
from reelrank.features.rule_book import RuleBook
from reelrank.storage.catalog_sqlite import SqliteDatabase
from reelrank.storage.rule_store import RuleStore


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


@pytest.fixture
def kept(tmp_path: Path) -> RuleStore:
    return RuleStore(SqliteDatabase(tmp_path / "rules.sqlite"))


def test_rules_hold_where_and_while_they_are_meant_to(world: World, kept: RuleStore) -> None:
    book = RuleBook(kept, world.columns)
    everywhere = kept.add(RuleDraft(action="mute", target="tag", name="dogs"), "me", NOW)
    there = kept.add(RuleDraft(action="hide", target="author", name="a1", region="PT", ends_at=NOW + 10), "me", NOW + 1)
    assert book.in_force(NOW, "PT").rules == []
    book.refresh()
    assert list(book.in_force(NOW, "PT").rules) == [everywhere, there]
    assert list(book.in_force(NOW, "").rules) == [everywhere]
    assert list(book.in_force(NOW + 10, "PT").rules) == [everywhere]
    ((_, _, hidden),) = [one for one in book.in_force(NOW, "PT").taken_away if one[1] == "author"]
    assert hidden.tolist() == [world.columns.authors["a1"]]
    kept.remove(everywhere.rule_id, "me", NOW)
    book.refresh()
    assert (book.in_force(NOW, "PT").rules, book.number) == ([there], 3)


def test_what_a_rule_names_is_found_once_it_is_published(world: World, kept: RuleStore) -> None:
    kept.add(RuleDraft(action="hide", target="video", name="tomorrow"), "me", NOW)
    book = RuleBook(kept, world.columns)
    book.refresh()
    assert book.in_force(NOW, "").taken_away == []
    world.catalog.publish([Video(video_id="tomorrow", author_id="a", duration_s=9.0, uploaded_at=NOW)])
    world.columns.refresh()
    book.refresh()
    assert [(target, rows.tolist()) for _, target, rows in book.in_force(NOW, "").taken_away] == [("video", [5])]


def test_a_rule_holds_in_all_parts_of_its_country(world: World) -> None:
    book = RuleBook(None, world.columns)
    book.hold(1, [Rule(action="mute", target="tag", name="x", region=region, rule_id=region, made_at=0.0, made_by="me") for region in ("us", "pt-11")])
    asked = ("US", "US-CA", "PT", "PT-11", "")
    assert [[rule.rule_id for rule in book.in_force(NOW, region).rules] for region in asked] == [["us"], ["us"], [], ["pt-11"], []]


def test_what_holds_is_sorted_out_once_until_a_rule_begins_or_ends(world: World, kept: RuleStore) -> None:
    kept.add(RuleDraft(action="hide", target="video", name="unheard of"), "me", NOW)
    kept.add(RuleDraft(action="hide", target="author", name="a1", begins_at=NOW + 5, ends_at=NOW + 10), "me", NOW)
    book = RuleBook(kept, world.columns)
    book.refresh()
    before, between, after = (book.in_force(NOW + seconds, "") for seconds in (0, 5, 10))
    assert [len(held.rules) for held in (before, between, after)] == [1, 2, 1]
    assert book.in_force(NOW + 1_000, "") is after
    world.catalog.publish([Video(video_id="another one", author_id="a", duration_s=9.0, uploaded_at=NOW)])
    world.columns.refresh()
    book.refresh()
    assert book.in_force(NOW + 1_000, "") is after  # nothing that a rule names has come
