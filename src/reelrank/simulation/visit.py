"""One person's visit over the same API as the page: ask for a feed, watch, react, post, until patience ends."""

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from reelrank.domain.event import Comment, Context, Event, Follow, Hide, Impression, Like, Share, Skip, Watch
from reelrank.simulation.behavior import Person, Reaction
from reelrank.simulation.client import FeedClient
from reelrank.simulation.playback import Playback, connection_of, played
from reelrank.simulation.world import VideoTraits, stranger

UNSAID = Playback(0, 0.0)  # of a player that tells nothing
COMMENTS = ("so good", "how??", "again please 🙌", "saving this", "the ending 😭", "teach me", "❤️", "more of this")


@dataclass(frozen=True, slots=True)
class VisitSummary:
    """What a visit was like. `interest` is how much the videos held the person on average: nobody outside the simulation can see it."""

    user_id: str
    requests: int
    videos: int
    watched_s: float
    skips: int
    likes: int
    interest: float


def events_of(
    reaction: Reaction, user_id: str, video_id: str, author_id: str, occurred_at: float, event_prefix: str,
    position: int | None = None, request_id: str = "", context: Context | None = None, comment: str = "", speed: float = 1.0,
    playback: Playback = UNSAID,
) -> list[Event]:  # fmt: skip
    """What the page posts for one video: seen at `occurred_at`, left after `watched_s` at `speed`, the rest in between."""
    left_at = occurred_at + reaction.watched_s / speed
    between = occurred_at + 0.8 * reaction.watched_s / speed
    shared: dict[str, Any] = {"user_id": user_id, "context": context, "request_id": request_id}
    about: dict[str, Any] = {**shared, "video_id": video_id, "position": position}
    events: list[Event] = [Impression(event_id=f"{event_prefix}.i", occurred_at=occurred_at, **about)]
    if reaction.liked:
        events.append(Like(event_id=f"{event_prefix}.l", occurred_at=between, **about))
    if reaction.shared:
        events.append(Share(event_id=f"{event_prefix}.s", occurred_at=between, channel="copy_link", **about))
    if reaction.commented:
        events.append(Comment(event_id=f"{event_prefix}.c", occurred_at=between, text=comment, **about))
    if reaction.followed:
        events.append(Follow(event_id=f"{event_prefix}.f", occurred_at=between, author_id=author_id, video_id=video_id, **shared))
    if reaction.hidden:
        events.append(Hide(event_id=f"{event_prefix}.h", occurred_at=left_at, **about))
    if reaction.skipped:
        events.append(Skip(event_id=f"{event_prefix}.x", occurred_at=left_at, watched_s=reaction.watched_s, **about))
    else:
        about |= {"replays": reaction.replays, "stalled_s": playback.stalled_s, "rendition": playback.rendition}
        events.append(Watch(event_id=f"{event_prefix}.w", occurred_at=left_at, watched_s=reaction.watched_s, **about))
    return events


def local_time(at: float, utc_offset_h: float) -> tuple[int, int]:
    """The hour of the day, and the day of the week from 0 Monday to 6 Sunday, so many hours off UTC at `at` (UTC seconds)."""
    hours = math.floor(at / 3_600 + utc_offset_h)
    return hours % 24, (hours // 24 + 3) % 7  # 1 January 1970 was a Thursday


class Visit:
    """A visit of a person to a running service. `visit_id` makes its event ids: use each one once."""

    def __init__(
        self,
        person: Person,
        client: FeedClient,
        traits: Mapping[str, VideoTraits],
        rng: np.random.Generator,
        visit_id: str,
        speed: float = math.inf,
        wait: Callable[[float], None] = time.sleep,
    ) -> None:
        """`traits` are the world's; a video it does not know leaves people cold. At `speed` 1 a video takes its time, at infinity none."""
        self.person, self.client, self.traits, self.rng = person, client, traits, rng
        self.visit_id, self.speed, self.wait = visit_id, speed, wait
        (self._network_rng,) = rng.spawn(1)  # so that stalls leave the reactions as they are

    def run(self, at_most: int = 200, count: int = 10, post_every: int = 5) -> VisitSummary:
        """Watches until patience ends or `at_most` videos were seen, posting after every `post_every` of them."""
        who = self.person.traits
        connection = connection_of(who.user_id)
        local_hour = local_weekday = None
        patience = who.patience * float(self.rng.uniform(0.6, 1.4))
        requests = seen = skips = likes = 0
        watched_s = held = 0.0
        pending: list[Event] = []
        at = 0.0
        while patience > 0 and seen < at_most:
            answer = self.client.feed(
                who.user_id, min(count, at_most - seen), place=who.place.name, device="phone", network=connection.network,
                bandwidth_kbps=connection.bandwidth_kbps, local_hour=local_hour, local_weekday=local_weekday,
            )  # fmt: skip
            requests += 1
            if not answer["videos"]:
                break
            at = max(at, float(answer["now"]))
            local_hour, local_weekday = local_time(at, who.place.utc_offset_h)
            context = Context(
                device="phone", place=who.place.name, network=connection.network, bandwidth_kbps=connection.bandwidth_kbps,
                local_hour=local_hour, local_weekday=local_weekday,
            )  # fmt: skip
            for shown in answer["videos"]:
                video = self.traits.get(shown["video_id"]) or stranger(shown["author_id"], shown["duration_s"], shown["uploaded_at"], *shown["tags"][:1])
                position = int(shown["position"])
                interest = self.person.interest(video, position, at)
                reaction = self.person.react(video, position, at, self.rng)
                comment = COMMENTS[int(self.rng.integers(len(COMMENTS)))]
                pending += events_of(
                    reaction, who.user_id, shown["video_id"], shown["author_id"], at, f"{self.visit_id}.{seen}",
                    position, answer["request_id"], context, comment, self.speed,
                    played(connection, reaction.watched_s, self._network_rng, shown.get("height")),
                )  # fmt: skip
                took_s = reaction.watched_s / self.speed
                self.wait(took_s)
                at += took_s + 0.001
                seen, held, watched_s = seen + 1, held + interest, watched_s + reaction.watched_s
                skips, likes = skips + reaction.skipped, likes + reaction.liked
                patience -= self.person.tired_by(interest)
                if patience <= 0:
                    break
                if seen % post_every == 0:
                    self.client.post_events(pending)
                    pending = []
            self.client.post_events(pending)  # before the next slate is asked for: it must know what was seen
            pending = []
        return VisitSummary(who.user_id, requests, seen, round(watched_s, 2), skips, likes, held / seen if seen else math.nan)
