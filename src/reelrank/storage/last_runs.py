"""Last runs: what came of the last training of each model, kept beside its versions for whoever shows it."""

import logging
import os
import tempfile
from pathlib import Path
from typing import Literal

import msgspec

logger = logging.getLogger(__name__)

How = Literal["anew", "online"]  # from the lake, or with what was learned while people watched

Outcome = Literal["published", "refused", "failed"]
OUTCOMES: tuple[Outcome, ...] = ("published", "refused", "failed")


class LastRun(msgspec.Struct, frozen=True, kw_only=True):
    """A training that has ended."""

    model: str
    how: How = "anew"
    outcome: Outcome
    ended_at: float  # UTC seconds
    seconds: float  # that it took, since it was last interrupted
    version: str = ""  # as it was published
    reasons: tuple[str, ...] = ()  # why a gate refused it
    problem: str = ""  # what it failed of
    metrics: dict[str, float] = {}
    gains: dict[str, float] = {}  # metric -> how much better than the version that was live, on average


class LastRuns:
    """One run per model and how it was trained, below the root of an artifact store. Any number of processes may keep and read."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def keep(self, run: LastRun) -> None:
        """Takes the place of the run before. A reader sees one or the other, never a part."""
        home = self._root / run.model
        home.mkdir(parents=True, exist_ok=True)
        handle, draft = tempfile.mkstemp(prefix=".run-", dir=home)
        with os.fdopen(handle, "wb") as file:
            file.write(msgspec.json.format(msgspec.json.encode(run)))
        os.chmod(draft, 0o644)  # other users of this machine may serve from it
        os.replace(draft, self._path(run.model, run.how))

    def last(self, model: str, how: How = "anew") -> LastRun | None:
        """The last run of a model; None if there was none, or if what is told of it can't be read."""
        return _read(self._path(model, how))

    def all(self) -> list[LastRun]:
        """The last run of each, in the order in which they ended."""
        runs = [_read(path) for path in self._root.glob("*/last-*.json")]
        return sorted((run for run in runs if run is not None), key=lambda run: (run.ended_at, run.model, run.how))

    def _path(self, model: str, how: How) -> Path:
        return self._root / model / f"last-{how}.json"


def _read(path: Path) -> LastRun | None:
    try:
        return msgspec.json.decode(path.read_bytes(), type=LastRun)
    except FileNotFoundError:
        return None
    except (OSError, msgspec.DecodeError) as problem:
        logger.warning("%s can't be read and counts as no run: %s", path, problem)
        return None
