"""Log examples: records of EXAMPLES as arrays, each with its user's history of that moment, and only what this record tells for the first time."""

from collections.abc import Sequence
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from reelrank.domain.event import NOT_PERSONAL
from reelrank.domain.example import CLOSED, WATCHED, Example, Labels
from reelrank.features.columns import VideoColumns
from reelrank.features.definitions import WIDTH
from reelrank.features.reader import FeatureReader
from reelrank.features.tokens import deeds_of, tokens_of
from reelrank.training.examples import HEADS, Examples, TrainingSet, Traits, labels_of

RESERVED_ONE_IN = 20

_TOLD = {  # each head learns each impression once: from the record that is the first to know
    WATCHED: ("click", "long_view", "completion", "replay"),
    CLOSED: ("like", "share", "follow", "comment", "hide"),
}


def is_reserved(user_id: str, served_at: float) -> bool:
    """Whether a slate is one of those from which nobody learns, and by which candidates are judged: one in RESERVED_ONE_IN, always the same ones."""
    return crc32(f"{user_id}\0{served_at:.3f}".encode()) % RESERVED_ONE_IN == 0


def reserved(training_set: TrainingSet) -> NDArray[np.bool_]:
    """Which of the examples are reserved: (n,)."""
    examples = training_set.examples
    slates = zip(training_set.user_ids[examples.user].tolist(), examples.served_at.tolist(), strict=True)
    return np.fromiter((is_reserved(*slate) for slate in slates), dtype=np.bool_, count=len(examples))


def teaches(record: Example) -> bool:
    """Whether anything is learned from a record: corrections come too late, some slates are reserved, and some were made for nobody in particular."""
    slate = record.slate
    return record.kind in _TOLD and slate is not None and slate.policy != NOT_PERSONAL and not is_reserved(slate.user_id, slate.served_at)


class LogExamples:
    """Makes examples of records, with what the online store knows of their users."""

    def __init__(self, reader: FeatureReader, columns: VideoColumns) -> None:
        self._reader = reader
        self._columns = columns

    def __call__(self, records: Sequence[Example]) -> tuple[TrainingSet, list[int]]:
        """The examples, in order of `served_at`, and which of the records each is: those of videos that the catalogue does not have are left out."""
        columns = self._columns
        if any(record.place is not None and record.place.video_id not in columns.rows for record in records):
            columns.refresh()
        known = [place for place, record in enumerate(records) if record.place is not None and record.place.video_id in columns.rows]
        known.sort(key=lambda place: _served_at(records[place]))
        user_ids = sorted({_user_id(records[place]) for place in known})
        tokens = tokens_of(deeds_of(self._reader.users(user_ids)), columns.duration_s)
        examples = _examples([records[place] for place in known], {user_id: row for row, user_id in enumerate(user_ids)}, columns)
        return TrainingSet(examples, tokens, Traits.of(columns), np.array(user_ids, dtype=np.str_)), known


def _examples(records: Sequence[Example], users: dict[str, int], columns: VideoColumns) -> Examples:
    places, slates = [record.place for record in records], [record.slate for record in records]
    labels, watched_s = labels_of(len(records)), np.full(len(records), np.nan, dtype=np.float32)
    for row, record in enumerate(records):
        for head in _TOLD.get(record.kind, ()):
            labels[row, HEADS.index(head)] = _label(record.labels, head)
        if record.kind == WATCHED and record.labels.watched_s is not None:
            watched_s[row] = record.labels.watched_s
    packed = b"".join(place.features for place in places if place is not None)
    return Examples(
        user=np.array([users[_user_id(record)] for record in records], dtype=np.int64),
        video=columns.rows_of([place.video_id for place in places if place is not None]),
        served_at=np.array([_served_at(record) for record in records]),
        known_at=np.array([record.watermark for record in records]),
        surface=np.array([columns.surfaces.get(slate.context.surface, 0) for slate in slates if slate is not None], dtype=np.int64),
        position=np.array([place.position for place in places if place is not None], dtype=np.int64),
        features=np.frombuffer(packed, dtype="<f4").reshape(-1, WIDTH),
        labels=labels,
        watched_s=watched_s,
    )


def _label(labels: Labels, head: str) -> float:
    if head == "replay":
        return np.nan if labels.replays is None else float(labels.replays > 0)
    told = getattr(labels, head)
    return np.nan if told is None else float(told)


def _served_at(record: Example) -> float:
    return 0.0 if record.slate is None else record.slate.served_at


def _user_id(record: Example) -> str:
    return "" if record.slate is None else record.slate.user_id
