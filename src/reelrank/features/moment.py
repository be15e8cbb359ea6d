"""The moment: what a context, the clock and the network say, as numbers."""

import re
from collections.abc import Sequence
from enum import IntEnum
from functools import lru_cache

import numpy as np

from reelrank.domain.arrays import Column
from reelrank.domain.event import Context
from reelrank.domain.video import HEADROOM
from reelrank.features.windows import Counter, Windowed

_DAY_S = 86_400
_EPOCH_WEEKDAY = 3  # 1 January 1970 was a Thursday
_FIT = 4.0  # a sixteenth of what is needed is as bad as less
_PRIOR_DS = 3_000  # tenths of seconds without a stall that are imagined before the played ones


class Device(IntEnum):
    """The classes of devices. The numbers are learned from: only ever append."""

    UNKNOWN = 0
    PHONE = 1
    TABLET = 2
    DESKTOP = 3
    TV = 4


class Network(IntEnum):
    """The classes of networks, the faster the higher. The numbers are learned from: only ever append."""

    UNKNOWN = 0
    OTHER = 1
    G2 = 2
    G3 = 3
    G4 = 4
    G5 = 5
    WIFI = 6  # cables included


# the first that fits counts: an Android TV is a TV, an iPad no phone
_DEVICES = (
    (Device.TV, re.compile(r"tv|television|roku|chromecast|firestick|playstation|xbox|console")),
    (Device.TABLET, re.compile(r"tablet|ipad|\btab\b|kindle")),
    (Device.PHONE, re.compile(r"phone|mobile|android|ios\b|ipod|pixel|galaxy")),
    (Device.DESKTOP, re.compile(r"desktop|laptop|computer|\bpc\b|mac|windows|linux|chromebook|cros\b|\bweb\b|browser")),
)
_NETWORKS = (
    (Network.WIFI, re.compile(r"wi-?fi|wlan|ethernet|cable|\blan\b|fib(er|re)|dsl")),
    (Network.G5, re.compile(r"5g|\bnr\b")),
    (Network.G4, re.compile(r"4g|lte")),
    (Network.G3, re.compile(r"3g|umts|hspa|wcdma")),
    (Network.G2, re.compile(r"2g|edge|gprs|gsm")),
)
_NO_NETWORK = frozenset({"", "unknown", "none", "offline"})


@lru_cache(maxsize=1_024)
def device_class(device: str) -> Device:
    """The class of whatever a client calls its device."""
    name = device.lower()
    return next((found for found, words in _DEVICES if words.search(name)), Device.UNKNOWN)


@lru_cache(maxsize=1_024)
def network_class(network: str) -> Network:
    """The class of whatever a client calls its network."""
    name = network.lower()
    if name in _NO_NETWORK:
        return Network.UNKNOWN
    return next((found for found, words in _NETWORKS if words.search(name)), Network.OTHER)


def hours(contexts: Sequence[Context]) -> Column:
    """The hour of the day where each user is, -1 where they do not say."""
    return np.array([-1.0 if context.local_hour is None else context.local_hour for context in contexts])


def weekdays(contexts: Sequence[Context], moments: Column) -> Column:
    """0 Monday to 6 Sunday, where each user is; where they do not say, that of UTC, which is wrong for some hours at most."""
    of_utc = (moments.astype(np.int64) // _DAY_S + _EPOCH_WEEKDAY) % 7
    said = np.array([-1 if context.local_weekday is None else context.local_weekday for context in contexts], dtype=np.int64)
    return np.where(said >= 0, said, of_utc).astype(np.float64)


def bandwidths(contexts: Sequence[Context]) -> Column:
    """Kilobits per second, 0 where unknown."""
    return np.array([context.bandwidth_kbps or 0 for context in contexts], dtype=np.float64)


def rendition_fit(bandwidth_kbps: Column, bitrate_kbps: Column) -> Column:
    """How much more a bandwidth carries than a rendition takes, in powers of two, headroom kept: below 0 it stalls or is played smaller; 0 where unknown."""
    known = (bandwidth_kbps > 0) & (bitrate_kbps > 0)
    ratio = np.where(known, HEADROOM * bandwidth_kbps, 1.0) / np.where(known, bitrate_kbps, 1.0)
    return np.clip(np.log2(ratio), -_FIT, _FIT)


def stalls(counts: Windowed, everyones: Column | float) -> Column:
    """The share of the playing time that players (n, COUNTERS) waited for data, smoothed towards everybody's: (n,)."""
    stalled = counts[:, Counter.STALLED_DS].astype(np.float64)
    return np.clip((stalled + everyones * _PRIOR_DS) / (stalled + counts[:, Counter.WATCHED_DS] + _PRIOR_DS), 0.0, 1.0)
