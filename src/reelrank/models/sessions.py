"""The ranker as it serves: NumPy and ONNX Runtime, one thread, no torch."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import onnxruntime
from numpy.typing import NDArray

from reelrank.domain.arrays import Column, Rows
from reelrank.domain.candidate import HEADS
from reelrank.features.definitions import COLUMN, FEATURES_VERSION
from reelrank.features.row_index import Keys
from reelrank.features.tokens import Tokens
from reelrank.models.dense_inputs import Curves, DenseInputs
from reelrank.models.id_tables import Changes
from reelrank.models.ranker_inputs import (
    NO_LAG,
    SURFACES,
    Floats,
    RankerSettings,
    TokenInputs,
    VideoTraits,
    age_buckets,
    rank_buckets,
    read_tokens,
    token_inputs,
    token_marks,
)
from reelrank.models.shifts import user_keys
from reelrank.models.video_tables import TableArrays, VideoTables

FORMAT = 2  # changes when an artifact of before can't be read any more


class SessionError(ValueError):
    """An artifact that this release can't serve; the message says why and what to do."""


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """What an artifact says of itself."""

    format: int
    features_version: str
    features: tuple[str, ...]
    shared: tuple[str, ...]  # the features that all candidates of a request have in common
    heads: tuple[str, ...]
    settings: RankerSettings
    calibration: dict[str, tuple[float, float]]  # head -> scale and shift of its logit
    about: dict[str, Any]

    @classmethod
    def load(cls, folder: Path) -> "Manifest":
        """That of the artifact in `folder`. Raises SessionError if it is not of this release."""
        path = folder / "ranker.json"
        found = msgspec.json.decode(path.read_bytes(), type=cls)
        if found.format != FORMAT or found.features_version != FEATURES_VERSION:
            raise SessionError(
                f"the ranker in {folder} has format {found.format} and features of version {found.features_version}; "
                f"this release has {FORMAT} and {FEATURES_VERSION}: train it again"
            )
        if found.features != tuple(COLUMN):
            raise SessionError(f"{path} lists other features than those of version {FEATURES_VERSION}: export it again")
        if strange := set(found.heads) - set(HEADS):
            raise SessionError(f"{path} has heads that this release does not know: {', '.join(sorted(strange))}; known: {', '.join(HEADS)}")
        return found


@dataclass(frozen=True, slots=True)
class EncodedHistory:
    """One user's history as candidates look at it; nothing in it changes."""

    keys: Floats  # (l, 1, h, s, d / h)
    values: Floats  # (l, 1, h, s, d / h)
    marks: Rows  # (s,) what each token says, as one number
    place: Rows  # (s,) the how-manieth token each is
    occurred_at: Column  # (s,)
    count: int  # how many tokens there are, the unread ones among them
    fresh: int  # how many of the s were encoded for this; the others were taken over

    def __len__(self) -> int:
        return len(self.place)

    @property
    def nbytes(self) -> int:
        """What the arrays take."""
        return sum(array.nbytes for array in (self.keys, self.values, self.marks, self.place, self.occurred_at))


