"""RuleBook: the business rules as dense rows, as they are in force for one request."""

import threading
from collections.abc import Sequence
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from reelrank.domain.arrays import Column, Rows
from reelrank.domain.rule import Rule
from reelrank.features.columns import VideoColumns

_REGIONS = 1_000  # that the rules are kept sorted out for


class KeptRules(Protocol):
    """Where the rules are kept."""

    def number(self) -> int: ...

    def followed(self) -> tuple[int, list[Rule]]: ...


class InForce(NamedTuple):
    """The rules that hold for one request, and what of the catalogue each is about: (n,)."""

    rules: Sequence[Rule]
    rows: Rows  # (n,) of the video, author, tag or sound; -1 while the catalogue has not got it
    number: int  # how many changes of the rules these stand for

    def named(self, action: str, target: str) -> Rows:
        """The rows of what rules of a kind are about."""
        found = [row for rule, row in zip(self.rules, self.rows.tolist(), strict=True) if rule.action == action and rule.target == target]
        return np.array([row for row in found if row >= 0], dtype=np.int64)


def is_about(target: str, wanted: Rows, rows: Rows, columns: VideoColumns) -> NDArray[np.bool_]:
    """Which of the videos `rows` (n,) are, are by, are under or sound like one of `wanted`."""
    if target == "video":
        return np.isin(rows, wanted)
    if target == "author":
        return np.isin(columns.author_row[rows], wanted)
    if target == "sound":
        return np.isin(columns.sound_row[rows], wanted)
    return np.asarray(np.isin(columns.tag_rows[rows], wanted).any(axis=1))


_NOTHING = InForce((), np.empty(0, dtype=np.int64), 0)


class _Compiled(NamedTuple):
    number: int
    rules: list[Rule]
    rows: Rows
    begins_at: Column
    ends_at: Column
    by_region: dict[str, Rows]  # region -> places of the rules that hold there


class RuleBook:
    """Follows the rules. What they name and the catalogue has not got yet is looked for again at every refresh."""

    def __init__(self, kept: KeptRules | None, columns: VideoColumns) -> None:
        self._kept = kept
        self._columns = columns
        self._lock = threading.Lock()
        self._now = _compiled(0, [], columns)

    def refresh(self) -> None:
        """Reads the rules if they have changed. Raises StorageError when the database is away: then those known stay in force."""
        if self._kept is None:
            return
        with self._lock:
            now = self._now
            if self._kept.number() != now.number:
                self._now = _compiled(*self._kept.followed(), self._columns)
            elif (now.rows < 0).any():
                self._now = _compiled(now.number, now.rules, self._columns)

    def hold(self, number: int, rules: Sequence[Rule]) -> None:
        """Puts these rules in the place of all others."""
        with self._lock:
            self._now = _compiled(number, list(rules), self._columns)

    def in_force(self, now: float, region: str) -> InForce:
        """The rules for a request at the moment `now` (UTC seconds) by somebody in `region` (normalised)."""
        known = self._now
        if not known.rules:
            return _NOTHING._replace(number=known.number)
        places = known.by_region.get(region)
        if places is None:
            places = np.array([place for place, rule in enumerate(known.rules) if rule.holds_in(region)], dtype=np.int64)
            if len(known.by_region) < _REGIONS:
                known.by_region[region] = places
        places = places[(known.begins_at[places] <= now) & (now < known.ends_at[places])]
        return InForce([known.rules[place] for place in places.tolist()], known.rows[places], known.number)


def _compiled(number: int, rules: list[Rule], columns: VideoColumns) -> _Compiled:
    named = {"video": columns.rows, "author": columns.authors, "tag": columns.tag_named, "sound": columns.sound_named}
    return _Compiled(
        number,
        rules,
        np.array([named[rule.target].get(rule.name, -1) for rule in rules], dtype=np.int64),
        np.array([rule.begins_at or 0.0 for rule in rules], dtype=np.float64),
        np.array([np.inf if rule.ends_at is None else rule.ends_at for rule in rules], dtype=np.float64),
        {},
    )
