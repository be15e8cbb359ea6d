"""The slate: what a feed request is answered with."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class SlatePlace:
    """One place of a slate."""

    row: int
    position: int
    score: float
    sources: tuple[str, ...]
    reason: str
    propensity: float
    liked: bool
    following: bool


@dataclass(frozen=True, slots=True)
class Slate:
    """The answer: which videos, in which order, and what had to be left out on the way."""

    request_id: str
    user_id: str
    partition: int  # of the log, that this user's events go to
    offset: int  # how far that is folded into what the feed knew of the user
    now: float
    degraded: list[str]
    ranked_by: str
    kept: bool  # whether it was ranked for an earlier request of this user
    models: dict[str, str]  # artifact -> the version that proposed or ranked
    places: list[SlatePlace]
    stages: dict[str, dict[str, float]]
    empty_because: dict[str, int] | None = None  # where there is no place: why -> how many videos may not be shown for it; None where there are some
