"""The collector: stamps, checks, appends, and tells what it refused."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest

from events.desk import NOW, Desk
from reelrank.domain.clock import ManualClock
from reelrank.domain.event import Served
from reelrank.domain.video import Video
from reelrank.events.collector import Collector
from reelrank.events.rights import SlateVerifier
from reelrank.events.validation import decode_batch
from reelrank.features.columns import VideoColumns
from reelrank.storage.catalog_sqlite import SqliteCatalog
from reelrank.storage.event_log import EVENTS, StorageError
from reelrank.storage.event_log_embedded import EmbeddedEventLog


def published(video_id: str, **more: Any) -> dict[str, Any]:
    video = {"video_id": video_id, "author_id": "author", "duration_s": 8.0, "uploaded_at": 1.0}
    return {"type": "video_published", "event_id": f"publish {video_id} {more}", "video": video | more}


def event(kind: str, event_id: str = "e-1", **more: Any) -> dict[str, Any]:
    return {"type": kind, "event_id": event_id, "user_id": "ana"} | more


def like(event_id: str, video_id: str = "v-1", **more: Any) -> dict[str, Any]:
    return event("like", event_id, video_id=video_id, **more)


def test_a_video_and_what_was_done_with_it_may_come_in_one_batch(desk: Desk) -> None:
    receipt = desk.send(like("e-1"), published("v-1"))
    assert (receipt.accepted, receipt.repeated, receipt.refused) == (2, 0, ())
    assert desk.catalog.get("v-1") is not None


def test_an_event_without_a_time_happened_when_it_arrived(desk: Desk) -> None:
    desk.send(published("v-1"), like("e-1"))
    assert {(accepted.received_at, accepted.occurred_at, accepted.clamped_s) for accepted in desk.stored()} == {(NOW, NOW, 0.0)}


@pytest.mark.parametrize(("ahead_s", "occurred_at", "clamped_s"), [(-3600.0, NOW - 3600, 0.0), (60.0, NOW + 60, 0.0), (61.0, NOW, 61.0)])
def test_a_clock_that_runs_ahead_by_more_than_a_minute_is_set_back_to_the_arrival(desk: Desk, ahead_s: float, occurred_at: float, clamped_s: float) -> None:
    desk.send(published("v-1"))
    desk.send(like("e-1", occurred_at=NOW + ahead_s))
    (stored,) = [accepted for accepted in desk.stored() if accepted.event.event_id == "e-1"]
    assert (stored.occurred_at, stored.clamped_s) == (occurred_at, clamped_s)


UNKNOWN_VIDEO = "video 'v-9' is not in the catalogue; publish it first with a video_published event"


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (event("watch", video_id="v-9", watched_s=1), UNKNOWN_VIDEO),
        (event("impression", video_id="v-9"), UNKNOWN_VIDEO),
        (event("served", policy="p", videos=[{"video_id": "v-1"}, {"video_id": "v-9"}]), UNKNOWN_VIDEO),
        (event("history", watched=["v-1", "v-9"]), UNKNOWN_VIDEO),
        (event("history", long_viewed=["v-9"]), UNKNOWN_VIDEO),
        (event("history", liked=["v-9"]), UNKNOWN_VIDEO),
        (event("follow", author_id="author", video_id="v-9"), UNKNOWN_VIDEO),
        (event("follow", author_id="nobody"), "author 'nobody' is not in the catalogue"),
        (event("unfollow", author_id="nobody"), "author 'nobody' is not in the catalogue"),
        ({"type": "video_removed", "event_id": "e-1", "video_id": "v-9"}, UNKNOWN_VIDEO),
    ],
    ids=lambda given: given["type"] if isinstance(given, dict) else "",
)
def test_an_id_that_the_catalogue_does_not_know_is_refused(desk: Desk, bad: dict[str, Any], reason: str) -> None:
    receipt = desk.send(published("v-1"), bad, like("good"))
    assert receipt.accepted == 2
    assert [(refusal.index, refusal.event_id) for refusal in receipt.refused] == [(1, "e-1")]
    assert reason in receipt.refused[0].reason


def test_a_video_that_another_process_has_published_is_known(desk: Desk) -> None:
    desk.catalog.publish([msgspec.convert(published("v-7")["video"], Video)])
    assert desk.send(like("e-1", "v-7")).accepted == 1


def test_a_video_that_changes_its_author_is_refused_and_the_others_are_published(desk: Desk) -> None:
    desk.send(published("v-1"))
    receipt = desk.send(published("v-2"), published("v-1", author_id="thief"), published("v-3"))
    assert receipt.accepted == 2
    assert [refusal.index for refusal in receipt.refused] == [1]
    assert "author_id" in receipt.refused[0].reason
    assert desk.catalog.get("v-3") is not None


def test_a_removed_video_stays_known_but_is_marked(desk: Desk) -> None:
    desk.send(published("v-1"))
    assert desk.send({"type": "video_removed", "event_id": "r", "video_id": "v-1"}, like("e-1")).accepted == 2
    row = desk.catalog.get("v-1")
    assert row is not None
    assert row.removed


def test_a_repeat_within_a_batch_is_kept_once(desk: Desk) -> None:
    receipt = desk.send(published("v-1"), like("e-1"), like("e-1"), like("e-1", user_id="ben"))
    assert (receipt.accepted, receipt.repeated) == (3, 1)
    assert len(desk.stored()) == 3


def test_a_refused_event_becomes_a_dead_letter_with_its_reason(desk: Desk) -> None:
    receipt = desk.send(like("e-1", "v-9"))
    (letter,) = desk.letters()
    assert (letter.event_id, letter.reason, letter.received_at) == ("e-1", receipt.refused[0].reason, NOW)
    assert msgspec.json.decode(letter.raw) == like("e-1", "v-9")


def test_what_is_counted_is_told_apart_by_type_and_by_what_was_wrong(desk: Desk) -> None:
    desk.send(published("v-1"), like("e-1"), like("e-2"), like("e-3", "v-9"), {"type": "like"})
    assert desk.collector.accepted == {"video_published": 1, "like": 2}
    assert desk.collector.refused == {"catalogue": 1, "unreadable": 1}


def test_a_slate_is_completed_at_the_moment_it_was_served(desk: Desk) -> None:
    desk.send(published("v-1"))
    asked: list[float] = []

    def complete(slates: Sequence[Served], moments: Sequence[float]) -> list[Served]:
        asked.extend(moments)
        return [msgspec.structs.replace(slate, params=f"seen {slate.event_id}") for slate in slates]

    slates = [event("served", f"s-{age}", policy="p", videos=[{"video_id": "v-1"}], occurred_at=NOW - age) for age in (50, 40)]
    desk.collector.accept(decode_batch(msgspec.json.encode([slates[0], like("e-2"), slates[1]])), complete)
    stored = [accepted.event for accepted in desk.stored() if isinstance(accepted.event, Served)]
    assert asked == [NOW - 50, NOW - 40]
    assert [(slate.event_id, slate.params) for slate in stored] == [("s-50", "seen s-50"), ("s-40", "seen s-40")]


def test_nothing_is_acknowledged_when_the_log_is_full(tmp_path: Path) -> None:
    log, catalog = EmbeddedEventLog(tmp_path / "log", max_bytes=1 << 18), SqliteCatalog(tmp_path / "catalog.sqlite")
    collector = Collector(log, catalog, VideoColumns(catalog, tmp_path / "columns"), ManualClock(NOW), SlateVerifier(b"secret"))
    collector.accept(decode_batch(msgspec.json.encode([published("v-1")])))
    before = sum(log.end(EVENTS, partition) for partition in range(log.partitions))
    comments = [event("comment", f"e-{place}", video_id="v-1", text="x" * 4_000) for place in range(200)]
    with pytest.raises(StorageError):
        collector.accept(decode_batch(msgspec.json.encode(comments)))
    assert sum(log.end(EVENTS, partition) for partition in range(log.partitions)) == before
    catalog.close()
    log.close()


def test_a_video_from_the_future_is_refused_and_its_neighbours_are_not(desk: Desk) -> None:
    receipt = desk.send(published("v-1", uploaded_at=NOW + 3_600), published("v-2", uploaded_at=NOW + 5))
    assert receipt.accepted == 1
    (refusal,) = receipt.refused
    assert refusal.index == 0 and "uploaded_at" in refusal.reason and "in the future" in refusal.reason
    assert desk.catalog.get("v-1") is None and desk.catalog.get("v-2") is not None


def test_a_receipt_says_where_each_partition_ended(desk: Desk) -> None:
    first = desk.send(published("v-1"), *(like(f"e-{place}", user_id=f"user {place}") for place in range(40)))
    second = desk.send(like("e-40", user_id="user 0"))
    assert {partition: offset for partition, offset in first.offsets.items()} == {
        str(partition): count for partition in range(desk.log.partitions) if (count := desk.log.end(EVENTS, partition) - (str(partition) in second.offsets))
    }
    ((partition, offset),) = second.offsets.items()
    assert offset == desk.log.end(EVENTS, int(partition)) == first.offsets[partition] + 1
    assert desk.send(like("e-41", "v-9")).offsets == {}


def test_batches_that_are_written_together_get_a_receipt_each(desk: Desk) -> None:
    desk.send(published("v-1"))
    batches = ([like("e-1"), like("e-2", "v-9")], [like("e-3"), like("e-3")], [like("e-4", "v-9")], [like("e-5")])
    receipts = desk.collector.commit([desk.collector.prepare(decode_batch(msgspec.json.encode(batch))) for batch in batches])
    assert [(receipt.accepted, receipt.repeated, len(receipt.refused)) for receipt in receipts] == [(1, 0, 1), (1, 1, 0), (0, 0, 1), (1, 0, 0)]
    (ends,) = zip(*(receipt.offsets.values() for receipt in receipts if receipt.offsets), strict=True)
    assert list(ends) == list(range(ends[0], ends[0] + 3))
    assert receipts[2].offsets == {}
    assert sorted(letter.event_id for letter in desk.letters()) == ["e-2", "e-4"]
