"""The feed protocol on KuaiRand: who is asked on the first test day what they know of, and which videos they then watched long."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reelrank.evaluation import retrieval
from reelrank.simulation.kuairand import BEIJING, DataError, Exposures, KuaiRand, refuse_empty

Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class FeedQuestions:
    """One slate for each of n users, and what it should have held. Videos are numbered densely, in the order of `video_ids`."""

    at: float  # UTC seconds: the first moment of the first test day
    user_ids: NDArray[np.str_]  # (n,)
    video_ids: NDArray[np.str_]  # (V,)
    indptr: Ints  # (n + 1,) user i watched relevant[indptr[i] : indptr[i + 1]] long
    relevant: Ints  # (pairs,)
    shown_indptr: Ints  # (n + 1,) user i had shown[shown_indptr[i] : shown_indptr[i + 1]] on screen in the log so far: these are not asked for
    shown: Ints  # (pairs on screen,) each once

    def judged(self, lists: Ints) -> dict[str, Any]:
        """The means over all users of lists of videos (n, k), best first, -1 for an empty place."""
        hits, relevant, k = retrieval.found(lists, self.indptr, self.relevant), np.diff(self.indptr), lists.shape[1]
        return {
            f"recall_at_{k}": round(float(retrieval.recall(hits, relevant).mean()), 4),
            f"ndcg_at_{k}": round(float(retrieval.ndcg(hits, relevant).mean()), 4),
            f"hit_at_{k}": round(float(retrieval.hit(hits).mean()), 4),
            "distinct_videos": len(np.unique(lists[lists >= 0])),
        }

    def shown_again(self, lists: Ints) -> int:
        """How many places of the lists (n, k) hold a video that the user had on screen in the log already."""
        hits = retrieval.found(lists, self.shown_indptr, self.shown)
        return int(hits.sum())


def questions(known: Exposures, future: Exposures, video_ids: NDArray[np.str_], first_day: int) -> FeedQuestions:
    """Who watched a video long in `future` that was not on their screen in `known`; `first_day` as 20220505, in Beijing.

    Raises DataError where nobody did.
    """
    users = np.unique(np.concatenate([known.user_ids, future.user_ids]))
    wanted = _pairs(users, video_ids, future.user_ids[future.long_view], future.video_ids[future.long_view])
    shown = _pairs(users, video_ids, known.user_ids, known.video_ids)
    wanted = np.setdiff1d(wanted, shown, assume_unique=True)
    if len(wanted) == 0:
        raise DataError(f"nobody watched a video long from {first_day} on that was new to them: give other test days")
    asked = np.unique(wanted // len(video_ids))
    shown = shown[np.isin(shown // len(video_ids), asked)]
    indptr, relevant = _by_user(wanted, asked, len(video_ids))
    return FeedQuestions(midnight(first_day), users[asked], video_ids, indptr, relevant, *_by_user(shown, asked, len(video_ids)))


def split(data: KuaiRand, test_from: int, test_until: int) -> tuple[Exposures, FeedQuestions]:
    """What is known before the day `test_from`, and what is asked of it until `test_until` (as 20220505, both included).

    Raises DataError if the log has nothing of either.
    """
    known, future = data.exposures(until_day=test_from - 1), data.exposures(test_from, test_until)
    refuse_empty({f"from {test_from} until {test_until} to ask for": len(future), f"before {test_from} to know": len(known)}, data.days())
    return known, questions(known, future, np.array([video.video_id for video in data.videos()]), test_from)


def days_before(first: int, last: int) -> tuple[int, int]:
    """The first and the last of as many days just before those from `first` to `last`, all as 20220505."""
    return _day(_date(first) - (_date(last) - _date(first)) - timedelta(days=1)), _day(_date(first) - timedelta(days=1))


def midnight(day: int) -> float:
    """The first moment of a day as 20220505 in Beijing, in UTC seconds."""
    return _date(day).timestamp()


def _date(day: int) -> datetime:
    return datetime.strptime(str(day), "%Y%m%d").replace(tzinfo=BEIJING)


def _pairs(users: NDArray[np.str_], videos: NDArray[np.str_], user_ids: NDArray[np.str_], video_ids: NDArray[np.str_]) -> Ints:
    """user * V + video of each pair, each once, ascending."""
    order = np.argsort(videos)
    places = order[np.searchsorted(videos, video_ids, sorter=order)]
    return np.unique(np.searchsorted(users, user_ids) * len(videos) + places)


def _by_user(pairs: Ints, asked: Ints, videos: int) -> tuple[Ints, Ints]:
    """(indptr, videos) of ascending pairs, by their place in `asked`."""
    counts = np.bincount(np.searchsorted(asked, pairs // videos), minlength=len(asked))
    return np.concatenate([[0], np.cumsum(counts)]), pairs % videos


def _day(moment: datetime) -> int:
    return int(moment.strftime("%Y%m%d"))
