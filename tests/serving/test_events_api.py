"""POST /v1/events over a real socket, down to the log."""

import gzip
import json
import threading
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from reelrank.domain.event import Comment, Served, Watch
from reelrank.events.dead_letters import read_all
from reelrank.events.validation import UnreadableBody
from reelrank.features.definitions import FEATURES
from reelrank.serving.events_api import unpacked
from serving.running_service import Service, running, watch, with_videos, within


def slate(event_id: str, *video_ids: str, **more: object) -> dict[str, object]:
    return {
        "type": "served",
        "event_id": event_id,
        "user_id": "ana",
        "policy": "elsewhere",
        "videos": [{"video_id": video_id} for video_id in video_ids],
    } | more


def test_what_was_accepted_is_in_the_log_when_the_answer_comes(service: Service) -> None:
    answer = service.post([watch("e-1"), watch("e-2", "v-2")])
    (offset,) = answer.json()["offsets"].values()
    assert (answer.status, answer.json()) == (202, {"accepted": 2, "repeated": 0, "refused": [], "offsets": answer.json()["offsets"]})
    assert offset >= 2
    assert {"e-1", "e-2"} <= set(service.stored_ids())


def test_good_events_are_kept_and_each_bad_one_is_named(service: Service) -> None:
    answer = service.post([watch("e-1"), watch("e-2", "v-9"), watch("e-3", watched_s="x"), watch("e-4")])
    assert answer.status == 202
    told = answer.json()
    assert told["accepted"] == 2
    assert [(refusal["index"], refusal["event_id"]) for refusal in told["refused"]] == [(1, "e-2"), (2, "e-3")]
    assert "v-9" in told["refused"][0]["reason"]
    assert "watched_s is 'x'" in told["refused"][1]["reason"]
    assert sorted(letter.event_id for letter in read_all(service.system.log)) == ["e-2", "e-3"]


def test_a_batch_without_a_good_event_is_a_bad_request(service: Service) -> None:
    answer = service.post([watch("e-1", "v-9")])
    assert answer.status == 400
    assert "none of the 1 events" in answer.json()["error"]
    assert answer.json()["refused"][0]["event_id"] == "e-1"


def test_the_same_batch_twice_is_folded_once(service: Service) -> None:
    batch = [watch("e-1"), watch("e-2")]
    assert service.post(batch).status == service.post(batch).status == 202
    service.system.stream.catch_up()
    counters = service.get("/v1/videos/v-1").json()["counters"]
    assert counters["total"]["clicks"] == counters["5min"]["clicks"] == 2


def test_a_compressed_body_is_the_same_batch(service: Service) -> None:
    body = json.dumps([watch("e-1")]).encode()
    assert service.post(gzip.compress(body), **{"Content-Encoding": "gzip"}).status == 202
    halves = gzip.compress(body[:10]) + gzip.compress(body[10:].replace(b"e-1", b"e-2"))
    assert service.post(halves, **{"Content-Encoding": "gzip"}).status == 202
    assert {"e-1", "e-2"} <= set(service.stored_ids())


def test_a_gzip_bomb_is_never_unpacked_beyond_the_limit() -> None:
    bomb = gzip.compress(bytes(50_000_000))
    with pytest.raises(UnreadableBody, match="more than 1,000 bytes"):
        unpacked(bomb, 1_000)
    with pytest.raises(UnreadableBody, match="more than 1,000 bytes"):
        unpacked(gzip.compress(bytes(900)) * 2, 1_000)
    assert len(unpacked(gzip.compress(bytes(1_000)), 1_000)) == 1_000


@pytest.mark.parametrize("body", [b"x", gzip.compress(b"[]")[:-1], gzip.compress(b"[]") + b"rest", zlib.compress(b"[]")])
def test_a_broken_gzip_says_so(body: bytes) -> None:
    with pytest.raises(UnreadableBody, match="gzip"):
        unpacked(body, 1_000)


