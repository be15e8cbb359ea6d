"""RuleBook: the business rules as dense rows, as they are in force for one request."""

import threading
from collections.abc import Sequence
from functools import cached_property
from typing import NamedTuple, Protocol, get_args

import numpy as np
from numpy.typing import NDArray

from reelrank.domain.arrays import Column, Rows, among
from reelrank.domain.eligibility import normal_region
from reelrank.domain.rule import Action, Rule, Target
from reelrank.features.columns import VideoColumns

_ACTIONS: dict[str, int] = {action: number for number, action in enumerate(get_args(Action))}
_TARGETS: dict[Target, int] = {target: number for number, target in enumerate(get_args(Target))}
_TAKE_AWAY: tuple[tuple[str, Action, Target], ...] = (
    ("expired", "expire", "video"),
    ("hidden by a rule", "hide", "video"),
    ("by an author hidden by a rule", "hide", "author"),
    ("under a muted tag", "mute", "tag"),
    ("to a muted sound", "mute", "sound"),
)
_REGIONS = 1_000  # that the rules are kept sorted out for


class KeptRules(Protocol):
    """Where the rules are kept."""

    def number(self) -> int: ...

    def followed(self) -> tuple[int, list[Rule]]: ...


class InForce:
    """The rules that hold in one region `since` a moment and `until` another, when one of them begins or ends (UTC seconds): n places among all rules.

    What is asked of them is worked out once: requests ask the same again and again.
    """

    def __init__(self, known: "_Compiled", places: Rows, since: float, until: float) -> None:
        self.since = since
        self.until = until
        self._known = known
        self._places = places

    @cached_property
    def rules(self) -> list[Rule]:
        """The rules, the oldest first."""
        return [self._known.rules[place] for place in self._places.tolist()]

    @cached_property
    def pins(self) -> list[tuple[Rule, int]]:
        """The rules that pin a video with its row, -1 while the catalogue has not got it."""
        return [(rule, row) for rule, row in zip(self.rules, self._known.rows[self._places].tolist(), strict=True) if rule.action == "pin"]

    @cached_property
    def pinned(self) -> Rows:
        """The rows of videos that are pinned."""
        return self.named("pin", "video")

    @cached_property
    def taken_away(self) -> list[tuple[str, Target, Rows]]:
        """What may not be shown: why, and the rows of which videos, authors, tags or sounds."""
        return [(why, target, rows) for why, action, target in _TAKE_AWAY if len(rows := self.named(action, target))]

    @cached_property
    def boosts(self) -> list[tuple[Target, Rows, Column]]:
        """What is boosted: the rows (m,) of videos, authors, tags or sounds, ascending, and the logarithm of how many times each of them is (m,)."""
        found: list[tuple[Target, Rows, Column]] = []
        for target in _TARGETS:
            places = self._about("boost", target)
            places = places[self._known.rows[places] >= 0]
            if len(places):
                rows, which = np.unique(self._known.rows[places], return_inverse=True)
                found.append((target, rows, np.bincount(which, self._known.log_times[places]).astype(np.float64)))
        return found

    def _about(self, action: Action, target: Target) -> Rows:
        known, places = self._known, self._places
        return places[(known.actions[places] == _ACTIONS[action]) & (known.targets[places] == _TARGETS[target])]

    def named(self, action: Action, target: Target) -> Rows:
        """The rows of what rules of a kind are about."""
        rows = self._known.rows[self._about(action, target)]
        return rows[rows >= 0]


def is_about(target: Target, wanted: Rows, rows: Rows, columns: VideoColumns) -> NDArray[np.bool_]:
    """Which of the videos `rows` (n,) are, are by, are under or sound like one of `wanted`."""
    return np.asarray(among(named_by(target, rows, columns), wanted).any(axis=1))


def named_by(target: Target, rows: Rows, columns: VideoColumns) -> Rows:
    """The row of what the videos `rows` (n,) are, are by, are under or sound like: (n, k), -1 for none."""
    if target == "tag":
        return columns.tag_rows[rows]
    return {"video": lambda: rows, "author": lambda: columns.author_row[rows], "sound": lambda: columns.sound_row[rows]}[target]()[:, None]


