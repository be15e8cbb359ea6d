"""RuleBook: the business rules as dense rows, as they are in force for one request."""

import threading
from collections.abc import Sequence
from typing import NamedTuple, Protocol, get_args

import numpy as np
from numpy.typing import NDArray

from reelrank.domain.arrays import Column, Rows, among
from reelrank.domain.rule import Action, Rule, Target
from reelrank.features.columns import VideoColumns

_ACTIONS: dict[str, int] = {action: number for number, action in enumerate(get_args(Action))}
_TARGETS: dict[str, int] = {target: number for number, target in enumerate(get_args(Target))}
_REGIONS = 1_000  # that the rules are kept sorted out for


class KeptRules(Protocol):
    """Where the rules are kept."""

    def number(self) -> int: ...

    def followed(self) -> tuple[int, list[Rule]]: ...


class InForce(NamedTuple):
    """The rules that hold for one request: n places among all rules."""

    places: Rows  # (n,)
    known: "_Compiled"

    @property
    def rules(self) -> list[Rule]:
        """The rules, the oldest first."""
        return [self.known.rules[place] for place in self.places.tolist()]

    def of(self, action: Action) -> list[tuple[Rule, int]]:
        """The rules of a kind with the rows of what they are about, -1 while the catalogue has not got it."""
        found = self.places[self.known.actions[self.places] == _ACTIONS[action]].tolist()
        return [(self.known.rules[place], int(self.known.rows[place])) for place in found]

    def named(self, action: Action, target: Target) -> Rows:
        """The rows of what rules of a kind are about."""
        if not len(self.places):
            return self.places
        found = self.places[(self.known.actions[self.places] == _ACTIONS[action]) & (self.known.targets[self.places] == _TARGETS[target])]
        rows = self.known.rows[found]
        return rows[rows >= 0]


def is_about(target: str, wanted: Rows, rows: Rows, columns: VideoColumns) -> NDArray[np.bool_]:
    """Which of the videos `rows` (n,) are, are by, are under or sound like one of `wanted`."""
    if target == "video":
        return among(rows, wanted)
    if target == "author":
        return among(columns.author_row[rows], wanted)
    if target == "sound":
        return among(columns.sound_row[rows], wanted)
    return np.asarray(among(columns.tag_rows[rows], wanted).any(axis=1))


class _Compiled(NamedTuple):
    number: int
    rules: list[Rule]
    rows: Rows  # (rules,) of the video, author, tag or sound; -1 while the catalogue has not got it
    actions: Rows  # (rules,) by their places in _ACTIONS
    targets: Rows
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

    @property
    def number(self) -> int:
        """How many changes of the rules are known."""
        return self._now.number

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
        places = known.by_region.get(region)
        if places is None:
            places = np.array([place for place, rule in enumerate(known.rules) if rule.holds_in(region)], dtype=np.int64)
            if len(known.by_region) < _REGIONS:
                known.by_region[region] = places
        places = places[(known.begins_at[places] <= now) & (now < known.ends_at[places])]
        return InForce(places, known)


def _compiled(number: int, rules: list[Rule], columns: VideoColumns) -> _Compiled:
    named = {"video": columns.rows, "author": columns.authors, "tag": columns.tag_named, "sound": columns.sound_named}
    return _Compiled(
        number,
        rules,
        np.array([named[rule.target].get(rule.name, -1) for rule in rules], dtype=np.int64),
        np.array([_ACTIONS[rule.action] for rule in rules], dtype=np.int64),
        np.array([_TARGETS[rule.target] for rule in rules], dtype=np.int64),
        np.array([rule.begins_at or 0.0 for rule in rules], dtype=np.float64),
        np.array([np.inf if rule.ends_at is None else rule.ends_at for rule in rules], dtype=np.float64),
        {},
    )
