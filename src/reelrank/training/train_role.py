"""The train role: the live ranker learns what happens as it happens, and everything is trained anew from the lake now and then."""

import logging
import os
import shutil
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import msgspec

from reelrank.candidates.graph_neighbours import GRAPH
from reelrank.domain.clock import Clock
from reelrank.domain.example import Example
from reelrank.features.side_by_side import SideBySide
from reelrank.models.row_updates import ROWS_FROM
from reelrank.storage.artifacts import ArtifactStore
from reelrank.storage.event_log import EXAMPLES, MODEL_ROWS, EventLog, StorageError
from reelrank.training.examples import ExamplesError, TrainingSet
from reelrank.training.online import Online, Positions
from reelrank.training.online_learner import LostItself
from reelrank.training.online_ranker import OnlineRanker
from reelrank.training.retrain import Retraining
from reelrank.training.retrain_ranker import RANKER
from reelrank.training.retrain_two_tower import TWO_TOWER
from reelrank.training.unreadable import Unreadable, reading

logger = logging.getLogger(__name__)

GROUP = "online"
STATUS_FILE = "status.json"  # what the role is at, for those who show it
_WAIT_S = 0.2  # for examples
_LOOK_S = 1.0  # for another version, and for what is due
_AGAIN_S = 30.0  # after an attempt for which there was too little to learn from
_AFTER_FAILURE_S = 900.0  # a failed training is tried again, at the latest when the next one is due


class TrainStatus(msgspec.Struct, kw_only=True):
    """How far the role is with learning online."""

    base: str = ""  # version of the ranker that goes on learning; empty while there is none
    learned: int = 0  # examples on top of it
    waiting: int = 0  # records that are not learned yet
    learned_until: float = 0.0  # UTC seconds
    quarantined: dict[str, int] = {}  # reason -> examples
    progressive: dict[str, float] = {}  # head -> AUC of what was predicted before it was learned, over the last hours


