"""FeedParams: every number of the feed that an experiment may turn."""

import hashlib
from typing import Annotated

import msgspec
from msgspec import Meta

Share = Annotated[float, Meta(ge=0, le=1)]
Count = Annotated[int, Meta(ge=0, le=10_000)]
Weight = Annotated[float, Meta(ge=-1_000, le=1_000)]

_QUOTA = {
    "nearest": 200,
    "graph_neighbours": 100,
    "similar_content": 100,
    "co_watched": 200,
    "similar_users": 150,
    "following": 60,
    "trending": 100,
    "trending_place": 50,
    "trending_tag": 80,
    "fresh": 80,
    "pinned": 50,
    "rest": 100,  # only where the others leave less than a slate
}
_VALUE = {
    "click": 0.4,
    "long_view": 1.0,
    "completion": 0.5,
    "like": 2.0,
    "share": 4.0,
    "follow": 4.0,
    "comment": 2.0,
    "replay": 0.5,
    "hide": -10.0,  # one who never wants to see it again outweighs several who stay
    "watch_s": 0.02,  # per second: a minute is worth a little more than a long view
}


class FeedParams(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How a feed is put together. The ranking never asks which experiment it is in: it is handed these."""

    quota: dict[str, Count] = msgspec.field(default_factory=lambda: dict(_QUOTA))  # how many candidates each source may propose
    value: dict[str, Weight] = msgspec.field(
        default_factory=lambda: dict(_VALUE)
    )  # score = logarithm of the sum of weight x prediction, by head, plus lifts; heads that nobody predicts count for nothing
    ranked: Annotated[int, Meta(ge=1, le=10_000)] = 500  # so many of the best by the light score go to the ranker
    taste_weight: Weight = 1.0
    freshness_weight: Weight = 0.15
    freshness_half_life_s: Annotated[float, Meta(gt=0)] = 86_400.0
    popularity_weight: Weight = 0.5  # lift per unit of log1p(watches and skips of the last day)
    co_watch_weight: Weight = 3.5  # lift per unit of co_watch
    taste_lift: Weight = 0.5  # lift per unit of taste_tag and of taste_author, whoever ranks: what was liked just now shows in the next slate
    novelty_weight: Weight = 0.0  # lift for an author, and half of it for tags, that this user has not met
    topic_lift: Weight = 1.0  # lift of what the user wants more of, and drop of what they want less of, whatever their watches say
    taste_half_life_s: Annotated[float, Meta(gt=0)] = 7 * 86_400.0
    # filters
    stale_after_s: Annotated[float, Meta(gt=0)] = 365 * 86_400.0
    max_author_repeats: Annotated[int, Meta(ge=1)] = 4  # among the last 30 watched
    max_tag_repeats: Annotated[int, Meta(ge=1)] = 20
    max_sound_repeats: Annotated[int, Meta(ge=1)] = 8
    served_again_after_s: Annotated[float, Meta(ge=0)] = 300.0
    # pages: what was ranked for a user and not served waits for their next request
    page_max_age_s: Annotated[float, Meta(ge=0)] = 30.0  # 0 ranks anew for every request
    page_max_skips: Annotated[int, Meta(ge=0)] = 4  # more of them since then, and it is ranked anew; so it is after anything that somebody means
    # the slate
    cap_author: Annotated[int, Meta(ge=1)] = 2
    cap_sound: Annotated[int, Meta(ge=1)] = 2
    cap_tag: Annotated[int, Meta(ge=1)] = 8
    visit_cap_author: Annotated[int, Meta(ge=1)] = 4  # in all slates and watches of a visit; these give way first
    visit_cap_sound: Annotated[int, Meta(ge=1)] = 6
    visit_cap_tag: Annotated[int, Meta(ge=1)] = 20
    diversity: Annotated[float, Meta(ge=0, le=100)] = 1.0  # what the copy of a video above loses of its score; 0 = by score alone
    exploration: Share = 0.1  # share of places given to videos that nobody knows yet
    exploration_impressions: Annotated[int, Meta(ge=1)] = 50  # so many every new video is given
    exploration_first: Share = 0.5  # of the explored places, those that go evenly to videos that still wait for these
    exploration_tiers: tuple[Annotated[int, Meta(ge=1)], ...] = (200, 1_000)  # the traffic pools after these: how far each reaches
    exploration_promotion: Share = 0.5  # quantile of its peers' long view rates that a video has to reach for the next pool

    @property
    def exploration_edges(self) -> tuple[int, ...]:
        """The impressions from which each traffic pool reaches to the next; beyond the last one a video is not new any more."""
        return (self.exploration_impressions, *sorted(tier for tier in self.exploration_tiers if tier > self.exploration_impressions))


def fingerprint(params: msgspec.Struct) -> str:
    """A short name of exactly these values: that of the params is written next to every slate they made."""
    return hashlib.blake2b(msgspec.json.encode(params, order="sorted"), digest_size=6).hexdigest()