class _Compiled(NamedTuple):
    number: int
    rules: list[Rule]
    rows: Rows  # (rules,) of the video, author, tag or sound; -1 while the catalogue has not got it
    actions: Rows  # (rules,) by their places in _ACTIONS
    targets: Rows
    begins_at: Column
    ends_at: Column
    regions: NDArray[np.str_]  # (rules,) normalised, "" for everywhere
    log_times: Column
    by_region: dict[str, InForce]  # region -> what held there when it was asked last


class RuleBook:
    """Follows the rules. What they name and the catalogue has not got yet is looked for again at every refresh."""

    def __init__(self, kept: KeptRules | None, columns: VideoColumns) -> None:
        self._kept = kept
        self._columns = columns
        self._lock = threading.Lock()
        self._now = _compiled(0, [], columns)
        self._looked_at = (0, 0)  # how much of the catalogue there was when names were looked for

    @property
    def number(self) -> int:
        """How many changes of the rules are known."""
        return self._now.number

    def refresh(self) -> None:
        """Reads the rules if they have changed. Raises StorageError when the database is away: then those known stay in force."""
        if self._kept is None:
            return
        with self._lock:
            if self._kept.number() != self._now.number:
                self._hold(*self._kept.followed())
            else:
                self._look_again()

    def hold(self, number: int, rules: Sequence[Rule]) -> None:
        """Puts these rules in the place of all others."""
        with self._lock:
            self._hold(number, rules)

    def in_force(self, now: float, region: str) -> InForce:
        """The rules for a request at the moment `now` (UTC seconds) by somebody in `region` (normalised)."""
        known = self._now
        held = known.by_region.get(region)
        if held is None or not held.since <= now < held.until:
            held = _held(known, now, region)
            if region in known.by_region or len(known.by_region) < _REGIONS:
                known.by_region[region] = held
        return held

    def _hold(self, number: int, rules: Sequence[Rule]) -> None:
        self._looked_at = self._catalogue
        self._now = _compiled(number, list(rules), self._columns)

    def _look_again(self) -> None:
        """Looks for what the catalogue had not got, if it has got more since."""
        catalogue, unknown = self._catalogue, np.flatnonzero(self._now.rows < 0)
        if not len(unknown) or catalogue == self._looked_at:
            return
        self._looked_at = catalogue
        found = _rows_of([self._now.rules[place] for place in unknown.tolist()], self._columns)
        if (found >= 0).any():
            rows = self._now.rows.copy()
            rows[unknown] = found
            self._now = self._now._replace(rows=rows, by_region={})

    @property
    def _catalogue(self) -> tuple[int, int]:
        return self._columns.revision, self._columns.count


def _held(known: _Compiled, now: float, region: str) -> InForce:
    there = np.flatnonzero(np.isin(known.regions, ["", region, region.partition("-")[0]]))
    begins_at, ends_at = known.begins_at[there], known.ends_at[there]
    moments = np.concatenate([begins_at, ends_at])
    since, until = moments[moments <= now].max(initial=-np.inf), moments[moments > now].min(initial=np.inf)
    return InForce(known, there[(begins_at <= now) & (now < ends_at)], float(since), float(until))


def _rows_of(rules: Sequence[Rule], columns: VideoColumns) -> Rows:
    """Of what each of some rules is about; -1 where the catalogue has not got it: (n,)."""
    named = {"video": columns.rows, "author": columns.authors, "tag": columns.tag_named, "sound": columns.sound_named}
    return np.array([named[rule.target].get(rule.name, -1) for rule in rules], dtype=np.int64)


def _compiled(number: int, rules: list[Rule], columns: VideoColumns) -> _Compiled:
    return _Compiled(
        number,
        rules,
        _rows_of(rules, columns),
        np.array([_ACTIONS[rule.action] for rule in rules], dtype=np.int64),
        np.array([_TARGETS[rule.target] for rule in rules], dtype=np.int64),
        np.array([rule.begins_at or 0.0 for rule in rules], dtype=np.float64),
        np.array([np.inf if rule.ends_at is None else rule.ends_at for rule in rules], dtype=np.float64),
        np.array([normal_region(rule.region or "") for rule in rules], dtype=np.str_),
        np.log(np.array([rule.times for rule in rules], dtype=np.float64)),
        {},
    )
