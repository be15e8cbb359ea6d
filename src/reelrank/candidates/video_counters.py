"""Reads the counters of every video, a bounded number at a time."""

from collections.abc import Iterator

from reelrank.storage.online_store import Counters, Keys, Kind, OnlineStore

_AT_A_TIME = 2_048  # a record of counters takes 1.6 kB: requests that run beside this wait for a few milliseconds at most


def video_counters(store: OnlineStore, videos: int) -> Iterator[tuple[Keys, Counters]]:
    """(rows, counters) of those below row `videos` that have any, ascending."""
    for low in range(0, videos, _AT_A_TIME):
        rows, counters = store.scan_counters(Kind.VIDEO, low, min(low + _AT_A_TIME, videos))
        if len(rows):
            yield rows, counters