def test_emoji_and_right_to_left_scripts_come_back_byte_for_byte(service: Service) -> None:
    user, text = "👩‍👩‍👧‍👦 \u202bשלום\u202c", "مرحبا 🇺🇳 e\u0301 \u2028"
    comment = {"type": "comment", "event_id": "c-😀", "user_id": user, "video_id": "v-1", "text": text}
    for place, body in enumerate((json.dumps([comment]), json.dumps([comment], ensure_ascii=False))):
        assert service.post(body.encode().replace("c-😀".encode(), f"c-{place}".encode())).status == 202
    comments = [accepted.event for accepted in service.stored() if isinstance(accepted.event, Comment)]
    assert [(event.user_id.encode(), event.text.encode()) for event in comments] == [(user.encode(), text.encode())] * 2


def test_a_slate_of_another_policy_gets_the_features_of_its_moment(service: Service) -> None:
    assert service.post([slate("s-1", "v-1", "v-2")]).json()["accepted"] == 1
    (served,) = [accepted.event for accepted in service.stored() if isinstance(accepted.event, Served)]
    assert [len(shown.features) for shown in served.videos] == [len(FEATURES)] * 2
    assert all(shown.predictions and shown.score is not None for shown in served.videos)
    assert len(served.offsets) == service.system.log.partitions
    assert served.policy == "elsewhere"


def test_a_slate_with_the_wrong_number_of_features_is_refused(service: Service) -> None:
    bad = slate("s-1") | {"videos": [{"video_id": "v-1", "features": [1.0, 2.0]}]}
    assert "features" in service.post([bad]).json()["refused"][0]["reason"]


def test_many_clients_at_once_lose_nothing(service: Service) -> None:
    with ThreadPoolExecutor(8) as clients:
        answers = list(clients.map(lambda place: service.post([watch(f"{place}-{event}") for event in range(20)]), range(40)))
    assert {answer.status for answer in answers} == {202}
    assert len([name for name in service.stored_ids() if not name.startswith("publish")]) == 800


@pytest.fixture
def narrow(tmp_path: Path) -> Iterator[Service]:
    """A service that writes one batch at a time and lets none wait."""
    yield from with_videos(running(tmp_path, max_pending_batches=1, event_threads=1))


def test_when_too_many_batches_wait_the_next_one_is_told_to_come_back(narrow: Service) -> None:
    hold, held = threading.Event(), threading.Event()
    narrow.system.services.event_threads.submit(lambda: (held.set(), hold.wait(20)))
    assert held.wait(20)
    with ThreadPoolExecutor(4) as clients:
        waiting = [clients.submit(narrow.post, [watch(f"e-{place}")]) for place in range(4)]
        within(lambda: sum(one.done() for one in waiting) == 3)
        hold.set()
        answers = [one.result(20) for one in waiting]
    assert sorted(answer.status for answer in answers) == [202, 429, 429, 429]
    assert {answer.headers["Retry-After"] for answer in answers if answer.status == 429} == {"1"}


def test_on_a_full_disk_nothing_more_is_acknowledged_and_all_that_was_is_there(small_disk: Path) -> None:
    acknowledged: list[str] = []
    for service in with_videos(running(small_disk / "data")):
        answer = service.post([])
        for batch in range(200):
            events = [watch(f"{batch} {number}", user_id=f"user {number} " + "x" * 80) for number in range(500)]
            answer = service.post(events)
            if answer.status != 202:
                break
            acknowledged += [event["event_id"] for event in events]
        assert (answer.status, answer.headers["Retry-After"]) == (503, "1")
        assert "none was accepted" in answer.json()["error"]
        assert service.get("/v1/feed?user_id=ana").status == 200
        assert sorted(one.event.event_id for one in service.stored() if isinstance(one.event, Watch)) == sorted(acknowledged)
    assert acknowledged


def test_a_gzip_of_very_many_members_takes_no_time() -> None:
    with pytest.raises(UnreadableBody, match="more than 1,000 members"):
        unpacked(gzip.compress(b"") * 250_000, 10_000_000)
    assert unpacked(gzip.compress(b"x" * 100_000) * 20, 10_000_000) == b"x" * 2_000_000


def test_a_page_of_another_site_can_not_post_where_no_key_is_asked_for(service: Service) -> None:
    for site, status in (("cross-site", 403), ("same-site", 403), ("same-origin", 202), ("none", 202)):
        answer = service.post([watch(f"e-{site}")], **{"Sec-Fetch-Site": site})
        assert answer.status == status, site
