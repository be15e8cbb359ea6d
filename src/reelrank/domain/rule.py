"""Business rules: what operators decide about the feed of everybody, or of everybody in a region, for a while."""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from reelrank.domain.video import Id, Region, UtcSeconds

Action = Literal["boost", "pin", "hide", "expire", "mute"]
Target = Literal["video", "author", "tag", "sound"]

MAX_RULES = 10_000
_TARGETS: dict[str, tuple[str, ...]] = {
    "boost": ("video", "author", "tag", "sound"),
    "pin": ("video",),
    "hide": ("video", "author"),
    "expire": ("video",),
    "mute": ("tag", "sound"),
}


class RuleProblem(Exception):
    """A rule can't be as it was asked for, or is not there."""


class NoSuchRule(RuleProblem):
    """There is no rule with this id."""

    def __init__(self, rule_id: str) -> None:
        super().__init__(f"there is no rule {rule_id!r}; `reelrank rules list` shows the rules there are")


class RuleDraft(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, omit_defaults=True):
    """A rule as somebody asks for it.

    `boost` multiplies what a video is worth by `times`, `pin` gives a video the place `position`, `hide` and `mute` take away
    what they name, and `expire` takes a video away for good from `begins_at` on.
    """

    action: Action
    target: Target
    name: Id
    region: Region | None = None  # where it holds; none = everywhere
    begins_at: UtcSeconds | None = None  # none = at once
    ends_at: UtcSeconds | None = None  # none = until it is removed
    times: Annotated[float, Meta(gt=0, le=1_000)] = 1.0  # of a boost: below 1 it holds back
    position: Annotated[int, Meta(ge=0, le=49)] = 0  # of a pin; 0 is the top
    note: Annotated[str, Meta(max_length=500)] = ""  # why


class Rule(RuleDraft, frozen=True, forbid_unknown_fields=True, kw_only=True, omit_defaults=True):
    """A rule that is kept."""

    rule_id: str
    made_at: UtcSeconds
    made_by: str

    def holds_at(self, now: float) -> bool:
        """Whether the rule is in force at a moment (UTC seconds)."""
        return (self.begins_at or 0.0) <= now and (self.ends_at is None or now < self.ends_at)


def check(draft: RuleDraft) -> None:
    """Raises RuleProblem, saying what is wrong with a rule that somebody asks for."""
    targets = _TARGETS[draft.action]
    if draft.target not in targets:
        raise RuleProblem(f"a {draft.target} can't be the target of {draft.action}; it takes {' or '.join(targets)}")
    if draft.action == "boost" and draft.times == 1.0:
        raise RuleProblem("a boost by 1 changes nothing; give `times` above 1 to lift, or below 1 to hold back")
    if draft.action != "boost" and draft.times != 1.0:
        raise RuleProblem(f"`times` is {draft.times:g}, and {draft.action} has none; only a boost has")
    if draft.action != "pin" and draft.position:
        raise RuleProblem(f"`position` is {draft.position}, and {draft.action} has none; only a pin has")
    if draft.action == "expire" and draft.ends_at is not None:
        raise RuleProblem("what expires does not come back; hide it from `begins_at` to `ends_at` instead")
    if draft.ends_at is not None and draft.ends_at <= (draft.begins_at or 0.0):
        raise RuleProblem(f"the rule would end at {draft.ends_at:.0f}, before it begins at {draft.begins_at or 0.0:.0f}; times are UTC seconds")
    if not draft.name.isprintable():
        raise RuleProblem(f"the name {draft.name!r} has characters that can't be printed; give the {draft.target} as the catalogue has it")
