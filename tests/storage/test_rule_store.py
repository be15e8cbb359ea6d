"""Business rules and their audit, over every database."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from reelrank.domain.rule import RuleDraft, RuleProblem
from reelrank.storage.catalog_postgresql import PostgresqlDatabase
from reelrank.storage.catalog_sqlite import SqliteDatabase
from reelrank.storage.rule_store import RuleStore

NOW = 1_750_000_000.0
HIDE = RuleDraft(action="hide", target="video", name="v1")


@pytest.fixture(params=["sqlite", "postgresql"])
def open_rules(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Callable[[], RuleStore]]:
    place = str(tmp_path / "c.sqlite") if request.param == "sqlite" else request.getfixturevalue("postgresql").new_database()
    with ExitStack() as opened:

        def _open() -> RuleStore:
            database = PostgresqlDatabase(place) if place.startswith("postgresql:") else SqliteDatabase(Path(place))
            opened.callback(database.close)
            return RuleStore(database)

        yield _open


@pytest.fixture
def rules(open_rules: Callable[[], RuleStore]) -> RuleStore:
    return open_rules()


def test_a_rule_is_there_for_everybody_as_it_was_made(rules: RuleStore, open_rules: Callable[[], RuleStore]) -> None:
    draft = RuleDraft(action="boost", target="tag", name="chess", region="PT", begins_at=NOW, ends_at=NOW + 9, times=1.5, note="season")
    made = rules.add(draft, "ana", NOW)
    other = rules.add(HIDE, "bob", NOW + 1)
    assert (made.made_by, made.made_at, made.times, made.region) == ("ana", NOW, 1.5, "PT")
    assert open_rules().followed() == (2, [made, other])


def test_every_change_is_on_record_with_who_when_before_and_after(rules: RuleStore) -> None:
    made = rules.add(HIDE, "ana", NOW)
    changed = rules.change(made.rule_id, RuleDraft(action="hide", target="video", name="v2"), "bob", NOW + 1)
    removed = rules.remove(made.rule_id, "eve", NOW + 2)
    assert removed == changed
    told = [(change.number, change.at, change.who, change.before, change.after) for change in rules.audit()]
    assert told == [(3, NOW + 2, "eve", changed, None), (2, NOW + 1, "bob", made, changed), (1, NOW, "ana", None, made)]
    assert [change.number for change in rules.audit(1)] == [3]
    assert rules.all() == []


def test_the_rules_of_any_moment_can_be_had_again(rules: RuleStore) -> None:
    first = rules.add(HIDE, "ana", NOW)
    second = rules.add(HIDE, "ana", NOW + 1)
    changed = rules.change(first.rule_id, RuleDraft(action="hide", target="author", name="a"), "ana", NOW + 2)
    rules.remove(second.rule_id, "ana", NOW + 3)
    assert [rules.as_of(number) for number in range(5)] == [[], [first], [first, second], [changed, second], [changed]]


def test_what_is_not_there_or_can_not_be_changes_nothing(rules: RuleStore) -> None:
    with pytest.raises(RuleProblem, match="there is no rule 'r-1'; `reelrank rules list` shows"):
        rules.remove("r-1", "ana", NOW)
    with pytest.raises(RuleProblem, match="there is no rule 'r-1'"):
        rules.change("r-1", HIDE, "ana", NOW)
    with pytest.raises(RuleProblem, match="a boost by 1 changes nothing"):
        rules.add(RuleDraft(action="boost", target="video", name="v1"), "ana", NOW)
    assert (rules.number(), rules.audit()) == (0, [])
