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
from reelrank.models.dense_inputs import DenseInputs
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
)
from reelrank.models.shifts import user_keys
from reelrank.models.video_tables import TableArrays, VideoTables

FORMAT = 1  # changes when an artifact of before can't be read any more


class SessionError(ValueError):
    """An artifact that this release can't serve; the message says why and what to do."""


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """What an artifact says of itself."""

    format: int
    features_version: str
    features: tuple[str, ...]
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
    """One user's history as candidates look at it; more tokens are appended to it, nothing in it changes."""

    keys: Floats  # (l, 1, h, s, d / h)
    values: Floats  # (l, 1, h, s, d / h)
    place: Rows  # (s,) the how-manieth token each is
    occurred_at: Column  # (s,)

    def __len__(self) -> int:
        return len(self.place)

    @property
    def count(self) -> int:
        """How many tokens there have been, the forgotten ones among them."""
        return int(self.place[-1]) + 1 if len(self.place) else 0


class RankerSession:
    """A published ranker."""

    def __init__(self, folder: Path) -> None:
        """Raises SessionError if the artifact is not of this release."""
        self.manifest = Manifest.load(folder)
        self.tables = VideoTables(TableArrays.load(folder))
        self._dense = DenseInputs.load(folder / "dense.npz")
        self._history, self._candidates = _graph(folder / "history.onnx"), _graph(folder / "candidates.onnx")
        settings = self.manifest.settings
        self._no_past = np.zeros((settings.layers, 1, settings.attention_heads, 0, settings.width // settings.attention_heads), dtype=np.float32)

    @property
    def heads(self) -> tuple[str, ...]:
        """What is predicted besides the watch time."""
        return self.manifest.heads

    def encode(self, tokens: Tokens, traits: VideoTraits) -> EncodedHistory:
        """The history of the one user of `tokens`."""
        read = read_tokens(tokens, 0, len(tokens.video), self.manifest.settings)
        inputs = token_inputs(tokens).at(read)
        nothing = EncodedHistory(self._no_past, self._no_past, np.empty(0, dtype=np.int64), np.empty(0))
        return self._appended(nothing, inputs, read, tokens.occurred_at[read], traits)

    def append(self, history: EncodedHistory, tokens: Tokens, traits: VideoTraits) -> EncodedHistory:
        """The history with what happened since: `tokens` of one user, all of them newer. Costs only the new ones."""
        inputs = token_inputs(tokens, history.occurred_at[-1] if len(history) else np.nan)
        longer = self._appended(history, inputs, history.count + np.arange(len(tokens.video)), tokens.occurred_at, traits)
        keep = slice(-(self.manifest.settings.window + self.manifest.settings.strong), None)
        return EncodedHistory(longer.keys[..., keep, :], longer.values[..., keep, :], longer.place[keep], longer.occurred_at[keep])

    def score(self, user_id: str, history: EncodedHistory, videos: Rows, features: Floats, surface: int, now: float, traits: VideoTraits) -> dict[str, Floats]:
        """Calibrated chances of each head, and `watch_s`, of a user's n candidates with raw features (n, WIDTH): each (n,)."""
        ranks, ages = rank_buckets(history.count - 1 - history.place), age_buckets(now - history.occurred_at)
        lags = (ranks[None, None], ages[None, None])
        users, surfaces = user_keys((user_id,)), np.full((1, len(videos)), surface)
        logits, watch_s = self.score_rows(users, history.keys, history.values, videos[None], surfaces, features[None], *lags, traits)
        return self.predictions(logits[0], watch_s[0])

    def encode_rows(self, tokens: TokenInputs, ranks: Rows | None, traits: VideoTraits, past: tuple[Floats, Floats] | None = None) -> tuple[Floats, Floats]:
        """Keys and values (l, b, h, s, d / h) of tokens (b, s), which see each other by `ranks` (b, s, past + s) if there are layers for it."""
        b, s = tokens.video.shape
        keys, values = past or (np.repeat(self._no_past, b, axis=1),) * 2
        ranks = np.full((b, s, keys.shape[3] + s), NO_LAG) if ranks is None else ranks
        vectors = self.tables.vectors(tokens.video, traits)
        return _run(self._history, vectors=vectors, actions=tokens.actions, buckets=tokens.buckets, ranks=ranks, past_keys=keys, past_values=values)

    def score_rows(
        self, users: Keys, keys: Floats, values: Floats, videos: Rows, surface: Rows, features: Floats, ranks: Rows, ages: Rows, traits: VideoTraits
    ) -> tuple[Floats, Floats]:
        """Logits (b, c, heads) and seconds (b, c) of candidates (b, c) that look at the histories of `users` (b,) by `ranks` and `ages` (b, c or 1, s)."""
        dense = self._dense.transform(features.reshape(-1, features.shape[-1])).reshape(features.shape)
        vectors, surface = self.tables.vectors(videos, traits), np.minimum(surface, SURFACES - 1)
        logits, watch_s = _run(self._candidates, vectors=vectors, surface=surface, dense=dense, ranks=ranks, ages=ages, keys=keys, values=values)
        return logits + self.tables.shift(users)[:, None], watch_s

    def predictions(self, logits: Floats, watch_s: Floats) -> dict[str, Floats]:
        """Logits (n, heads) and seconds (n,) as what is told to the outside."""
        chances = {}
        for place, head in enumerate(self.heads):
            scale, shift = self.manifest.calibration.get(head, (1.0, 0.0))
            chances[head] = 1 / (1 + np.exp(-(scale * logits[:, place] + shift)))
        return {**chances, "watch_s": watch_s}

    def apply(self, update: Mapping[str, Changes]) -> None:
        """Takes over rows that were learned since this was published, all at once. Raises ValueError if they are not of this ranker."""
        self.tables.live.apply(update)

    def _appended(self, history: EncodedHistory, inputs: TokenInputs, place: Rows, occurred_at: Column, traits: VideoTraits) -> EncodedHistory:
        if len(place) == 0:  # the runtime can't share out nothing among the heads
            return history
        every = np.concatenate([history.place, place])
        ranks = rank_buckets(place[:, None] - 1 - every[None, :])
        keys, values = self.encode_rows(inputs.at(None), ranks[None], traits, (history.keys, history.values))
        return EncodedHistory(
            np.concatenate([history.keys, keys], axis=3),
            np.concatenate([history.values, values], axis=3),
            every,
            np.concatenate([history.occurred_at, occurred_at]),
        )


def _run(graph: onnxruntime.InferenceSession, **given: NDArray[Any]) -> tuple[Floats, Floats]:
    asked = {node.name: given[node.name] for node in graph.get_inputs()}  # a network of one layer asks for no past
    first, second = graph.run(None, asked)
    return np.asarray(first), np.asarray(second)


def _graph(path: Path) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1  # a worker process has one core
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
