"""The ranker as it learns online: its rows in id tables that grow with the catalogue, its network beside them."""

from collections.abc import Callable, Collection, Mapping
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from reelrank.domain.arrays import Floats, Rows
from reelrank.features.definitions import FEATURES_VERSION
from reelrank.features.row_index import NO_KEY, UNSEEN, Keys
from reelrank.models.id_tables import IdTable, IdTableConfig
from reelrank.models.ranker import CandidateTensors, TokenTensors, VideoVectors
from reelrank.models.ranker_inputs import SURFACES, VideoTraits
from reelrank.models.row_optimizer import RowAdagrad
from reelrank.models.shifts import HEAD, USER, Shifts, user_keys
from reelrank.models.video_tables import LENGTHS, NAMES, Admitted, length_buckets
from reelrank.training.calibration import Calibration
from reelrank.training.examples import TrainingSet
from reelrank.training.export import export
from reelrank.training.online_learner import Answers
from reelrank.training.publish import FEATURES
from reelrank.training.ranker_batches import Batch, Batches
from reelrank.training.ranker_data import Trained, traits_of
from reelrank.training.ranker_weights import load_trained, save_weights
from reelrank.training.unreadable import reading

Gather = Callable[[str, Rows], Tensor]  # name of a table, rows (...,) -> what stands in them (..., width)

_OF_USERS = IdTableConfig(admit_after=1, spread=0.0, max_rows=2_000_000)  # zero until it is learned; with eight heads 160 MB at most
_EXPIRED_EVERY_S = 3_600.0  # of event time: looking for who has not come for long takes milliseconds