class RankerSession:
    """A published ranker."""

    def __init__(self, folder: Path) -> None:
        """Raises SessionError if the artifact is not of this release."""
        self.manifest = Manifest.load(folder)
        self.updates = 0  # of rows, since it was loaded
        self.tables = VideoTables(TableArrays.load(folder))
        dense = DenseInputs.load(folder / "dense.npz")
        self._shared, self._own = (_columns(self.manifest, shared) for shared in (True, False))
        self._curves_of_shared, self._curves_of_own = Curves.of(dense, self._shared), Curves.of(dense, self._own)
        self._history, self._candidates = _graph(folder / "history.onnx"), _graph(folder / "candidates.onnx")
        settings = self.manifest.settings
        past = np.zeros((settings.layers, 1, settings.attention_heads, 0, settings.width // settings.attention_heads), dtype=np.float32)
        self._nothing = EncodedHistory(past, past, np.empty(0, dtype=np.int64), np.empty(0, dtype=np.int64), np.empty(0), 0, 0)
        self._scales = np.array([self.manifest.calibration.get(head, (1.0, 0.0)) for head in self.heads], dtype=np.float32).T[..., None]  # (2, heads, 1)

    @property
    def heads(self) -> tuple[str, ...]:
        """What is predicted besides the watch time."""
        return self.manifest.heads

    def encode(self, tokens: Tokens, traits: VideoTraits, kept: EncodedHistory | None = None) -> EncodedHistory:
        """The history of the one user of `tokens`; what `kept` has of it, encoded by this session before, is not encoded again.

        With one layer a key depends on its token alone, so every token that is kept is taken over, wherever it now lies. With more it
        depends on all tokens read before it: what is taken over is the beginning that both have in common.
        """
        settings = self.manifest.settings
        read = read_tokens(tokens, 0, len(tokens.video), settings)
        inputs = token_inputs(tokens, read)
        marks = token_marks(inputs)
        keys, values, at, new = self._taken_over(kept or self._nothing, marks, read)
        if len(new):  # the runtime can't share out nothing among the heads
            ranks = rank_buckets(read[new, None] - 1 - read) if settings.layers > 1 else None
            past = None if ranks is None else (keys, values)
            fresh = self.encode_rows(inputs.at(new).at(None), None if ranks is None else ranks[None], traits, past)
            keys, values = (np.concatenate([of, to], axis=3) for of, to in zip((keys, values), fresh, strict=True))
        if at is not None:
            keys, values = keys.take(at, axis=3), values.take(at, axis=3)
        return EncodedHistory(keys, values, marks, read, tokens.occurred_at[read], len(tokens.video), len(new))

    def score(self, user_id: str, history: EncodedHistory, videos: Rows, features: Floats, surface: int, now: float, traits: VideoTraits) -> dict[str, Floats]:
        """Calibrated chances of each head, and `watch_s`, of a user's n candidates with raw features (n, WIDTH): each (n,).

        What the features say of the user and the moment is read from the first candidate.
        """
        ranks, ages = rank_buckets(history.count - 1 - history.place), age_buckets(now - history.occurred_at)
        at = np.array([surface])
        logits, watch_s = self._score(user_keys((user_id,)), history.keys, history.values, videos[None], at, features[None], ranks[None], ages[None], traits)
        return self.predictions(logits, watch_s)

    def encode_rows(self, tokens: TokenInputs, ranks: Rows | None, traits: VideoTraits, past: tuple[Floats, Floats] | None = None) -> tuple[Floats, Floats]:
        """Keys and values (l, b, h, s, d / h) of tokens (b, s), which see each other by `ranks` (b, s, past + s) if there are layers for it."""
        b, s = tokens.video.shape
        keys, values = past or (np.repeat(self._nothing.keys, b, axis=1),) * 2
        ranks = np.full((b, s, keys.shape[3] + s), NO_LAG) if ranks is None else ranks
        vectors = self.tables.vectors(tokens.video, traits)
        return _run(self._history, vectors=vectors, actions=tokens.actions, buckets=tokens.buckets, ranks=ranks, past_keys=keys, past_values=values)

    def score_rows(
        self, users: Keys, keys: Floats, values: Floats, videos: Rows, surface: Rows, features: Floats, ranks: Rows, ages: Rows, traits: VideoTraits
    ) -> tuple[Floats, Floats]:
        """Logits (b, c, heads) and seconds (b, c) of candidates (b, c), each of a moment of its own, that look at the histories of `users` (b,).

        They do so by `ranks` and `ages` (b, c, s).
        """
        logits, watch_s = np.empty((*videos.shape, len(self.heads)), dtype=np.float32), np.empty(videos.shape, dtype=np.float32)
        for at in range(videos.shape[1]):
            one = slice(at, at + 1)
            logits[:, at], watch_s[:, at] = self._score(
                users, keys, values, videos[:, one], surface[:, at], features[:, one], ranks[:, at], ages[:, at], traits
            )
        return logits, watch_s

    def predictions(self, logits: Floats, watch_s: Floats) -> dict[str, Floats]:
        """Logits (n, heads) and seconds (n,) as what is told to the outside."""
        scale, shift = self._scales
        chances = 1 / (1 + np.exp(-(scale * logits.T + shift)))  # (heads, n)
        return {**dict(zip(self.heads, chances, strict=True)), "watch_s": watch_s}

    def apply(self, update: Mapping[str, Changes]) -> None:
        """Takes over rows that were learned since this was published, all at once. Raises ValueError if they are not of this ranker."""
        self.tables.live.apply(update)
        self.updates += 1

    def _taken_over(self, kept: EncodedHistory, marks: Rows, place: Rows) -> tuple[Floats, Floats, Rows | None, Rows]:
        """Keys and values to go on from, which of these and of what is encoded next belong where (None: all, in order), and what is left to encode."""
        every = np.arange(len(marks))
        if self.manifest.settings.layers > 1:
            same = min(_alike(marks, kept.marks), _alike(place - place[:1], kept.place - kept.place[:1]))
            keys, values = (np.ascontiguousarray(of[..., :same, :]) for of in (kept.keys, kept.values))
            return keys, values, None, every[same:]
        if np.array_equal(marks, kept.marks):
            return kept.keys, kept.values, None, every[:0]
        if len(kept) == 0:
            return kept.keys, kept.values, None, every
        order = np.argsort(kept.marks)
        at = order[np.minimum(np.searchsorted(kept.marks, marks, sorter=order), len(order) - 1)]
        new = np.flatnonzero(kept.marks[at] != marks)
        at[new] = len(kept) + np.arange(len(new))
        return kept.keys, kept.values, at, new

    def _score(
        self, users: Keys, keys: Floats, values: Floats, videos: Rows, surface: Rows, features: Floats, ranks: Rows, ages: Rows, traits: VideoTraits
    ) -> tuple[Floats, Floats]:
        """Logits (b * c, heads) and seconds (b * c,) of candidates (b, c) on `surface` (b,); `ranks` and `ages` (b, s)."""
        shared = self._curves_of_shared.read(features[:, 0, self._shared].T)
        own = self._curves_of_own.read(features.reshape(-1, features.shape[-1]).T[self._own])
        vectors, surface = self.tables.vectors(videos, traits), np.minimum(surface, SURFACES - 1)[:, None]
        ranks, ages = ranks[:, None], ages[:, None]
        given = {"vectors": vectors, "surface": surface, "shared": shared, "own": own, "ranks": ranks, "ages": ages, "keys": keys, "values": values}
        logits, watch_s = _run(self._candidates, **given)
        shifted = logits.reshape(-1, *videos.shape) + self.tables.shift(users).T[:, :, None]
        return shifted.reshape(len(logits), -1).T, watch_s[0]


def _alike(one: Rows, other: Rows) -> int:
    """How many numbers both begin with."""
    both = min(len(one), len(other))
    differ = np.flatnonzero(one[:both] != other[:both])
    return int(differ[0]) if len(differ) else both


def _columns(manifest: Manifest, shared: bool) -> list[int]:
    """The features that candidates of a request have in common, or the others."""
    return [place for place, name in enumerate(manifest.features) if (name in manifest.shared) == shared]


def _run(graph: onnxruntime.InferenceSession, **given: NDArray[Any]) -> tuple[Floats, Floats]:
    asked = {node.name: given[node.name] for node in graph.get_inputs()}  # a network of one layer asks for no past
    first, second = graph.run(None, asked)
    return np.asarray(first), np.asarray(second)


def _graph(path: Path) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1  # a worker process has one core
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
