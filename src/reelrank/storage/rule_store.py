"""RuleStore: business rules in the database, and an audit of every change: who, when, what was before and what after."""

import secrets
from typing import Any

import msgspec
import sqlalchemy as sql

from reelrank.domain.rule import MAX_RULES, NoSuchRule, Rule, RuleDraft, RuleProblem, check
from reelrank.storage.database import Database
from reelrank.storage.schema import TABLES

_rules = sql.Table(
    "rules",
    TABLES,
    sql.Column("rule_id", sql.String, primary_key=True),
    sql.Column("body", sql.LargeBinary, nullable=False),  # the Rule as JSON
)
_audit = sql.Table(
    "rule_audit",
    TABLES,
    sql.Column("number", sql.Integer, primary_key=True, autoincrement=False),
    sql.Column("at", sql.Double, nullable=False),
    sql.Column("who", sql.String, nullable=False),
    sql.Column("rule_id", sql.String, nullable=False),
    sql.Column("before", sql.LargeBinary),
    sql.Column("after", sql.LargeBinary),
)
_decode = msgspec.json.Decoder(Rule).decode
_encode = msgspec.json.Encoder().encode


class RuleChange(msgspec.Struct, frozen=True):
    """One change of the rules. `before` is null for a new rule, `after` for one that was removed."""

    number: int  # from 1 upwards without gaps: how far somebody has followed
    at: float
    who: str
    rule_id: str
    before: Rule | None
    after: Rule | None


class RuleStore:
    """The business rules of a deployment. A rule never changes unnoticed: it and its audit are written together."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, draft: RuleDraft, who: str, now: float) -> Rule:
        """A new rule. Raises RuleProblem."""
        check(draft)
        rule = Rule(**msgspec.structs.asdict(draft), rule_id=f"r-{secrets.token_hex(4)}", made_at=now, made_by=who)
        with self._database.writing() as connection:
            if (connection.execute(sql.select(sql.func.count()).select_from(_rules)).scalar() or 0) >= MAX_RULES:
                raise RuleProblem(f"there are {MAX_RULES:,} rules already; remove those that are over")
            connection.execute(_rules.insert().values(rule_id=rule.rule_id, body=_encode(rule)))
            _record(connection, now, who, rule.rule_id, None, rule)
        return rule

    def change(self, rule_id: str, draft: RuleDraft, who: str, now: float) -> Rule:
        """Another rule in the place of one that is there. Raises RuleProblem."""
        check(draft)
        with self._database.writing() as connection:
            before = _found(connection, rule_id)
            rule = Rule(**msgspec.structs.asdict(draft), rule_id=rule_id, made_at=before.made_at, made_by=before.made_by)
            connection.execute(_rules.update().where(_rules.c.rule_id == rule_id).values(body=_encode(rule)))
            _record(connection, now, who, rule_id, before, rule)
        return rule

    def remove(self, rule_id: str, who: str, now: float) -> Rule:
        """Ends a rule for good. Raises RuleProblem."""
        with self._database.writing() as connection:
            before = _found(connection, rule_id)
            connection.execute(_rules.delete().where(_rules.c.rule_id == rule_id))
            _record(connection, now, who, rule_id, before, None)
        return before

    def all(self) -> list[Rule]:
        """Every rule that is kept, also those that are over or have not begun, the oldest first."""
        return self.followed()[1]

    def number(self) -> int:
        """How many changes there were; whoever has followed so many knows all rules."""
        with self._database.reading() as connection:
            return _number(connection)

    def followed(self) -> tuple[int, list[Rule]]:
        """How many changes there were, and the rules after them."""
        with self._database.reading() as connection:
            number = _number(connection)
            rules = [_decode(row.body) for row in connection.execute(_rules.select())]
        return number, sorted(rules, key=lambda rule: (rule.made_at, rule.rule_id))

    def as_of(self, number: int) -> list[Rule]:
        """The rules as they were after so many changes, the oldest first."""
        rules: dict[str, Rule] = {}
        with self._database.reading() as connection:
            for row in connection.execute(_audit.select().where(_audit.c.number <= number).order_by(_audit.c.number)):
                if row.after is None:
                    rules.pop(row.rule_id, None)
                else:
                    rules[row.rule_id] = _decode(row.after)
        return sorted(rules.values(), key=lambda rule: (rule.made_at, rule.rule_id))

    def audit(self, at_most: int = 100) -> list[RuleChange]:
        """The last changes, the latest first."""
        with self._database.reading() as connection:
            return [_change(row) for row in connection.execute(_audit.select().order_by(_audit.c.number.desc()).limit(at_most))]


def _number(connection: sql.Connection) -> int:
    return connection.execute(sql.select(sql.func.max(_audit.c.number))).scalar() or 0


def _found(connection: sql.Connection, rule_id: str) -> Rule:
    body = connection.execute(sql.select(_rules.c.body).where(_rules.c.rule_id == rule_id)).scalar()
    if body is None:
        raise NoSuchRule(rule_id)
    return _decode(body)


def _record(connection: sql.Connection, at: float, who: str, rule_id: str, before: Rule | None, after: Rule | None) -> None:
    bodies = {"before": None if before is None else _encode(before), "after": None if after is None else _encode(after)}
    connection.execute(_audit.insert().values(number=_number(connection) + 1, at=at, who=who, rule_id=rule_id, **bodies))


def _change(row: sql.Row[Any]) -> RuleChange:
    before, after = (None if body is None else _decode(body) for body in (row.before, row.after))
    return RuleChange(row.number, row.at, row.who, row.rule_id, before, after)