class OnlineRanker:
    """A published ranker that goes on learning. New ids get rows as they come up often enough."""

    tables: Mapping[str, IdTable]
    dense: nn.Module

    def __init__(self, trained: Trained, calibration: dict[str, Calibration], shifts: Shifts, now: float) -> None:
        self.heads = trained.heads
        self._trained = trained
        self._calibration = calibration
        config = IdTableConfig(admit_after=trained.settings.admit_after, learn_unseen=True)
        places = {name: getattr(trained.admitted, name) for name in NAMES if name != "length"}
        places["length"] = np.arange(LENGTHS)
        weights = {name: table.get_parameter("weight") for name, table in trained.vectors.tables.items()}
        tables = {name: _table(config, ids, weights[name], now) for name, ids in places.items()}
        tables[HEAD] = IdTable.holding(IdTableConfig(), np.array([NO_KEY, 1]), shifts.everyone, now)
        tables[USER] = IdTable.holding(_OF_USERS, shifts.keys, shifts.users, now)
        self.tables = tables
        content = trained.vectors.content
        self.dense = nn.ModuleList([trained.ranker, *([] if content is None else [content])])
        self.dense.eval()  # what is predicted is what is served: no dropout, nothing blurred
        trained.ranker.long_view.requires_grad_(False)  # it is learned from base histories alone

    @classmethod
    def load(cls, folder: Path, now: float) -> "OnlineRanker":
        """The ranker of an artifact, to go on from at the moment `now` (UTC seconds). Raises Unreadable if it can't be learned on from."""
        with reading(folder):
            return cls(*load_trained(folder), Shifts.load(folder), now)

    def answer(self, seen: TrainingSet, rows: Mapping[str, RowAdagrad]) -> Answers:
        self._admit(seen, rows.keys())
        logits, watch = self._said(seen, lambda name, places: rows[name].gather(places) if name in rows else self._held(name, places))
        return Answers(logits, self._losses(seen, logits, watch))

    @torch.no_grad()
    def predict(self, seen: TrainingSet) -> Floats:
        """Logits (n, heads), without learning anything."""
        return self._said(seen, self._held)[0].numpy()

    def export(self, folder: Path) -> dict[str, str | int | float]:
        trained = self.trained()
        users = self.tables[USER]
        export(trained, self._calibration, folder, Shifts(self.tables[HEAD].weights, users.index.keys, users.weights))
        save_weights(trained, folder)
        return {FEATURES: FEATURES_VERSION}

    def trained(self) -> Trained:
        """The ranker as it is now, with all rows that were given out."""
        before = self._trained
        admitted = Admitted(**{name: _places(self.tables[name]) for name in NAMES if name != "length"})
        vectors = VideoVectors(dict.fromkeys(NAMES, 1), 0, before.settings.width)
        vectors.content = before.vectors.content
        for name in NAMES:
            vectors.tables[name].weight = nn.Parameter(torch.from_numpy(self.tables[name].weights.copy()))
        return Trained(before.settings, before.dense, admitted, vectors, before.ranker)

    def _admit(self, seen: TrainingSet, learned: Collection[str]) -> None:
        """Counts in the tables that are `learned` that these users and videos came up."""
        videos, traits, now = seen.examples.video, traits_of(seen), float(seen.examples.known_at.max())
        came_up = {**_ids_of(videos, traits), "tag": _or_nobody(traits.tags[videos]), USER: _users_of(seen)}
        users = self.tables[USER]
        if now // _EXPIRED_EVERY_S > users.now // _EXPIRED_EVERY_S:
            users.expire(now)
        for name, ids in came_up.items():
            if name in learned:
                self.tables[name].admit(ids, now)

    def _held(self, name: str, places: Rows) -> Tensor:
        """What stands in rows that are not learned."""
        return torch.from_numpy(self.tables[name].weights.take(places, axis=0))

    def _said(self, seen: TrainingSet, gather: Gather) -> tuple[Tensor, Tensor]:
        """Logits (n, heads) and those of the watch time (n, thresholds)."""
        examples, ranker = seen.examples, self._trained.ranker
        batches = Batches(seen, self._trained.settings)
        batch = batches.batch(batches.rows)
        there, known = batch.example >= 0, np.maximum(batch.example, 0)
        videos, place = np.unique(np.concatenate([batch.tokens.video.ravel(), examples.video]), return_inverse=True)
        vectors = self._vectors(videos, traits_of(seen), gather)
        tokens, shown = (torch.from_numpy(part) for part in np.split(place, [batch.tokens.video.size]))
        history = ranker.encode(
            TokenTensors(vectors[tokens.reshape(batch.tokens.video.shape)], torch.from_numpy(batch.tokens.actions), torch.from_numpy(batch.tokens.buckets)),
            _within(batch),
        )
        candidates = CandidateTensors(
            vectors[shown[torch.from_numpy(known)]],
            torch.from_numpy(np.minimum(examples.surface, SURFACES - 1)[known]),
            torch.from_numpy(self._trained.dense.transform(np.asarray(examples.features)))[known],
            torch.from_numpy(batch.ranks),
            torch.from_numpy(batch.ages),
        )
        logits, watch = ranker(candidates, history)
        order, of_example = torch.from_numpy(np.argsort(batch.example[there])), torch.from_numpy(there)
        everyone = gather(HEAD, self.tables[HEAD].rows_of(np.ones(1, dtype=np.int64)))  # (1, heads)
        shift = everyone + gather(USER, self.tables[USER].rows_of(_users_of(seen)))  # (n, heads)
        return logits[of_example][order] + shift, watch[of_example][order]

    def _vectors(self, videos: Rows, traits: VideoTraits, gather: Gather) -> Tensor:
        """(u,) → (u, d), as `video_tables.VideoTables.vectors`."""
        summed = sum(gather(name, self.tables[name].rows_of(ids)) for name, ids in _ids_of(videos, traits).items())
        places = self.tables["tag"].rows_of(_or_nobody(traits.tags[videos]))
        tagged = torch.from_numpy(places != UNSEEN)[..., None]
        summed = summed + (gather("tag", places) * tagged).sum(-2) / tagged.sum(-2).clamp(min=1)
        content = self._trained.vectors.content
        return summed if content is None else summed + content(torch.from_numpy(np.asarray(traits.content[videos])))

    def _losses(self, seen: TrainingSet, logits: Tensor, watch: Tensor) -> Tensor:
        examples, ranker = seen.examples, self._trained.ranker
        labels = torch.from_numpy(np.stack([examples.label(head) for head in self.heads], axis=1))
        each = F.binary_cross_entropy_with_logits(logits, torch.nan_to_num(labels), reduction="none") * torch.isfinite(labels)
        watched_s = torch.from_numpy(np.asarray(examples.watched_s))
        longer = (torch.nan_to_num(watched_s)[:, None] > ranker.watch_time.thresholds_s).to(watch.dtype)
        lasted = F.binary_cross_entropy_with_logits(watch, longer, reduction="none").mean(-1) * torch.isfinite(watched_s)
        return each.sum(-1) + self._trained.settings.watch_weight * lasted


def _table(config: IdTableConfig, places: Rows, rows: Tensor, now: float) -> IdTable:
    """The table of the ids whose `rows` (rows, width) lie at `places` (ids,)."""
    weights = np.array(rows.detach().numpy())
    keys = np.full(len(weights), NO_KEY, dtype=np.int64)
    ids = np.flatnonzero(places != UNSEEN)
    keys[places[ids]] = ids
    return IdTable.holding(config, keys, weights, now)


def _places(table: IdTable) -> Rows:
    """The row of each id up to the highest that has one."""
    rows = np.flatnonzero(table.index.keys != NO_KEY)
    ids = table.index.keys[rows]
    places = np.full(int(ids.max(initial=-1)) + 1, UNSEEN, dtype=np.int64)
    places[ids] = rows
    return places


def _ids_of(videos: Rows, traits: VideoTraits) -> dict[str, Rows]:
    """What each video is looked up by in the tables that have one row for it."""
    return {"video": videos, "author": traits.author[videos], "sound": _or_nobody(traits.sound[videos]), "length": length_buckets(traits.duration_s[videos])}


def _users_of(seen: TrainingSet) -> Keys:
    """By which key each example's user is looked up: (n,)."""
    return user_keys(seen.user_ids.tolist())[seen.examples.user]


def _or_nobody(ids: Rows) -> Rows:
    return np.where(ids < 0, NO_KEY, ids)


def _within(batch: Batch) -> Tensor:
    return torch.zeros(1) if batch.within is None else torch.from_numpy(batch.within)
