"""Batches for the ranker: a row is some examples of one user, one after the other, which share one encoding of the history."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from reelrank.domain.arrays import Rows
from reelrank.models.ranker_inputs import (
    NO_LAG,
    RankerSettings,
    TokenInputs,
    age_buckets,
    rank_buckets,
    read_tokens,
    token_inputs,
)
from reelrank.training.examples import Examples, TrainingSet

TOGETHER = 16  # examples of a user that share an encoding
_SORTED = 20  # batches whose rows are sorted by length together
_AT_ONCE = 128  # rows, when nothing is learned
_NONE = -1


class Batch(NamedTuple):
    """b rows of up to c examples and s tokens."""

    tokens: TokenInputs  # (b, s)
    within: Rows | None  # (b, s, s) rank buckets of each token (last axis) seen from each, where tokens look at tokens
    example: Rows  # (b, c) places in the examples, -1 where a row is filled up
    ranks: Rows  # (b, c, s)
    ages: Rows  # (b, c, s)


@dataclass(frozen=True, slots=True)
class Row:
    """Examples of one user whose histories end close to each other."""

    user: int
    examples: Rows  # at most TOGETHER places
    end: int  # where the history of the last one ends


class Batches:
    """Everything that batches are cut from."""

    def __init__(self, data: TrainingSet, settings: RankerSettings) -> None:
        self._settings = settings
        self._tokens, inputs = data.tokens, token_inputs(data.tokens)
        # one more, at the end: what rows are filled up with
        self._inputs = TokenInputs(np.pad(inputs.video, (0, 1)), np.pad(inputs.actions, ((0, 1), (0, 0))), np.pad(inputs.buckets, ((0, 1), (0, 0))))
        self._occurred_at = np.append(data.tokens.occurred_at, np.nan)
        self.examples: Examples = data.examples
        self._ends = data.history_ends
        self.rows = _rows(data.examples, self._ends)

    def plan(self, rows: list[Row], rng: np.random.Generator) -> list[list[Row]]:
        """The rows as batches, in a random order; rows of about the same length go together, so that little is filled up."""
        size, order = self._settings.batch_rows, rng.permutation(len(rows))
        lengths = np.array([min(row.end - int(self._tokens.start[row.user]), self._settings.window) for row in rows])
        groups = [group[np.argsort(lengths[group], kind="stable")] for group in np.array_split(order, max(1, len(order) // (size * _SORTED)))]
        batches = [[rows[row] for row in group[first : first + size]] for group in groups for first in range(0, len(group), size)]
        return [batches[place] for place in rng.permutation(len(batches))]

    def in_order(self) -> Iterator[Batch]:
        """All rows once."""
        for first in range(0, len(self.rows), _AT_ONCE):
            yield self.batch(self.rows[first : first + _AT_ONCE])

    def batch(self, rows: list[Row], within: bool = False) -> Batch:
        """Some rows, filled up to the longest; `within` says that tokens will look at tokens."""
        read = [read_tokens(self._tokens, row.user, row.end, self._settings) for row in rows]
        token, example = _filled(read), _filled([row.examples for row in rows])
        there, end, served_at = token != _NONE, self._ends[example], self.examples.served_at[example]
        back = end[:, :, None] - 1 - token[:, None, :]  # (b, c, s); negative for what was not known yet
        shown = there[:, None, :] & (example != _NONE)[:, :, None]
        ranks = np.where(shown, rank_buckets(back), NO_LAG)
        ages = age_buckets(np.where(shown, served_at[:, :, None] - self._occurred_at[token][:, None, :], np.nan))
        return Batch(self._inputs.at(token), self._within(token) if within or self._settings.layers > 1 else None, example, ranks, ages)

    def _within(self, token: Rows) -> Rows:
        back = token[:, :, None] - 1 - token[:, None, :]
        return np.where((token != _NONE)[:, None, :], rank_buckets(back), NO_LAG)

    def before_all(self) -> list[Row]:
        """A row for each user whose history began before the first example: what no example tells of."""
        first = self.examples.served_at.min(initial=np.inf)
        users = np.arange(len(self._tokens.start) - 1)
        ends = self._tokens.ends(users, np.full(len(users), first))
        return [Row(int(user), np.empty(0, dtype=np.int64), int(ends[user])) for user in users[ends - self._tokens.start[:-1] > 1]]


def _rows(examples: Examples, ends: Rows) -> list[Row]:
    order = np.lexsort((examples.served_at, examples.user))
    user = examples.user[order]
    first_of_user = np.flatnonzero(np.diff(user, prepend=-1))
    place = np.arange(len(order)) - np.repeat(first_of_user, np.diff(np.append(first_of_user, len(order))))
    starts = np.flatnonzero(place % TOGETHER == 0)
    return [Row(int(examples.user[some[0]]), some, int(ends[some].max())) for some in np.split(order, starts[1:]) if len(some)]


def _filled(rows: list[Rows]) -> Rows:
    """(b, longest), -1 behind the end of each row."""
    filled = np.full((len(rows), max([1, *(len(row) for row in rows)])), _NONE, dtype=np.int64)
    for place, row in enumerate(rows):
        filled[place, : len(row)] = row
    return filled
