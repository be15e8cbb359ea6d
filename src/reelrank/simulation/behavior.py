"""What a person does with a video: pure arithmetic from hidden taste, quality, repetition and length."""

from collections import deque
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from reelrank.domain.arrays import Column
from reelrank.simulation.world import LATENT, PersonTraits, VideoTraits

RECENT = 5  # videos back within which a repetition bores
_SAME_AUTHOR, _SAME_THEME = 0.7, 0.35  # boredom per repetition within RECENT
_FRESH_FOR_S = 86_400.0  # what is new excites those who like new things for about a day
_TIRING = 0.01  # every place further down is met with a little less interest


class Reaction(NamedTuple):
    """What one person did with one video. `watched_s` includes the replays; a skip is a watch cut short without interest."""

    watched_s: float
    replays: int
    skipped: bool
    liked: bool
    shared: bool
    followed: bool
    commented: bool
    hidden: bool


class Reactions(NamedTuple):
    """Many reactions, as columns of length n."""

    watched_s: Column
    replays: NDArray[np.int64]
    skipped: NDArray[np.bool_]
    liked: NDArray[np.bool_]
    shared: NDArray[np.bool_]
    followed: NDArray[np.bool_]
    commented: NDArray[np.bool_]
    hidden: NDArray[np.bool_]


def match(tastes: Column, latents: Column) -> Column:
    """How well videos (n, LATENT) meet a person's best-met taste (INTERESTS, LATENT) or (n, INTERESTS, LATENT); about 1 is a good match."""
    return np.max(np.sum(tastes * latents[..., None, :], axis=-1), axis=-1) * np.sqrt(LATENT) / 2


def boredom(same_author: ArrayLike, same_theme: ArrayLike) -> Column:
    """What repetitions among the last RECENT videos take from the interest."""
    return _SAME_AUTHOR * np.asarray(same_author, dtype=np.float64) + _SAME_THEME * np.asarray(same_theme, dtype=np.float64)


def interest(matched: ArrayLike, quality: ArrayLike, bored: ArrayLike, age_s: ArrayLike, freshness_appetite: ArrayLike, position: ArrayLike) -> Column:
    """How much a video holds somebody, from 0 (not at all) to 1 (completely)."""
    fresh = np.exp(-np.maximum(np.asarray(age_s, dtype=np.float64), 0) / _FRESH_FOR_S)
    pull = 2.4 * np.asarray(matched) + 0.7 * np.asarray(quality) + np.asarray(freshness_appetite) * fresh - np.asarray(bored)
    return 1 / (1 + np.exp(1.3 - pull + _TIRING * np.asarray(position)))


def react(interests: Column, duration_s: Column, like_proneness: Column, rng: np.random.Generator) -> Reactions:
    """Draws what people do, given how much each video holds them. All columns are of length n."""
    n = len(interests)
    skipped = rng.random(n) < (1 - interests) ** 1.5
    # who stays leaves at some share of the video; beyond its end they have seen it whole
    length = 0.75 + 0.5 * np.clip(duration_s / 30, 0, 1)  # a long video is harder to finish
    share = np.minimum(1.0, rng.beta(1 + 5 * interests, 1.2 + 1.5 * (1 - interests)) * 1.45 / length)
    whole = share >= 1.0
    replays = np.where(whole & ~skipped, rng.poisson(0.8 * interests**3), 0)
    glance_s = np.minimum(0.85 * duration_s, rng.lognormal(0.35, 0.5, n))  # seconds until the thumb moves
    watched_s: Column = np.where(skipped, glance_s, (share + replays) * duration_s)
    stayed = ~skipped & (share > 0.5)
    liked = stayed & (rng.random(n) < like_proneness * interests**1.5)
    shared = stayed & (rng.random(n) < 0.12 * like_proneness * interests**2 + 0.15 * liked * interests)
    followed = liked & (rng.random(n) < 0.2 * interests**2)
    commented = stayed & (rng.random(n) < 0.08 * like_proneness * interests + 0.06 * liked)
    hidden = skipped & (rng.random(n) < 0.04 * (1 - interests) ** 4)
    return Reactions(watched_s.round(2), replays, skipped, liked, shared, followed, commented, hidden)


@dataclass(slots=True)
class _Seen:
    author_id: str
    theme: int


class Person:
    """Somebody watching: what they are, and what they have just seen."""

    def __init__(self, traits: PersonTraits) -> None:
        self.traits = traits
        self._recent: deque[_Seen] = deque(maxlen=RECENT)
        self._followed: set[str] = set()

    def interest(self, video: VideoTraits, position: int, now: float) -> float:
        """How much this video would hold this person right now, from 0 to 1."""
        bored = boredom(sum(seen.author_id == video.author_id for seen in self._recent), sum(seen.theme == video.theme for seen in self._recent))
        matched = match(self.traits.tastes, video.latent)
        return float(interest(matched, video.quality, bored, now - video.uploaded_at, self.traits.freshness_appetite, position))

    @staticmethod
    def tired_by(interest: float) -> float:
        """How much patience a video takes that holds somebody so much: a good one costs little, a bad one a lot."""
        return 1.6 - 1.2 * interest

    def react(self, video: VideoTraits, position: int, now: float, rng: np.random.Generator) -> Reaction:
        """Watches a video and remembers it: the next one by the same author or on the same theme is less exciting."""
        held = np.array([self.interest(video, position, now)])
        drawn = react(held, np.array([video.duration_s]), np.array([self.traits.like_proneness]), rng)
        self._recent.append(_Seen(video.author_id, video.theme))
        followed = bool(drawn.followed[0]) and video.author_id not in self._followed
        if followed:
            self._followed.add(video.author_id)
        return Reaction(
            watched_s=float(drawn.watched_s[0]), replays=int(drawn.replays[0]), skipped=bool(drawn.skipped[0]), liked=bool(drawn.liked[0]),
            shared=bool(drawn.shared[0]), followed=followed, commented=bool(drawn.commented[0]), hidden=bool(drawn.hidden[0]),
        )  # fmt: skip