class TrainRole:
    """What `reelrank train` runs: two threads, one that learns online and one that retrains; only one of them publishes at a time."""

    def __init__(
        self, log: EventLog, seen: Callable[[Sequence[Example]], tuple[TrainingSet, list[int]]], retraining: Retraining, clock: Clock, folder: Path
    ) -> None:
        self.status = TrainStatus()
        self._log = log
        self._seen = seen
        self._retraining = retraining
        self._artifacts: ArtifactStore = retraining.artifacts
        self._config = retraining.config
        self._clock = clock
        self._folder = folder
        self._publishing = threading.Lock()
        self._refused = ""  # the live version that can't be learned on from
        self._status_file = folder / STATUS_FILE

    def follow(self, stopping: Callable[[], bool]) -> None:
        """Works until `stopping` says so, and stands back behind whoever serves on this machine."""
        os.nice(self._config.nice)
        with SideBySide({"retrain": self._retrain_when_due}) as retraining:
            try:
                self.learn(lambda: stopping() or retraining.ended.is_set())
            except Exception:
                logger.exception("learning online failed; this role ends, whatever it trains goes on when it is started again")
                raise

    def learn(self, stopping: Callable[[], bool]) -> None:
        """Learns online until `stopping` says so. Only one process of a deployment does at a time, the others stand by."""
        member = self._log.join(GROUP, EXAMPLES)
        online: Online | None = None
        due = _Due()
        try:
            while not stopping():
                try:
                    if len(member.partitions()) < self._log.partitions:
                        online = None
                        time.sleep(_LOOK_S)
                        continue
                    if due.now("version", _LOOK_S):
                        online = self._on_live_version(online)
                    if online is None:
                        time.sleep(_WAIT_S)
                        continue
                    taken = online.step()
                    self._pass_on(online, due)
                    if taken == 0:
                        self._log.wait(EXAMPLES, online.positions.offsets, _WAIT_S)
                except StorageError as problem:
                    logger.warning("learning waits: %s", problem)
                    time.sleep(_WAIT_S)
                except LostItself as problem:
                    logger.error("learning begins anew from the live version: %s", problem)
                    shutil.rmtree(self._folder / "online" / "checkpoints", ignore_errors=True)
                    online = None
            if online is not None:
                online.checkpoint()
        finally:
            member.close()

    def _on_live_version(self, online: Online | None) -> Online | None:
        """Learning on top of whatever version is live: one that was published meanwhile, or rolled back to, is begun with as it is."""
        current = self._artifacts.current(RANKER)
        if current is None or (online is not None and online.base == current.manifest.version):
            return online
        version = current.manifest.version
        try:
            with reading(current.folder / "manifest.json"):
                told = Positions.told(current.manifest.about)
            model = OnlineRanker.load(current.folder, self._clock.now())
        except Unreadable as problem:
            if self._refused != version:
                logger.error("nothing can be learned on top of %s, roll back or publish another version: %s", version, problem)
            self._refused = version  # it is looked at again, for somebody may mend it, but told once
            return None
        begin = told or Positions({partition: self._log.end(EXAMPLES, partition) for partition in range(self._log.partitions)})
        try:
            return Online(self._log, self._seen, model, version, begin, self._folder / "online", self._config.online)
        except Unreadable as problem:
            logger.error("learning goes on from an older checkpoint if there is one, else from %s: %s", version, problem)
            return None

    def _pass_on(self, online: Online, due: "_Due") -> None:
        config = self._config.online
        if due.now("rows", config.rows_every_s):
            online.send_rows()
        if due.now("checkpoint", config.checkpoint_every_s):
            online.checkpoint()
        if due.now("publish", config.publish_every_s, first=False) and online.learned:
            self._publish(online)
        if due.now("status", _LOOK_S):
            self._tell(online)

    def _publish(self, online: Online) -> None:
        """All weights through the gates, unless a model is trained anew just now: learning does not wait for that, and the next time will do."""
        if not self._publishing.acquire(blocking=False):
            return
        try:
            self._through_the_gates(online)
        finally:
            self._publishing.release()

    def _through_the_gates(self, online: Online) -> None:
        """Learning goes on on top of what was published, or from the live version if it is refused."""
        began = time.monotonic()
        candidate = self._folder / "online" / "candidate"
        shutil.rmtree(candidate, ignore_errors=True)
        candidate.mkdir(parents=True)
        online.send_rows()
        told = online.learner.model.export(candidate)
        about: Mapping[str, str | int | float] = {**told, **online.positions.about(), "learned": online.learned, "data_until": online.learned_until}
        try:
            verdict = self._retraining.publish(RANKER, candidate, about)
        except ExamplesError as problem:
            logger.info("what was learned online can't be judged yet: %s", problem)
            return
        self._retraining.note(verdict, "online", time.monotonic() - began)
        if not verdict.published:
            logger.warning("%s", verdict)
            return
        online.rebase(verdict.version)
        current = self._artifacts.current(RANKER)
        if current is not None:
            self._log.forget(MODEL_ROWS, 0, int(current.manifest.about[ROWS_FROM]))

    def _retrain_when_due(self, ended: threading.Event) -> None:
        """Each model when it is due; the first time as soon as there is enough to learn from. A training ends with the role, and goes on the next time."""

        def on_progress(_: int) -> None:
            if ended.is_set():
                raise _Interrupted

        every = {RANKER: self._config.ranker_every_s, TWO_TOWER: self._config.two_tower_every_s, GRAPH: self._config.graph_every_s}
        tried_at = dict.fromkeys(every, -_AGAIN_S)
        while not ended.wait(_LOOK_S):
            for name, every_s in every.items():
                if ended.is_set() or every_s == 0 or not self._is_due(name, every_s) or time.monotonic() - tried_at[name] < _AGAIN_S:
                    continue
                try:
                    with self._publishing:
                        logger.info("%s", self._retraining.retrain(name, on_progress=on_progress))
                except _Interrupted:
                    return
                except (ExamplesError, StorageError) as problem:
                    tried_at[name] = time.monotonic()
                    logger.info("%s is not trained yet: %s", name, problem)
                except Exception:  # it is kept as the last run: what is learned online, and the other models, do not end with it
                    tried_at[name] = time.monotonic()
                    logger.exception("training %s failed", name)

    def _is_due(self, name: str, every_s: float) -> bool:
        """Whether a model was not trained anew for so long, by whomever; what was published with what it had learned online does not count."""
        last = self._retraining.last_runs.last(name)
        return last is None or self._clock.now() - last.ended_at >= (min(every_s, _AFTER_FAILURE_S) if last.outcome == "failed" else every_s)

    def _tell(self, online: Online) -> None:
        status = self.status
        status.base, status.learned, status.learned_until, status.waiting = online.base, online.learned, online.learned_until, online.lag()
        status.quarantined = dict(online.quarantine.state.counts)
        lately = {head: online.progressive.lately(head) for head in online.learner.model.heads}
        status.progressive = {head: found.auc for head, found in lately.items() if found is not None and found.auc == found.auc}
        self._folder.mkdir(parents=True, exist_ok=True)
        draft = self._status_file.with_suffix(".draft")
        draft.write_bytes(msgspec.json.encode(status))
        draft.replace(self._status_file)


class _Interrupted(BaseException):
    """The role ends while a model is trained. As with a kill, that run is neither a failed one nor over."""


class _Due:
    """What has to be done every so often."""

    def __init__(self) -> None:
        self._last: dict[str, float] = {}

    def now(self, what: str, every_s: float, first: bool = True) -> bool:
        """Whether it is time; then the next time is `every_s` later. The `first` time is at once, or one period from now."""
        now = time.monotonic()
        if what not in self._last and not first:
            self._last[what] = now
        if now - self._last.get(what, -float("inf")) < every_s:
            return False
        self._last[what] = now
        return True
