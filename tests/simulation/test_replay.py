"""Predict, then see: nothing is known before it happened, and everything is known afterwards."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from reelrank.benchmarks.refold import everything_in
from reelrank.candidates.build_index import IndexBuilder
from reelrank.domain.clock import ManualClock
from reelrank.domain.event import Event, Like, Served, decode_accepted
from reelrank.features.definitions import COLUMN
from reelrank.simulation.kuairand import KuaiRand, events_in_order
from reelrank.simulation.replay import Body, Predictions, Prequential, ReplayError, bodies_of, post_log
from reelrank.storage.event_log import EVENTS
from reelrank.wiring import Reelrank
from simulation.small_log import BEGIN_MS, shown, write

OpenSystem = Callable[..., Reelrank]


class Replayed:
    """A small log after it was predicted and seen."""

    def __init__(self, open_system: OpenSystem, data: KuaiRand, together_s: float = 0.0, ask_at: tuple[int, ...] = ()) -> None:
        clock = ManualClock(BEGIN_MS / 1000 - 60)
        self.system = open_system(clock, storage={"partitions": 1})
        self.replay = Prequential(self.system, clock, together_s)
        self.replay.begin(data)
        self.predictions: Predictions = self.replay.run(data.exposures(), ask_at)

    def served(self) -> list[Served]:
        """The slates of the log, in their order."""
        events = [decode_accepted(record.value).event for record in self.system.log.read(EVENTS, 0, 0, 10_000)]
        return [event for event in events if isinstance(event, Served) and event.policy == "kuairand-log"]

    def feature(self, name: str) -> list[float]:
        """One feature of each slate, as it was read before the outcome."""
        return [slate.videos[0].features[COLUMN[name]] for slate in sorted(self.served(), key=lambda slate: slate.request_id)]


def test_every_exposure_is_predicted_and_everything_ends_up_in_the_state(tmp_path: Path, open_system: OpenSystem) -> None:
    data = write(tmp_path, [shown(5, 0, at_s=0, played_s=5, is_click=1, is_like=1), shown(6, 1, at_s=100, played_s=1)])
    replayed = Replayed(open_system, data)
    assert set(replayed.predictions.heads) == {"click", "long_view", "like"}
    assert all(np.isfinite(values).all() and len(values) == 2 for values in replayed.predictions.heads.values())
    user = replayed.system.reader.user("5")
    assert replayed.system.columns.rows["0"] in user.liked
    assert len(replayed.served()) == 2


def test_an_outcome_is_known_once_the_watch_is_over_and_not_before(tmp_path: Path, open_system: OpenSystem) -> None:
    data = write(tmp_path, [shown(5, 2, at_s=0, played_s=20, is_click=1), shown(6, 2, at_s=19.9), shown(7, 2, at_s=20.1)])
    first, during, after = Replayed(open_system, data).feature("video_outcomes")
    assert first == during < after


def test_exposures_of_one_moment_never_see_each_other(tmp_path: Path, open_system: OpenSystem) -> None:
    data = write(tmp_path, [shown(5, 2, at_s=0), shown(5, 2, at_s=0), shown(5, 2, at_s=0.001)])
    first, second, later = Replayed(open_system, data).feature("user_outcomes")
    assert first == second < later


def test_exposures_of_different_users_close_together_are_predicted_from_the_same_state(tmp_path: Path, open_system: OpenSystem) -> None:
    data = write(tmp_path, [shown(5, 2, at_s=0), shown(6, 2, at_s=4), shown(7, 2, at_s=11)])
    first, close, later = Replayed(open_system, data, together_s=10).feature("video_outcomes")
    assert first == close < later


def test_what_a_user_did_a_moment_ago_is_known_however_close_together(tmp_path: Path, open_system: OpenSystem) -> None:
    data = write(tmp_path, [shown(5, 2, at_s=0, played_s=3), shown(5, 1, at_s=2), shown(5, 0, at_s=4)])
    first, during, after = Replayed(open_system, data, together_s=10).feature("user_outcomes")
    assert first == during < after


def test_what_was_predicted_stands_in_the_log_with_features_and_offsets(tmp_path: Path, open_system: OpenSystem) -> None:
    replayed = Replayed(open_system, write(tmp_path, [shown(5, 2, at_s=0), shown(6, 2, at_s=5)]))
    for place, slate in enumerate(sorted(replayed.served(), key=lambda slate: slate.request_id)):
        assert slate.offsets
        assert slate.videos[0].predictions["click"] == replayed.predictions.heads["click"][place]


def test_the_index_is_rebuilt_at_the_start_and_once_a_day(tmp_path: Path, open_system: OpenSystem, monkeypatch: pytest.MonkeyPatch) -> None:
    builders: list[IndexBuilder] = []
    monkeypatch.setattr(IndexBuilder, "build", lambda builder: builders.append(builder))
    data = write(tmp_path, [shown(5, 0, at_s=0), shown(6, 0, at_s=9), shown(5, 1, at_s=90_000, date=20220426)])
    replayed = Replayed(open_system, data)
    assert builders == [replayed.system.index_builder] * 2


def test_a_feed_is_asked_for_before_the_exposure_is_seen(tmp_path: Path, open_system: OpenSystem) -> None:
    impressions = [shown(user, 2, at_s=user, played_s=0.1, is_click=1, long_view=1) for user in (6, 7, 8)]
    replayed = Replayed(open_system, write(tmp_path, impressions), ask_at=(0, 2))
    knew_it, did_not = replayed.predictions.answers
    assert (knew_it.place, knew_it.known, knew_it.rank) == (0, True, -1)  # user 6 has it in the history
    assert (did_not.place, did_not.known, did_not.popular_rank) == (2, False, 0)


def test_an_event_that_is_refused_ends_the_replay_by_name(tmp_path: Path, open_system: OpenSystem) -> None:
    replayed = Replayed(open_system, write(tmp_path, [shown(5, 0, at_s=0)]))
    with pytest.raises(ReplayError, match="'e-1' of the log was refused: video 'nobody'"):
        replayed.replay.see([Like(event_id="e-1", user_id="5", video_id="nobody")])


def test_bodies_keep_the_order_and_are_full_but_for_the_last(tmp_path: Path) -> None:
    events = list(events_in_order(write(tmp_path, [shown(5, 0, at_s=place) for place in range(7)]).exposures()))
    bodies = list(bodies_of(iter(events), size=10))
    assert [body.events for body in bodies] == [10, 10, 1]
    decoded: list[Event] = [event for body in bodies for event in msgspec.json.decode(body.content, type=list[Event])]
    assert decoded == events


class Recorder:
    """Takes bodies and refuses one event of each."""

    def __init__(self) -> None:
        self.bodies: list[bytes] = []

    def post_raw(self, body: bytes, headers: Mapping[str, str] | None = None) -> dict[str, Any]:
        self.bodies.append(body)
        return {"accepted": 2, "repeated": 0, "refused": [{"index": 0, "event_id": "e", "reason": "why"}]}


def test_a_log_is_posted_in_order_and_what_became_of_it_is_added_up() -> None:
    recorder, told = Recorder(), []
    posted = post_log(recorder, [Body(b"[1]", 3), Body(b"[2]", 3)], told.append)
    assert recorder.bodies == [b"[1]", b"[2]"]
    assert (posted.accepted, len(posted.refused), len(posted.request_ms)) == (4, 2, 2)
    assert told == [3, 3]


def test_what_lies_before_the_first_prediction_is_only_seen_and_leaves_the_same_state(tmp_path: Path, open_system: OpenSystem) -> None:
    # the second is on its way when the third begins; the first and the third begin and end in one moment
    data = write(tmp_path, [shown(5, 0, 0, 5, is_click=1), shown(6, 1, 100, 30, is_click=1, is_like=1), shown(5, 2, 110, 2), shown(6, 0, 200, 9)])
    every = Replayed(open_system, data)
    clock = ManualClock(BEGIN_MS / 1000 - 60)
    system = open_system(clock, "later", storage={"partitions": 1})
    replay = Prequential(system, clock, together_s=0.0)
    replay.begin(data)
    steps: list[int] = []
    predictions = replay.run(data.exposures(), on_progress=steps.append, predict_from=2)
    for head, values in predictions.heads.items():
        assert np.isnan(values[:2]).all()
        assert values[2:].tolist() == every.predictions.heads[head][2:].tolist()
    assert sum(steps) == 4
    events = [decode_accepted(record.value).event for record in system.log.read(EVENTS, 0, 0, 10_000)]
    assert [bool(event.videos[0].features) for event in events if isinstance(event, Served)] == [False, False, True, True]
    assert everything_in(system.store, system.counters) == everything_in(every.system.store, every.system.counters)
