"""Filters: say which candidates are kept, and why the others are not."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from reelrank.domain.arrays import Rows, among
from reelrank.domain.candidate import Candidates
from reelrank.domain.eligibility import allowed_in
from reelrank.domain.user import saw
from reelrank.domain.words import WordSearch, texts_of
from reelrank.features.columns import VideoColumns, language_key
from reelrank.features.rule_book import RuleBook, is_about
from reelrank.pipeline.stages import Query, Verdict, verdict

Removals = Iterator[tuple[str, NDArray[np.bool_]]]

_NOWHERE = (("",), ())  # the lists of a video whose own are not known
_RECENT = 30  # watches in which repetition is counted


class SeenFilter:
    """Never the same video twice."""

    name = "seen"

    def judge(self, query: Query, candidates: Candidates) -> Verdict:
        return Verdict(~saw(query.user.seen, candidates.rows), "was on this user's screen before")


class ServedLatelyFilter:
    """Nothing that still waits further down on this user's screen; what waited when they liked something was thrown away for better."""

    name = "served_lately"

    def judge(self, query: Query, candidates: Candidates) -> Verdict:
        user = query.user
        since = max(query.now - query.params.served_again_after_s, user.signals.occurred_at.max(initial=0.0))
        return Verdict(~among(candidates.rows, user.served_rows[user.served_at > since]), "was served to this user a moment ago")


class BlockedFilter:
    """Nothing that this user hid or reported, nothing by an author, to a sound or with a word that they blocked."""

    name = "blocked"

    def __init__(self, columns: VideoColumns) -> None:
        self._columns = columns

    def judge(self, query: Query, candidates: Candidates) -> Verdict:
        return verdict(len(candidates), "hidden, reported or blocked", self._because(query, candidates.rows))

    def _because(self, query: Query, rows: Rows) -> Removals:
        user, columns = query.user, self._columns
        if len(hidden := user.hidden):
            yield "hidden or reported", among(rows, hidden)
        if len(user.blocked):
            yield "by a blocked author", among(columns.author_row[rows], user.blocked)
        if user.blocked_sounds:
            yield "to a blocked sound", among(columns.sound_row[rows], np.array([columns.sound_named.get(sound, -2) for sound in user.blocked_sounds]))
        if user.blocked_words:
            yield "with a blocked word", self._with_words(user.blocked_words, rows)

    def _with_words(self, words: tuple[str, ...], rows: Rows) -> NDArray[np.bool_]:
        search, having = WordSearch(words), np.zeros(len(rows), dtype=np.bool_)
        may = search.among(self._columns.word_bits[rows])
        having[may] = [search.found_in(texts_of(self._columns.videos[row])) for row in rows[may].tolist()]
        return having


class EligibleFilter:
    """Nothing that may not be shown in the user's region, to somebody of their age, or that is in no language they understand.

    Of whom nobody told how old they are, or where, gets what may be shown to everybody everywhere; without languages all are understood.
    """

    name = "eligible"

    def __init__(self, columns: VideoColumns) -> None:
        self._columns = columns

    def judge(self, query: Query, candidates: Candidates) -> Verdict:
        return verdict(len(candidates), "not for this region, age or language", self._because(query, candidates.rows))

    def _because(self, query: Query, rows: Rows) -> Removals:
        columns, bounds = self._columns, query.user.bounds
        keys = columns.region_key[rows]
        if len(listed := np.flatnonzero(keys)):
            distinct, which = np.unique(keys[listed], return_inverse=True)
            region, gone = query.region, np.zeros(len(rows), dtype=np.bool_)
            gone[listed] = np.array([not allowed_in(region, *columns.regions.get(key, _NOWHERE)) for key in distinct.tolist()])[which]
            yield "not for this region", gone
        yield "not for this age", columns.min_age[rows] > bounds.age_at(query.now)
        if bounds.languages:
            languages = columns.language_key[rows]
            understood = languages == 0
            for language in bounds.languages:  # few: cheaper than to look them up
                understood |= languages == language_key(language)
            yield "in another language", ~understood


class RuleFilter:
    """Nothing that a business rule takes away where the user is."""

    name = "rules"

    def __init__(self, book: RuleBook, columns: VideoColumns) -> None:
        self._book = book
        self._columns = columns

    def judge(self, query: Query, candidates: Candidates) -> Verdict:
        taken_away, rows = self._book.in_force(query.now, query.region).taken_away, candidates.rows
        because = ((why, is_about(target, wanted, rows, self._columns)) for why, target, wanted in taken_away)
        return verdict(len(candidates), "taken away by a rule", because)


class RemovedFilter:
    """Nothing that was taken down, and nothing that this process does not know yet."""

    name = "removed"

    def __init__(self, columns: VideoColumns) -> None:
        self._columns = columns

    def judge(self, query: Query, candidates: Candidates) -> Verdict:
        known = candidates.rows < self._columns.count  # a model may be newer than these columns
        kept = known.copy()
        kept[known] = ~self._columns.removed[candidates.rows[known]]
        return Verdict(kept, "taken down")


class StaleFilter:
    """Nothing that was uploaded too long ago."""

    name = "stale"

    def __init__(self, columns: VideoColumns) -> None:
        self._columns = columns

    def judge(self, query: Query, candidates: Candidates) -> Verdict:
        age_s = query.now - self._columns.uploaded_at[candidates.rows]
        return Verdict(age_s <= query.params.stale_after_s, "uploaded too long ago")


class RepeatedFilter:
    """Nothing by an author, to a sound or under a tag that filled this user's last watches already."""

    name = "repeated"

    def __init__(self, columns: VideoColumns) -> None:
        self._columns = columns

    def judge(self, query: Query, candidates: Candidates) -> Verdict:
        recent, columns, params = query.user.watches.video_rows[-_RECENT:], self._columns, query.params
        author = _too_often(columns.author_row[recent], params.max_author_repeats, columns.author_row[candidates.rows])
        sound = _too_often(columns.sound_row[recent], params.max_sound_repeats, columns.sound_row[candidates.rows])
        tag = _too_often(columns.tag_rows[recent].ravel(), params.max_tag_repeats, columns.tag_rows[candidates.rows]).any(axis=1)
        return Verdict(~(author | sound | tag), f"the same author, sound or tag filled the last {_RECENT} watches")


def _too_often(recent: Rows, limit: int, wanted: Rows) -> NDArray[np.bool_]:
    """Which of `wanted` stand at least `limit` times in `recent`; -1 belongs to nobody."""
    keys, counts = np.unique(recent[recent >= 0], return_counts=True)
    return among(wanted, keys[counts >= limit])
