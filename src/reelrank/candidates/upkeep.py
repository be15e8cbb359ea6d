"""Upkeep: what is worked out from all counters, once a machine: the trending board and the pool of what is new."""

import logging
import threading
import time
from pathlib import Path

import numpy as np

from reelrank.candidates.board import BOARD_FORM
from reelrank.candidates.fresh import POOL_FORM, FreshSource
from reelrank.candidates.trending import TrendingBoard
from reelrank.domain.clock import Clock
from reelrank.features.columns import VideoColumns
from reelrank.features.reader import FeatureReader
from reelrank.storage.made_once import MadeOnce, Maker

logger = logging.getLogger(__name__)

_EVERY_S = 1.0  # that is how often those who read look, too
_SHARE, _LATEST_S = 0.05, 4.0  # of a core that each takes at most: what takes long is done less often, but often enough


class Upkeep:
    """Keeps both current where nobody else does, and reads what the process has made that does. With no `folder` to share this process is alone."""

    def __init__(self, reader: FeatureReader, columns: VideoColumns, clock: Clock, folder: Path | None) -> None:
        self._columns = columns
        self._maker = None if folder is None else Maker(folder)
        self.board = TrendingBoard(reader, columns, clock, made=self._made("trends", BOARD_FORM))
        self.fresh = FreshSource(columns, reader, clock, self._made("fresh", POOL_FORM))

    def follow(self, ended: threading.Event) -> None:
        """Makes both for the whole machine until `ended` is set, in the place of any process that does besides its own work."""
        if self._maker is not None:
            self._maker.meant = True
        due = dict.fromkeys((self._columns.refresh, self.fresh.refresh, self.board.refresh), -np.inf)
        while not ended.wait(_EVERY_S):
            for refresh in [one for one, at in due.items() if at <= time.monotonic()]:
                used = time.thread_time()
                try:
                    refresh()
                except Exception:
                    logger.exception("what trends and what is new could not be brought up to date")
                due[refresh] = time.monotonic() + min((time.thread_time() - used) / _SHARE, _LATEST_S) - _EVERY_S / 2

    def close(self) -> None:
        """Leaves it to another process."""
        if self._maker is not None:
            self._maker.close()

    def _made(self, name: str, form: int) -> MadeOnce | None:
        return None if self._maker is None else MadeOnce(self._maker, name, form)
