"""`evaluate feed`: KuaiRand up to a day through the whole running system, then one slate for everybody who found something new."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from reelrank.domain.clock import ManualClock
from reelrank.feed import FeedRequest
from reelrank.simulation.kuairand import KuaiRand
from reelrank.simulation.replay import Prequential
from reelrank.studies import peer_feed
from reelrank.studies.feed_questions import FeedQuestions, split
from reelrank.wiring import Reelrank, scratch_reelrank

COUNT = 20  # places of a slate


def evaluate(
    folder: Path,
    test_from: int = 20220505,
    test_until: int = 20220506,
    on_progress: Callable[[int], None] = lambda _: None,
    seed: int = 0,
    *,
    peers: bool = True,
) -> dict[str, Any]:
    """How well slates of 20 find what is watched long on the test days (as 20220505, both included), for our feed and its peers.

    Everybody knows the log up to the day before, nothing later. `pairs_in_base_history` were watched before the log began: our feed shows
    nothing twice, so it can't find them. `on_progress` is told how many more exposures were seen, slates made and peers fitted.
    Raises DataError for days that the log does not have, or for which the peers find no days before them to choose by.
    """
    data = KuaiRand(folder)
    known, asked = split(data, test_from, test_until)
    of_peers = peer_feed.compare(data, test_from, test_until, COUNT, seed, on_progress) if peers else {}  # first, as it may refuse the days
    clock = ManualClock()
    with scratch_reelrank(clock) as system:
        began = time.perf_counter()
        replay = Prequential(system, clock)
        replay.begin(data)
        replay.run(known, on_progress=on_progress, predict_from=len(known))
        clock.advance_to(asked.at)
        system.index_builder.build()
        system.feed.refresh()
        learned_s = time.perf_counter() - began
        lists = slates(system, asked, seed, on_progress)
        lost = lost_to_base_history(system, asked)
        seconds = time.perf_counter() - began
    return {
        "dataset": "kuairand",
        **asked.judged(lists),
        "peers": of_peers,
        "users": len(asked.user_ids),
        "pairs": len(asked.relevant),
        "pairs_in_base_history": lost,
        "test_from": test_from,
        "test_until": test_until,
        "seed": seed,
        "learned_s": round(learned_s, 1),
        "seconds": round(seconds, 1),
    }


def slates(system: Reelrank, asked: FeedQuestions, seed: int = 0, on_progress: Callable[[int], None] = lambda _: None) -> np.ndarray:
    """What the feed of a system recommends to each user at that moment, without exploration: (n, COUNT) videos, -1 for an empty place."""
    video_of_row = np.argsort(system.columns.rows_of(asked.video_ids.tolist()))
    lists = np.full((len(asked.user_ids), COUNT), -1, dtype=np.int64)
    for place, user_id in enumerate(asked.user_ids.tolist()):
        request = FeedRequest(user_id=user_id, count=COUNT, exploration=False, seed=seed)
        rows = [one.row for one in system.feed.recommend(request, asked.at).places]
        lists[place, : len(rows)] = video_of_row[rows]
        on_progress(1)
    return lists


def lost_to_base_history(system: Reelrank, asked: FeedQuestions) -> int:
    """How many of the pairs asked for no feed can find, because the user watched that video before the log began."""
    rows = system.columns.rows_of(asked.video_ids.tolist())
    users = system.reader.users(asked.user_ids.tolist())
    return sum(int(rows[video]) in user.seen for place, user in enumerate(users) for video in asked.relevant[asked.indptr[place] : asked.indptr[place + 1]])
