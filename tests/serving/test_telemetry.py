"""Metrics: the figures that /metrics shows."""

from pathlib import Path

import msgspec
import numpy as np
from prometheus_client.parser import text_string_to_metric_families

from reelrank.candidates.recall_watch import RecallWatch, Search
from reelrank.candidates.row_bits import every
from reelrank.candidates.vector_index import VectorIndex
from reelrank.domain.user import no_rows
from reelrank.serving.telemetry import Metrics
from reelrank.storage.last_runs import LastRun, LastRuns
from serving.running_service import Service, watch, within


def figures(service: Service) -> dict[tuple[str, ...], float]:
    """Every sample by its name and label values."""
    text = service.get("/metrics").data.decode()
    return {(sample.name, *sample.labels.values()): sample.value for family in text_string_to_metric_families(text) for sample in family.samples}


def test_events_are_counted_by_type_and_by_what_was_wrong(service: Service) -> None:
    service.post([watch("e-1"), watch("e-2"), watch("e-3", "v-9"), watch("e-4", watched_s="x"), watch("e-5", user_id="a\0")])
    counted = figures(service)
    assert counted["reelrank_events_accepted_total", "watch"] == 2
    assert counted["reelrank_events_accepted_total", "video_published"] == 3
    assert [counted["reelrank_events_refused_total", reason] for reason in ("catalogue", "unreadable", "content")] == [1, 1, 1]


def test_requests_are_counted_by_route_and_status_and_timed(service: Service) -> None:
    for path in ("/v1/videos/v-1", "/v1/videos/v-2", "/v1/videos/v-9", "/nowhere", "/elsewhere", "/page/index.html"):
        service.get(path)
    within(lambda: ("reelrank_requests_total", "/page", "200") in figures(service))  # counted once it is sent, so a moment after it came
    counted = figures(service)
    assert counted["reelrank_requests_total", "/v1/videos/{video_id:path}", "200"] == 2
    assert counted["reelrank_requests_total", "/v1/videos/{video_id:path}", "404"] == 1
    assert counted["reelrank_requests_total", "none", "404"] == 2
    assert counted["reelrank_requests_total", "/page", "200"] == 1
    assert counted["reelrank_request_seconds_count", "/v1/videos/{video_id:path}"] == 3


def test_the_stages_of_a_feed_are_timed_and_its_sources_counted(service: Service) -> None:
    service.get("/v1/feed?user_id=ana")
    counted = figures(service)
    assert counted["reelrank_feed_stage_seconds_count", "sources"] == 1
    assert counted["reelrank_source_candidates_count", "fresh"] == 1


def test_a_source_that_fails_is_counted(service: Service) -> None:
    service.system.services.metrics.observe_feed({}, ["source co_watched failed", "source co_watched failed", "source fresh was late"])
    counted = figures(service)
    assert counted["reelrank_feed_degraded_total", "source co_watched failed"] == 2
    assert counted["reelrank_feed_degraded_total", "source fresh was late"] == 1


def test_the_lag_of_the_stream_is_the_distance_of_two_offsets(service: Service) -> None:
    service.post([watch("e-1")])
    before = figures(service)
    service.system.stream.catch_up()
    after = figures(service)
    ends = {partition: before["reelrank_log_end_offset", partition] for partition in "0123"}
    assert sum(ends.values()) == 4
    assert sum(before["reelrank_log_folded_offset", partition] for partition in "0123") == 0
    assert {partition: after["reelrank_log_folded_offset", partition] for partition in "0123"} == ends
    assert after["reelrank_catalogue_videos",] == 3


def test_what_the_role_train_says_of_itself_is_told(tmp_path: Path) -> None:
    metrics, status = Metrics(), tmp_path / "status.json"
    metrics.follow_training(status)
    assert b"reelrank_train" not in metrics.exposition()
    told = {
        "base": "v1",
        "learned": 7,
        "waiting": 3,
        "learned_until": 9.0,
        "quarantined": {"flood": 2},
        "progressive": {"click": 0.75},
    }
    status.write_bytes(msgspec.json.encode(told))
    lines = metrics.exposition().decode().splitlines()
    assert 'reelrank_train_quarantined_total{reason="flood"} 2.0' in lines
    assert 'reelrank_train_auc{head="click"} 0.75' in lines
    assert "reelrank_train_learned_total 7.0" in lines


def test_what_came_of_the_last_trainings_is_told(tmp_path: Path) -> None:
    metrics, runs = Metrics(), LastRuns(tmp_path)
    metrics.follow_runs(runs)
    runs.keep(LastRun(model="ranker", how="online", outcome="refused", ended_at=5.0, seconds=2.5, reasons=("it is worse",)))
    lines = metrics.exposition().decode().splitlines()
    assert 'reelrank_train_run_at_seconds{how="online",model="ranker"} 5.0' in lines
    assert 'reelrank_train_run_seconds{how="online",model="ranker"} 2.5' in lines
    told = {line for line in lines if line.startswith("reelrank_train_run_outcome{")}
    expected = {"published": 0.0, "refused": 1.0, "failed": 0.0}
    assert told == {f'reelrank_train_run_outcome{{how="online",model="ranker",outcome="{one}"}} {number}' for one, number in expected.items()}


def test_how_much_of_the_nearest_live_searches_find_is_told_by_source(service: Service) -> None:
    index = VectorIndex(1)
    index.add(np.arange(8, dtype=np.float32)[:, None])
    search = Search(index, np.ones(1, dtype=np.float32), 4, no_rows(), every(8))
    watch = RecallWatch(1.0, 1.0)
    metrics = Metrics()
    metrics.follow_recall(watch)
    watch.offer("nearest", search, np.array([7, 6, 5]), np.random.default_rng(0))
    watch.wait()
    watch.close()
    text = metrics.exposition().decode()
    assert 'reelrank_search_recall{source="nearest"} 0.75' in text
    assert 'reelrank_search_recall_looked_up_total{source="nearest"} 1.0' in text
