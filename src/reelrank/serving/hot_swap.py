"""Hot swap: what serves is kept at the newest, whole versions as they are published and single rows as they are learned, between two requests."""

import logging
import time
from collections.abc import Callable, Mapping
from typing import Generic, Protocol, TypeVar

import msgspec

from reelrank.models.id_tables import Changes
from reelrank.models.row_updates import ROWS_FROM, decode_update
from reelrank.storage.event_log import MODEL_ROWS, EventLog, StorageError
from reelrank.storage.published import Published, Version

logger = logging.getLogger(__name__)

PARTITION = 0  # of MODEL_ROWS: updates have one order
_AT_ONCE = 200  # records
_WAIT_S = 0.5  # for rows, before looking for a new version


class Learning(Protocol):
    """A loaded model whose rows change while it serves."""

    def apply(self, update: Mapping[str, Changes]) -> None:
        """Applies changes of some tables at once. Raises ValueError if they are not of this model."""
        ...


Model = TypeVar("Model", bound=Learning)


class HotSwap(Generic[Model]):
    """Follows the versions of one artifact, and the rows that were learned since the live one was made."""

    def __init__(self, published: Published[Model], log: EventLog) -> None:
        self.updates = 0  # that were applied to the live version
        self.rows = 0  # that these changed
        self.refused = 0  # updates that could not be applied
        self.learned_until = 0.0  # when the newest outcome behind the live rows was known, UTC seconds
        self._published = published
        self._log = log
        self._base = ""
        self._offset = 0

    @property
    def offset(self) -> int:
        """Up to which offset of MODEL_ROWS the live version has taken in what was learned."""
        return self._offset

    def step(self, until: int | None = None) -> int:
        """Picks up a new version if there is one, and the next rows, those below `until`; returns how many records it read.

        Raises StorageError while the log is away.
        """
        self._published.refresh()
        live = self._published.live
        if live is None:
            return 0
        if live.name != self._base:
            self._begin(live)
        self._offset = max(self._offset, self._log.begin(MODEL_ROWS, PARTITION))
        at_most = _AT_ONCE if until is None else min(_AT_ONCE, until - self._offset)
        records = self._log.read(MODEL_ROWS, PARTITION, self._offset, at_most) if at_most > 0 else []
        for record in records:
            self._take(live.value, record.value)
            self._offset = record.offset + 1
            if self._published.live is not live:  # its learning began again, from the version as it was published
                break
        return len(records)

    def follow(self, stopping: Callable[[], bool]) -> None:
        """Keeps up until `stopping` says so; while the log is away, what is live stays."""
        while not stopping():
            try:
                if self.step() == 0:
                    self._log.wait(MODEL_ROWS, {PARTITION: self._offset}, _WAIT_S)
            except StorageError as problem:
                logger.warning("rows of %s wait: %s", self._published.name, problem)
                time.sleep(_WAIT_S)

    def _begin(self, version: Version[Model]) -> None:
        self._offset = int(version.manifest.about.get(ROWS_FROM, 0) or self._log.begin(MODEL_ROWS, PARTITION))
        self._base = version.name
        self.updates = self.rows = 0

    def _take(self, model: Learning, record: bytes) -> None:
        try:
            update = decode_update(record)
            if update.base != self._base:
                return
            if update.begins:
                if self.updates:
                    self._published.reload()
                self.updates = self.rows = 0
                return
            model.apply(update.tables)
        except (msgspec.DecodeError, ValueError) as problem:
            self.refused += 1
            logger.error("rows of %s can't be applied and are left out: %s", self._published.name, problem)
            return
        self.updates += 1
        self.rows += sum(len(changes.rows) for changes in update.tables.values())
        self.learned_until = max(self.learned_until, update.learned_until)
