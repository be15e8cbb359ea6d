"""A small model that learns online, and logs of examples for it: likes hang on the video, by its parity, and on who only likes."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import nn

from reelrank.domain.event import Context
from reelrank.domain.example import CLOSED, WATCHED, Example, Labels, PlaceFacts, SlateFacts, encode_example
from reelrank.features.definitions import FEATURES_VERSION, WIDTH
from reelrank.models.id_tables import IdTable, IdTableConfig
from reelrank.models.row_optimizer import RowAdagrad
from reelrank.models.shifts import USER, user_keys
from reelrank.storage.event_log import EXAMPLES, EventLog, Record
from reelrank.training.examples import HEADS, TrainingSet, labels_of
from reelrank.training.online import Online
from reelrank.training.online_config import LearnerConfig, OnlineConfig
from reelrank.training.online_learner import Answers
from training import bare

NOW = 1_750_000_000.0
VIDEOS = 30
CONFIG = OnlineConfig(batch=16, learner=LearnerConfig(row_rate=0.1, dense_rate=1e-3))


class SmallModel:
    """Logits = row of the video, times a matrix, plus the row of the user."""

    heads = HEADS

    def __init__(self, seed: int = 0) -> None:
        torch.manual_seed(seed)
        videos = IdTable(IdTableConfig(width=4, admit_after=1, first_rows=8))
        self.tables = {"video": videos, USER: IdTable(IdTableConfig(width=len(HEADS), admit_after=1, first_rows=2, spread=0.0))}
        self.dense = nn.Linear(4, len(HEADS))

    def answer(self, seen: TrainingSet, rows: Mapping[str, RowAdagrad]) -> Answers:
        examples = seen.examples
        ids = {"video": examples.video, USER: user_keys(seen.user_ids.tolist())[examples.user]}
        gathered = {name: rows[name].gather(self.tables[name].admit(keys, float(examples.known_at.max()))) for name, keys in ids.items() if name in rows}
        shown = gathered.get("video", torch.zeros(len(examples), 4))
        logits = self.dense(shown) + gathered.get(USER, torch.zeros(1, len(HEADS)))
        labels = torch.from_numpy(examples.labels)
        known = torch.isfinite(labels)
        losses = nn.functional.binary_cross_entropy_with_logits(logits, torch.nan_to_num(labels), reduction="none") * known
        return Answers(logits, losses.sum(1))

    def export(self, folder: Path) -> dict[str, str | int | float]:
        np.save(folder / "rows.npy", self.tables["video"].weights)
        np.save(folder / "dense.npy", self.dense.weight.detach().numpy())
        return {}


def example(number: int, kind: str = WATCHED, user: str = "", watched_s: float = 9.0, **more: object) -> Example:
    """The so manyth example of a partition: of video number % VIDEOS, long viewed if that is even."""
    video = number % VIDEOS
    labels = Labels(click=True, long_view=video % 2 == 0, completion=False, skip=False, watched_s=watched_s, replays=0)
    if kind == CLOSED:
        labels = Labels(like=video % 2 == 0, share=False, follow=False, comment=False, hide=False)
    at = NOW + 36.0 * number
    features = np.full(WIDTH, 0.5, dtype="<f4").tobytes()
    facts: dict[str, object] = {
        "kind": kind,
        "partition": 0,
        "offset": number,
        "part": 0,
        "replay_from": 0,
        "watermark": at,
        "horizon": 0.0,
        "version": 1,
        "impression_at": at,
        "impression_seen": True,
        "labels": labels,
        "slate": SlateFacts(f"r{number}", user or f"u{number % 7}", at, "by_hand", "", "", {}, Context()),
        "place": PlaceFacts(f"v{video}", "a", 20.0, 0, (), None, None, "", {}, features, FEATURES_VERSION),
    }
    return Example(**{**facts, **more})


def weights(online: Online) -> list[np.ndarray]:
    """All that was learned."""
    tables, dense = online.learner.model.tables.values(), online.learner.model.dense.parameters()
    return [part for table in tables for part in (table.weights, table.squares, table.index.keys)] + [weight.detach().numpy() for weight in dense]


def same(one: Online, other: Online) -> bool:
    """Whether both learned the same, bit by bit."""
    return all(np.array_equal(mine, yours) for mine, yours in zip(weights(one), weights(other), strict=True))


def append(log: EventLog, examples: Sequence[Example]) -> None:
    log.append(EXAMPLES, [Record("", encode_example(one), one.partition) for one in examples])


def seen(records: Sequence[Example]) -> tuple[TrainingSet, list[int]]:
    """Examples without histories."""
    labels = labels_of(len(records))
    for row, record in enumerate(records):
        heads = ("click", "long_view", "completion") if record.kind == WATCHED else ("like", "share", "follow", "comment", "hide")
        for head in heads:
            labels[row, HEADS.index(head)] = getattr(record.labels, head)
    at = np.array([record.impression_at for record in records])
    videos = np.array([int(record.place.video_id[1:]) for record in records])
    user_ids, users = np.unique([record.slate.user_id for record in records], return_inverse=True)
    examples = bare.examples(users, videos, at, known_at=at, labels=labels)
    return TrainingSet(examples, bare.tokens([[]] * len(user_ids)), bare.traits(0), user_ids), list(range(len(records)))
