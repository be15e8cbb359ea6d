"""The rule book: which rules hold for a request, as rows."""

from pathlib import Path

import pytest

from features.folded_world import NOW, World
from reelrank.domain.rule import RuleDraft
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
    assert book.in_force(NOW, "PT").named("hide", "author").tolist() == [world.columns.authors["a1"]]
    kept.remove(everywhere.rule_id, "me", NOW)
    book.refresh()
    assert (list(book.in_force(NOW, "PT").rules), book.number) == ([there], 3)


def test_what_a_rule_names_is_found_once_it_is_published(world: World, kept: RuleStore) -> None:
    kept.add(RuleDraft(action="hide", target="video", name="tomorrow"), "me", NOW)
    book = RuleBook(kept, world.columns)
    book.refresh()
    assert book.in_force(NOW, "").named("hide", "video").tolist() == []
    world.catalog.publish([Video(video_id="tomorrow", author_id="a", duration_s=9.0, uploaded_at=NOW)])
    world.columns.refresh()
    book.refresh()
    assert book.in_force(NOW, "").named("hide", "video").tolist() == [5]
