"""Training steps of HSTU and DIN by torch-rechub, asked for one by one of an interpreter of their own."""

import os
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import msgspec
import numpy as np

from reelrank.domain.arrays import Rows
from reelrank.models.ranker_inputs import RankerSettings, read_tokens
from reelrank.training.examples import HEADS, TrainingSet

SIDES = ("hstu", "din")
_DRIVER = Path(__file__).with_name("rechub_driver.py")
_BUCKETS = 16  # that a dense input is cut into: torch-rechub's DIN takes nothing but categories
_FIRST = HEADS.index("long_view")  # what DIN learns
_LAST_LINES = 3  # of what a failed driver said


class PeerFailed(RuntimeError):
    """The other interpreter ended early; the message is what it said."""


class RechubSteps:
    """Two networks in another process."""

    def __init__(self, process: subprocess.Popen[str], said: Path) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        self._ask: IO[str] = process.stdin
        self._answers: IO[str] = process.stdout
        self._said = said
        self._answer()  # ready

    def step(self, side: str, batch: int) -> float:
        """Processor seconds of a step of one of SIDES over a batch. Raises PeerFailed."""
        try:
            print(side, batch, file=self._ask, flush=True)
        except BrokenPipeError as error:
            raise PeerFailed(self._last_words()) from error
        return float(self._answer())

    def _answer(self) -> str:
        if answer := self._answers.readline():
            return answer
        raise PeerFailed(self._last_words())

    def _last_words(self) -> str:
        return " ".join(self._said.read_text().strip().splitlines()[-_LAST_LINES:]) or "the peers' interpreter ended without a word"


@contextmanager
def rechub_steps(python: Path, data: TrainingSet, batches: Sequence[Rows], settings: RankerSettings) -> Iterator[RechubSteps]:
    """The networks at the widths of `settings`, with the same histories; `batches` are places in the examples. Raises PeerFailed."""
    with tempfile.TemporaryDirectory(prefix="reelrank-peers-") as scratch:
        job, said = Path(scratch) / "job.npz", Path(scratch) / "said"
        np.savez(job, **_job(data, batches, settings))
        environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}  # ours is for another interpreter
        with (
            said.open("w") as errors,
            subprocess.Popen([python, _DRIVER, job], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, text=True, env=environment) as process,
        ):
            try:
                yield RechubSteps(process, said)
            finally:
                process.kill()


def _job(data: TrainingSet, batches: Sequence[Rows], settings: RankerSettings) -> dict[str, Any]:
    longest = settings.window + settings.strong
    fields = _fields(data)
    told = msgspec.to_builtins(settings) | {"videos": len(data.traits), "longest": longest, "outcomes": len(HEADS), "batches": len(batches)}
    job: dict[str, Any] = {
        "settings": np.array(msgspec.json.encode(told).decode()),
        "author": np.append(0, data.traits.author + 1),
        "sizes": fields.max(axis=0) + 1,
    }
    ends = data.history_ends
    for number, batch in enumerate(batches):
        past, ago_s = np.zeros((len(batch), longest), dtype=np.int64), np.zeros((len(batch), longest), dtype=np.float32)
        for row, example in enumerate(batch):
            read = read_tokens(data.tokens, int(data.examples.user[example]), int(ends[example]), settings)
            if len(read):
                past[row, -len(read) :] = data.tokens.video[read] + 1
                ago_s[row, -len(read) :] = data.examples.served_at[example] - data.tokens.occurred_at[read]
        labels = data.examples.labels[batch]
        first = [_FIRST, *(head for head in range(len(HEADS)) if head != _FIRST)]
        about = {"past": past, "ago_s": ago_s, "video": data.examples.video[batch] + 1, "fields": fields[batch], "labels": labels[:, first]}
        job |= {f"{name}{number}": values for name, values in about.items()}
    return job


def _fields(data: TrainingSet) -> Rows:
    """What is known of each example besides its video and author, as categories: (n, F), 0 for unknown."""
    examples, traits = data.examples, data.traits
    columns = [examples.surface, examples.position + 1, traits.sound[examples.video] + 1, *(traits.tags[examples.video] + 1).T]
    for values in np.asarray(examples.features).T:
        borders = np.nanquantile(values, np.linspace(0, 1, _BUCKETS + 1)[1:-1])
        columns.append(np.where(np.isnan(values), 0, np.searchsorted(borders, values, side="right") + 1))
    return np.stack(columns, axis=1)
