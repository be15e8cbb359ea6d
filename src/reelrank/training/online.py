"""Online: follows the examples as they come, predicts and learns each once, sends the rows on, and survives any kill."""

import logging
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec
import numpy as np

from reelrank.domain.example import Example, Origins
from reelrank.features.attributor import read_examples
from reelrank.models.row_updates import RowUpdate, encode_updates
from reelrank.storage.event_log import EXAMPLES, MODEL_ROWS, EventLog, Record
from reelrank.training.checkpoints import Checkpoints
from reelrank.training.examples import TrainingSet
from reelrank.training.log_examples import teaches
from reelrank.training.online_config import OnlineConfig
from reelrank.training.online_learner import OnlineLearner, OnlineModel
from reelrank.training.progressive import Hour, Progressive
from reelrank.training.quarantine import EXPLODED, Quarantine, QuarantineState
from reelrank.training.unreadable import Unreadable, reading

logger = logging.getLogger(__name__)

_POSITIONS = "positions"

Seen = Callable[[Sequence[Example]], tuple[TrainingSet, list[int]]]  # as training.log_examples.LogExamples


class Positions(msgspec.Struct, frozen=True):
    """How much of EXAMPLES a model has learned from, by partition."""

    offsets: dict[int, int] = {}  # where to go on
    origins: dict[int, tuple[int, int]] = {}  # the last one that was learned from

    def about(self) -> dict[str, str]:
        """For a manifest."""
        return {_POSITIONS: msgspec.json.encode(self).decode()}

    @classmethod
    def told(cls, about: Mapping[str, str | int | float]) -> "Positions | None":
        """From a manifest; None if it says nothing of them. Raises msgspec.DecodeError for what they can't be."""
        told = about.get(_POSITIONS)
        return msgspec.json.decode(told, type=cls) if isinstance(told, str) else None


class _State(msgspec.Struct, kw_only=True):
    """All that a checkpoint holds beside the weights."""

    base: str  # the version that learning began with
    offsets: dict[int, int]
    origins: dict[int, tuple[int, int]]
    turn: int  # the partition that comes next
    sequence: int  # of the row updates
    learned: int
    learned_until: float
    quarantine: QuarantineState
    progressive: dict[str, dict[int, Hour]]


class _Taken(NamedTuple):
    """Records of a partition that are read, decided on, and not learned yet."""

    partition: int
    after: int  # where to go on
    origins: Origins
    records: list[Example]


