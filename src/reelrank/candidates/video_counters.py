"""Reads the counters of every video, a bounded number at a time."""

from collections.abc import Iterator

from reelrank.features.reader import FeatureReader
from reelrank.features.windows import Counters
from reelrank.storage.counter_store import Keys, Kind

_AT_A_TIME = 2_048  # an unpacked record of counters takes 1.7 kB: requests that run beside this wait for a few milliseconds at most


def video_counters(reader: FeatureReader, videos: int) -> Iterator[tuple[Keys, Counters]]:
    """(rows, counters) of those below row `videos` that have any, ascending."""
    for low in range(0, videos, _AT_A_TIME):
        rows, counters = reader.scan(Kind.VIDEO, low, min(low + _AT_A_TIME, videos))
        if len(rows):
            yield rows, counters
