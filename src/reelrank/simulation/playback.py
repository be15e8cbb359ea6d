"""How videos play over somebody's network: which rendition they get, and how long they wait for data."""

import zlib
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from reelrank.domain.video import HEADROOM

# what a network carries in kilobits per second, and how many people are on it
_NETWORKS = (("wifi", 30_000, 0.5), ("5g", 60_000, 0.15), ("4g", 9_000, 0.25), ("3g", 1_500, 0.08), ("2g", 250, 0.02))
_LADDER = ((360, 700), (540, 1_200), (720, 2_200), (1_080, 4_500))  # height in pixels and kilobits per second of a video without files of its own
_SWING = 0.6  # how much a network differs from video to video, as a standard deviation of its logarithm
_LONGEST_S = 8.0  # nobody waits longer


class Connection(NamedTuple):
    """What somebody is online with."""

    network: str
    bandwidth_kbps: int


class Playback(NamedTuple):
    """How a video played: the height of its picture and how long the player waited."""

    rendition: int
    stalled_s: float


@lru_cache(maxsize=100_000)
def connection_of(user_id: str) -> Connection:
    """What a person is online with: the same person has the same connection every time."""
    rng = np.random.default_rng(zlib.crc32(user_id.encode()))
    name, carries, _ = _NETWORKS[int(rng.choice(len(_NETWORKS), p=[share for *_, share in _NETWORKS]))]
    return Connection(name, max(50, int(carries * rng.lognormal(sigma=0.4))))


def played(connection: Connection, watched_s: float, rng: np.random.Generator, height: int | None = None) -> Playback:
    """Draws how a video plays for `watched_s`; `height` is that of the file it plays from, without one the connection picks."""
    fitting = [step for step in _LADDER if step[1] <= HEADROOM * connection.bandwidth_kbps] or [_LADDER[0]]
    rendition, takes_kbps = fitting[-1] if not height else next((step for step in _LADDER if height <= step[0]), (height, _LADDER[-1][1]))
    carries_kbps = connection.bandwidth_kbps * float(rng.lognormal(sigma=_SWING))
    missing = max(0.0, takes_kbps / carries_kbps - 1.0)
    return Playback(height or rendition, round(min(_LONGEST_S, missing * watched_s), 2))