class Online:
    """Learning on top of one published version. Offsets, origins, weights, optimizers and counts are one state, kept as one.

    The state after some examples hangs on them and on how the log was cut into batches. While a log stands still it is
    always cut in the same way: then whatever is killed ends with the weights that it would have had, bit by bit.
    """

    def __init__(self, log: EventLog, seen: Seen, model: OnlineModel, base: str, begin: "Positions", folder: Path, config: OnlineConfig | None = None) -> None:
        """Goes on from the newest checkpoint in `folder` if it belongs to `base`, else begins with the examples at `begin`.

        Raises Unreadable if that checkpoint is damaged. It is forgotten then: try again, with the `model` as it was, from the one before it.
        """
        self.config = config or OnlineConfig()
        self.learner = OnlineLearner(model, self.config.learner)
        self._log = log
        self._seen = seen
        self._checkpoints = Checkpoints(folder / "checkpoints")
        self._offsets = dict(begin.offsets)
        self._origins = Origins(begin.origins)
        self._turn = 0
        self._taken: _Taken | None = None
        self._sequence = 1
        self.base = base
        self.learned = 0  # examples, since the base
        self.learned_until = 0.0
        self.progressive = Progressive()
        self.quarantine = Quarantine(self.config.quarantine, file=folder / "quarantine.jsonl")
        folder.mkdir(parents=True, exist_ok=True)
        self.resumed = self._resume()
        if not self.resumed:
            self._checkpoints.forget()
            self._send(RowUpdate(base, 0, 0.0, {}))  # whatever was learned on top of this version before is no more
            self.checkpoint()

    @property
    def positions(self) -> "Positions":
        """Where it goes on."""
        return Positions(dict(self._offsets), dict(self._origins.seen))

    def step(self) -> int:
        """Takes the next records of the next partition that has any; returns how many, 0 at the end of the log.

        Raises StorageError if the log or the online store is away, and LostItself: then begin again from a published version.
        """
        taken = self._taken or self._next()
        if taken is None:
            return 0
        self._taken = taken  # what can't be learned now is taken up again, and decided on no second time
        if taken.records:
            self._learn(taken.records)
        self._taken = None
        before = self._offsets.get(taken.partition, 0)
        self._offsets[taken.partition], self._origins = taken.after, taken.origins
        self._turn = (taken.partition + 1) % self._log.partitions
        return taken.after - before

    def send_rows(self) -> int:
        """Sends the rows that have changed since the last time to who serves; returns how many."""
        changes = self.learner.changes()
        if changes:
            self._send(RowUpdate(self.base, self._sequence, self.learned_until, changes))
        return sum(len(rows.rows) for rows in changes.values())

    def checkpoint(self) -> None:
        """Keeps the state, after what it has learned was sent: a kill repeats what was sent since, and forgets nothing of it.

        While a batch waits for a store that is away, the state before it can't be had, and nothing is kept.
        """
        if self._taken is not None:
            return
        self.send_rows()
        state = _State(
            base=self.base,
            offsets=self._offsets,
            origins=self._origins.seen,
            turn=self._turn,
            sequence=self._sequence,
            learned=self.learned,
            learned_until=self.learned_until,
            quarantine=self.quarantine.state,
            progressive=self.progressive.hours,
        )

        def fill(folder: Path) -> None:
            self.learner.save(folder)
            (folder / "state.json").write_bytes(msgspec.json.encode(state))

        self._checkpoints.write(fill)

    def rebase(self, version: str) -> None:
        """Goes on as before on top of `version`, which was just published with the weights as they are."""
        self.base, self._sequence = version, 1
        self.checkpoint()

    def lag(self) -> int:
        """How many records wait to be learned from."""
        return sum(self._log.end(EXAMPLES, partition) - self._offsets.get(partition, 0) for partition in range(self._log.partitions))

    def _next(self) -> "_Taken | None":
        """The next records of the next partition that has any."""
        for step in range(self._log.partitions):
            partition = (self._turn + step) % self._log.partitions
            offset, origins = self._offsets.get(partition, 0), Origins(self._origins.seen)
            found, after = read_examples(self._log, partition, offset, self.config.batch, origins)
            if after > offset:
                return _Taken(partition, after, origins, self.quarantine.sound([record for record in found if teaches(record)]))
        return None

    def _learn(self, records: list[Example]) -> None:
        seen, known = self._seen(records)
        if not known:
            return
        learned = self.learner.learn(seen)
        heads = self.learner.model.heads
        labels = np.stack([seen.examples.label(head) for head in heads], axis=1)
        self.progressive.note(heads, seen.examples.known_at, learned.logits, labels)
        if learned.exploded:
            self.quarantine.put(dict.fromkeys(known, f"{EXPLODED}: {learned.exploded}"), records)
            return
        self.learned += len(known)
        self.learned_until = max(self.learned_until, float(seen.examples.known_at.max()))

    def _send(self, update: RowUpdate) -> None:
        records = [Record("", record, 0) for record in encode_updates(update)]
        self._log.append(MODEL_ROWS, records)
        self._sequence = update.sequence + len(records)

    def _resume(self) -> bool:
        latest = self._checkpoints.latest()
        if latest is None:
            return False
        try:
            with reading(latest / "state.json"):
                state = msgspec.json.decode((latest / "state.json").read_bytes(), type=_State)
            if state.base == self.base:
                self.learner.restore(latest)
        except Unreadable:
            self._checkpoints.forget_latest()
            raise
        if state.base != self.base:
            logger.info("learning begins anew on top of %s; what was learned on top of %s since it was published is let go", self.base, state.base)
            return False
        self._offsets, self._origins, self._turn = state.offsets, Origins(state.origins), state.turn
        self._sequence, self.learned, self.learned_until = state.sequence, state.learned, state.learned_until
        self.quarantine.state, self.progressive = state.quarantine, Progressive(hours=state.progressive)
        return True
