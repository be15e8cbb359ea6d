"""Brings a running Reelrank to life over its HTTP API: a small world with its films, a folder of clips, or a real log."""

import itertools
import logging
import time
import zlib
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path
from typing import Protocol

import numpy as np

from reelrank.domain.event import Event, History, VideoPublished, VideoRemoved
from reelrank.domain.video import Video
from reelrank.films.film import render_all
from reelrank.simulation import kuairand
from reelrank.simulation.behavior import Person
from reelrank.simulation.client import FeedClient, FeedError
from reelrank.simulation.clip_folder import Skipped, read_clips
from reelrank.simulation.kuairand import KuaiRand
from reelrank.simulation.past import past_events
from reelrank.simulation.replay import bodies_of, post_log
from reelrank.simulation.visit import Visit
from reelrank.simulation.world import World

logger = logging.getLogger(__name__)

OPENING = 36  # films drawn before the page opens
_GROUP = 12  # films published together afterwards
_VISIT_EVERY_S = 4.0
_AGAIN_S = 1.0  # after the feed was away
_VISITS_BETWEEN = 20  # two groups of films that are drawn: slates and what came of them, for models to learn from


class Progress(Protocol):
    """Shows how far long work is."""

    def task(self, label: str, total: int) -> AbstractContextManager[Callable[[int], None]]:
        """Inside the block, call what it gives with how many more are done."""
        ...


class LivingWorld:
    """A world whose films are drawn while it is already open, and whose people keep on watching.

    A video is published when its film is ready, and only then what people did with it in the past is told:
    folded state does not depend on the order of arrival.
    """

    def __init__(self, world: World, client: FeedClient, media: Path) -> None:
        self.world = world
        self._client = client
        rng = np.random.default_rng([world.seed, 1])
        self._past: defaultdict[str, list[Event]] = defaultdict(list)
        for event in past_events(world, rng, until=world.now):
            if not isinstance(event, VideoPublished | VideoRemoved | History):
                self._past[getattr(event, "video_id", "") or ""].append(event)
        self._begun: set[str] = set()  # videos whose publication has begun
        self._films = render_all(world.videos, media)

    def open(self, progress: Progress, films: int = OPENING) -> None:
        """Draws and publishes the first films, with their past; what an earlier run has published stays as it is."""
        with progress.task("drawing the first films", films) as advance:
            first = []
            for video in itertools.islice(self._films, films):
                first.append(video)
                advance(1)
        self._publish(first, progress)

    def go_on(self, stopping: Callable[[float], bool]) -> None:
        """Draws the other films, and people watch meanwhile; then visits follow each other. `stopping` waits that many seconds and says whether to end.

        While the feed is away nobody can watch: people come back to it, and films wait until they can be published.
        """
        visits = self._visits()
        while group := list(itertools.islice(self._films, _GROUP)):
            while not self._done(partial(self._publish, group)):
                if stopping(_AGAIN_S):
                    return
            for visit in itertools.islice(visits, _VISITS_BETWEEN):
                if stopping(0.0):
                    return
                self._done(partial(visit.run, at_most=30))
        while not stopping(_VISIT_EVERY_S):
            self._done(partial(next(visits).run, at_most=30))

    def _done(self, what: Callable[[], object]) -> bool:
        """Whether the feed was there for it."""
        try:
            what()
        except FeedError as problem:
            logger.info("somebody found the feed away: %s", problem)
            return False
        return True

    def _visits(self) -> Iterator[Visit]:
        """Visits without end, more of those who come often."""
        began = int(time.time())
        rng = np.random.default_rng([self.world.seed, began])
        weights = np.array([person.activity for person in self.world.people])
        for number in itertools.count():
            traits = self.world.people[int(rng.choice(len(weights), p=weights / weights.sum()))]
            yield Visit(Person(traits), self._client, self.world.traits, rng, f"visit-{began}-{number}")

    def _publish(self, videos: Sequence[Video], progress: Progress | None = None) -> None:
        """Puts those that an earlier run has not published into the catalogue, with their past. One that failed half-way can be done again."""
        videos = [video for video in videos if video.video_id in self._begun or not self._client.knows(video.video_id)]
        self._begun.update(video.video_id for video in videos)
        publish_videos(self._client, videos)
        past = [event for video in videos for event in self._past[video.video_id]]
        if progress is None:
            self._client.post_events(past)
        else:
            with progress.task("telling what people did with them", len(past)) as advance:
                post_log(self._client, list(bodies_of(past)), advance)
        for video in videos:
            del self._past[video.video_id]


def publish_videos(client: FeedClient, videos: Iterable[Video]) -> None:
    """Puts videos into the catalogue. The event ids say what was published, so that doing it again adds nothing."""
    events = [VideoPublished(event_id=f"published-{zlib.crc32(repr(video).encode()):08x}-{video.video_id}"[:100], video=video) for video in videos]
    client.post_events(events)


def publish_clips(client: FeedClient, folder: Path, media: Path, progress: Progress) -> Sequence[Skipped]:
    """Publishes a folder of clips; the files stay where they are. Returns the files that are no videos."""
    media.mkdir(parents=True, exist_ok=True)
    shelf = media / f"clips-{zlib.crc32(str(folder.resolve()).encode()):08x}"
    if not shelf.is_symlink():
        shelf.symlink_to(folder.resolve(), target_is_directory=True)
    with progress.task(f"reading the clips in {folder}", 0) as advance:
        clips = read_clips(shelf, media_folder=media, cache=media / "transcoded", on_done=lambda _done, _total, _path: advance(1))
    publish_videos(client, clips.videos)
    return clips.skipped


def last_moment(folder: Path) -> float:
    """When the KuaiRand log in `folder` ends (UTC seconds)."""
    return float(KuaiRand(folder).exposures().ended_ms.max()) / 1000


def publish_kuairand(client: FeedClient, folder: Path, progress: Progress) -> None:
    """Sends the KuaiRand log through the collector: the catalogue, every user's base state, then all exposures in order of time."""
    data = KuaiRand(folder)
    videos, histories = data.videos(), data.histories()
    with progress.task("publishing the catalogue", len(videos)) as advance:
        for start in range(0, len(videos), 500):
            publish_videos(client, videos[start : start + 500])
            advance(len(videos[start : start + 500]))
    with progress.task("importing the histories", len(histories)) as advance:
        post_log(client, list(bodies_of(histories, 200)), advance)
    events = list(kuairand.events_in_order(data.exposures()))
    with progress.task("posting the log", len(events)) as advance:
        post_log(client, list(bodies_of(events)), advance)
