"""What the ranker reads, as arrays: tokens, lags and buckets; the same for the network that learns and for the session that serves."""

from typing import Annotated, NamedTuple

import msgspec
import numpy as np
from msgspec import Meta
from numpy.typing import NDArray

from reelrank.domain.arrays import Column, Floats, Rows
from reelrank.features.columns import VideoColumns
from reelrank.features.tokens import Action, Tokens

NO_LAG = 0  # the bucket of a token that must not be seen
RANKS, AGES, GAPS, COMPLETIONS, SURFACES = 20, 40, 26, 10, 256  # how many buckets there are
_LONGEST_RANK = 511  # everything older counts as this old
_MINUTE_S = 60.0
_COMPLETION_EDGES = np.array([0.03, 0.1, 0.25, 0.5, 0.8, 0.97, 1.2, 2.0])
_BITS = np.array([int(action) for action in Action], dtype=np.uint8)
STRONG = int(Action.LONG_VIEW | Action.LIKE | Action.SHARE | Action.COMMENT)  # what is remembered for longer than the rest

_Some = Annotated[int, Meta(ge=1)]
_NoneOrSome = Annotated[int, Meta(ge=0)]


class RankerSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How large the network is, what it reads and how it learns."""

    width: _Some = 32  # of a video's vector and of every layer
    attention_heads: _Some = 4
    layers: _Some = 1  # how often a candidate looks at the history; from the second on, the history has looked at itself
    window: _Some = 128  # tokens that are read
    strong: _NoneOrSome = 64  # and so many long views, likes, shares and comments from before those
    experts: _Some = 4
    hidden: _Some = 96  # of each expert
    bins: _Some = 8  # of the piecewise-linear encoding of a dense input
    encoded: _NoneOrSome = 4  # numbers that it makes of each dense input; 0 goes without it
    thresholds: _Some = 48  # of the watch time
    spread: float = 0.05  # of untrained rows
    co_watched: float = 0.4  # how far apart videos begin that different people watch; 0 begins without
    dropout: float = 0.2
    blur: float = 0.2  # spread of what is added to the dense inputs while it learns, so that they don't give users away
    id_dropout: float = 0.1  # how often a video is shown without its own row, as if it had just been uploaded
    admit_after: _Some = 3  # occurrences before an id gets a row of its own
    pretrain_epochs: _NoneOrSome = 2
    epochs: int = 4
    batch_rows: _Some = 48
    learning_rate: float = 2e-3
    id_rate: float = 0.03  # times that is the rate of rows of ids that have learned from the history before: they are what overfits
    weight_decay: float = 0.05
    averaging: float = 0.998  # how much of the running mean of the weights stays with each step
    pairwise: float = 0.15  # weight of the order within a user's day, beside each example's own loss
    rare: float = 0.3  # how far the losses of rare heads are lifted: with 0 each counts by what is at stake, with 1 as much as the common ones
    watch_weight: float = 0.5  # of the watch time's loss


class VideoTraits(NamedTuple):
    """What is known of each video without a watch, by dense row; views of the columns that serving holds."""

    author: Rows  # (V,) dense rows
    sound: Rows  # (V,) -1 none
    tags: Rows  # (V, T) -1 none
    duration_s: Column  # (V,)
    content: Floats  # (V, C); C may be 0

    @classmethod
    def of(cls, columns: VideoColumns) -> "VideoTraits":
        """Those of the whole catalogue; nothing is copied."""
        return cls(columns.author_row, columns.sound_row, columns.tag_rows, columns.duration_s, np.empty((len(columns.author_row), 0), dtype=np.float32))


class TokenInputs(NamedTuple):
    """Tokens as the network reads them; leading axes are whatever the tokens' are."""

    video: Rows  # (…) dense rows
    actions: Floats  # (…, 7) the bits of Action
    buckets: Rows  # (…, 3) surface, completion, gap to the token before

    def at(self, which: Rows | None) -> "TokenInputs":
        """Those at some places; None adds an axis in front."""
        return TokenInputs(self.video[which], self.actions[which], self.buckets[which])


def token_inputs(tokens: Tokens, at: Rows | None = None) -> TokenInputs:
    """Those at some places, or all tokens: (t, …). The gap is to the token before of the same user, so nothing changes when more follow."""
    at = np.arange(len(tokens.video)) if at is None else at
    occurred_at = np.where(np.isfinite(tokens.occurred_at), tokens.occurred_at, np.nan)
    first = np.zeros(len(occurred_at) + 1, dtype=np.bool_)
    first[tokens.start] = True
    gap_s = np.where(first[at], np.nan, occurred_at[at] - occurred_at[at - 1])
    surface = np.minimum(tokens.surface[at], SURFACES - 1)
    buckets = np.stack([surface, completion_buckets(tokens.completion[at]), gap_buckets(gap_s)], axis=-1)
    return TokenInputs(tokens.video[at], action_bits(tokens.actions[at]), buckets)


def token_marks(inputs: TokenInputs) -> Rows:
    """All that the network reads of each token, as one number: (…). Tokens with the same mark are the same to it."""
    marks = inputs.video << 32 | (inputs.actions @ _BITS.astype(np.float32)).astype(np.int64) << 24
    for place, bits in enumerate((16, 8, 0)):
        marks |= inputs.buckets[..., place] << bits
    return marks


def action_bits(actions: NDArray[np.uint8]) -> Floats:
    """One column for each Action: (…, 7)."""
    return ((actions[..., None] & _BITS) > 0).astype(np.float32)


def completion_buckets(completion: NDArray[np.float32]) -> Rows:
    """0 where nobody knows."""
    return np.where(np.isnan(completion), 0, 1 + np.searchsorted(_COMPLETION_EDGES, completion))


def gap_buckets(gap_s: Column) -> Rows:
    """A bucket for each doubling of the seconds since the token before; 0 where nobody knows."""
    return _doublings(gap_s, 1.0, 1, GAPS)


def rank_buckets(rank: Rows) -> Rows:
    """How many tokens lie between one and the moment, two buckets a doubling; NO_LAG for negative ranks: what is not there yet."""
    known = np.clip(rank, 0, _LONGEST_RANK)
    return np.where(rank < 0, NO_LAG, _RANK_BUCKETS[known])


def age_buckets(age_s: Column) -> Rows:
    """How long ago a token was, two buckets a doubling of minutes; 0 where nobody knows."""
    return _doublings(age_s, _MINUTE_S, 2, AGES)


def _doublings(seconds: Column, unit_s: float, per_doubling: int, buckets: int) -> Rows:
    known = np.isfinite(seconds)
    doublings = per_doubling * np.log2(1 + np.maximum(np.where(known, seconds, 0.0), 0.0) / unit_s)
    return np.where(known, np.minimum(1 + doublings.astype(np.int64), buckets - 1), 0)


def read_tokens(tokens: Tokens, user: int, end: int, settings: RankerSettings) -> Rows:
    """Which tokens are read of a history that ends at `end`: the last ones, and older ones that were meant. Ascending places."""
    start = int(tokens.start[user])
    since = max(start, end - settings.window)
    older = start + np.flatnonzero(tokens.actions[start:since] & STRONG) if settings.strong and since > start else _NO_ROWS
    return np.concatenate([older[-settings.strong :], np.arange(since, end)]) if len(older) else np.arange(since, end)


_NO_ROWS = np.empty(0, dtype=np.int64)
_RANK_BUCKETS = np.minimum(1 + (2 * np.log2(1 + np.arange(_LONGEST_RANK + 1))).astype(np.int64), RANKS - 1)
