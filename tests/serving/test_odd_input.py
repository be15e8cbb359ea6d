"""Whatever a client sends: a clear 4xx, the good events of the same batch kept, never a fault and never a dropped connection."""

import gzip
import json
import re
import socket
from typing import Any

import pytest

from reelrank.features.definitions import FEATURES
from serving.running_service import Service, watch

LONG = "x" * 100_000
MEGABYTES = 1_000_000
GZIP = {"Content-Encoding": "gzip"}


def with_context(**context: Any) -> dict[str, Any]:
    return watch("bad", context=context)


def history(**lists: Any) -> dict[str, Any]:
    return {"type": "history", "event_id": "bad", "user_id": "ana"} | lists


def served(*videos: Any, **more: Any) -> dict[str, Any]:
    return {"type": "served", "event_id": "bad", "user_id": "ana", "policy": "p", "videos": list(videos)} | more


def publishing(**video: Any) -> dict[str, Any]:
    known = {"video_id": "v-bad", "author_id": "a", "duration_s": 8.0, "uploaded_at": 1.0}
    return {"type": "video_published", "event_id": "bad", "video": known | video}


def file(url: str) -> dict[str, Any]:
    return publishing(renditions=[{"url": url, "bitrate_kbps": 1, "width": 1, "height": 1}])


BAD_EVENTS: dict[str, Any] = {
    "no object": 3,
    "null": None,
    "an array": [],
    "text": "watch",
    "an empty object": {},
    "no type": {"event_id": "bad", "user_id": "ana"},
    "another type": watch("bad", type="gaze"),
    "a type that is a list": watch("bad", type=["watch"]),
    "no user": {"type": "watch", "event_id": "bad", "video_id": "v-1", "watched_s": 1},
    "an empty id": watch(""),
    "an id that is a number": watch("bad", user_id=7),
    "an id of 100 kB": watch("bad", user_id=LONG),
    "an event id of 100 kB": watch(LONG),
    "an id of 101 characters": watch("bad", user_id="é" * 101),
    "a null byte in an id": watch("bad", user_id="a\0b"),
    "a line break in an id": watch("bad", user_id="a\r\nb"),
    "half a surrogate pair": watch("bad", user_id="\ud800"),
    "the other half": watch("bad", user_id="\udfff!"),
    "an unknown field": watch("bad", shoe_size=44),
    "an unknown field in the context": with_context(shoe_size=44),
    "a wrong hour": with_context(local_hour=99),
    "a negative bandwidth": with_context(bandwidth_kbps=-1),
    "a null byte in a place": with_context(place="a\0"),
    "text for a number": watch("bad", watched_s="4.5"),
    "true for a number": watch("bad", watched_s=True),
    "a list for a number": watch("bad", watched_s=[1]),
    "a negative watch": watch("bad", watched_s=-0.1),
    "a watch of two days": watch("bad", watched_s=172_800),
    "not a number": watch("bad", watched_s=float("nan")),
    "infinity": watch("bad", watched_s=float("inf")),
    "a negative time": watch("bad", occurred_at=-1),
    "a time beyond the year 3000": watch("bad", occurred_at=1e12),
    "a time that is text": watch("bad", occurred_at="2024-01-01T00:00:00Z"),
    "a negative position": watch("bad", position=-1),
    "half a position": watch("bad", position=0.5),
    "a position of 10**30": watch("bad", position=10**30),
    "a request id that is too long": watch("bad", request_id="r" * 65),
    "an unknown video": watch("bad", video_id="v-9"),
    "a path as a video": watch("bad", video_id="../../etc/passwd"),
    "an unknown author": {"type": "follow", "event_id": "bad", "user_id": "ana", "author_id": "nobody"},
    "a slate of nothing": served(),
    "a slate of 201": served(*[{"video_id": "v-1"}] * 201),
    "a slate with an unknown video": served({"video_id": "v-1"}, {"video_id": "v-9"}),
    "a propensity of zero": served({"video_id": "v-1", "propensity": 0}),
    "a propensity above one": served({"video_id": "v-1", "propensity": 1.1}),
    "a score that is no number": served({"video_id": "v-1", "score": float("nan")}),
    "an offset beyond every log": served({"video_id": "v-1", "features": [0.0] * len(FEATURES)}, offsets=[2**64]),
    "a negative offset": served({"video_id": "v-1", "features": [0.0] * len(FEATURES)}, offsets=[-1]),
    "one feature": served({"video_id": "v-1", "features": [1.0]}),
    "a feature that is infinite": served({"video_id": "v-1", "features": [float("inf")]}),
    "a history of 1,001": history(watched=["v-1"] * 1_001),
    "a history of unknown videos": history(liked=["v-1", "v-9"]),
    "a video of nothing": {"type": "video_published", "event_id": "bad", "video": {}},
    "a video of a negative length": publishing(duration_s=-8),
    "nine tags": publishing(tags=list("abcdefghi")),
    "an empty tag": publishing(tags=[""]),
    "a null byte in a tag": publishing(tags=["a\0"]),
    "another author for a known video": publishing(video_id="v-1"),
    "a file outside": file("../secret.txt"),
    "an absolute file": file("/etc/passwd"),
    "a Windows path": file("..\\secret.txt"),
    "a file with a null byte": file("clip.mp4\0.txt"),
    "a file of a strange scheme": file("file:///etc/passwd"),
    "the removal of an unknown video": {"type": "video_removed", "event_id": "bad", "video_id": "v-9"},
    "a comment of 5,000 characters": {"type": "comment", "event_id": "bad", "user_id": "ana", "video_id": "v-1", "text": "x" * 5_000},
    "an event of more than a megabyte": {"type": "comment", "event_id": "bad", "user_id": "ana", "video_id": "v-1", "text": "x" * 1_100_000},
}


@pytest.mark.parametrize("case", BAD_EVENTS)
def test_a_bad_event_is_refused_with_a_reason_and_its_neighbours_are_kept(shared: Service, case: str) -> None:
    before, after = f"before {case}", f"after {case}"
    answer = shared.post(json.dumps([watch(before), BAD_EVENTS[case], watch(after)]).encode())
    assert answer.status == 202
    assert answer.json()["accepted"] == 2
    assert [refusal["index"] for refusal in answer.json()["refused"]] == [1]
    assert 5 < len(answer.json()["refused"][0]["reason"]) < 500
    assert {before, after} <= set(shared.stored_ids())


GOOD = json.dumps([watch("good")])
BAD_BODIES: dict[str, tuple[bytes, dict[str, str], int]] = {
    "nothing": (b"", {}, 400),
    "blanks": (b" \n ", {}, 400),
    "an empty array": (b"[]", {}, 400),
    "an object without events": (b"{}", {}, 400),
    "no events in the object": (b'{"events": []}', {}, 400),
    "something beside the events": (b'{"events": [], "more": 1}', {}, 400),
    "a number": (b"1e400", {}, 400),
    "text": (b'"[]"', {}, 400),
    "half an array": (GOOD.encode()[:-1], {}, 400),
    "two arrays": (GOOD.encode() * 2, {}, 400),
    "a comma too many": (b"[1,]", {}, 400),
    "single quotes": (b"[{'type': 'watch'}]", {}, 400),
    "UTF-16 of a number": ("3".encode("utf-16"), {}, 400),
    "no UTF-8": (b"\xff\xfe\xfd", {}, 400),
    "null bytes": (bytes(1_000), {}, 400),
    "deep nesting": (b"[" * 200_000, {}, 400),
    "deep objects": (b'{"events":' * 50_000, {}, 400),
    "an integer of a million digits": (b"[" + b"9" * MEGABYTES + b"]", {}, 400),
    "1,001 events": (json.dumps([watch("e")] * 1_001).encode(), {}, 413),
    "10 MB and a byte": (b"[" + b" " * (10 * MEGABYTES), {}, 413),
    "30 MB": (b" " * (30 * MEGABYTES), {}, 413),
    "6 MB that say gzip": (b" " * (6 * MEGABYTES), GZIP, 413),
    "10 MB of nothing": (b" " * (10 * MEGABYTES), {}, 400),
    "no gzip": (b"[]", GZIP, 400),
    "half a gzip": (gzip.compress(GOOD.encode())[:-9], GZIP, 400),
    "a gzip with a wrong checksum": (gzip.compress(GOOD.encode())[:-8] + bytes(8), GZIP, 400),
    "a gzip with something behind it": (gzip.compress(GOOD.encode()) + b"more", GZIP, 400),
    "a gzip bomb": (gzip.compress(bytes(100 * MEGABYTES)), GZIP, 413),
    "a gzip in a gzip": (gzip.compress(gzip.compress(GOOD.encode())), GZIP, 400),
    "brotli": (GOOD.encode(), {"Content-Encoding": "br"}, 415),
    "two encodings": (GOOD.encode(), {"Content-Encoding": "gzip, gzip"}, 415),
    "a form": (b"type=watch&event_id=e", {"Content-Type": "application/x-www-form-urlencoded"}, 415),
    "XML": (b"<events/>", {"Content-Type": "application/xml"}, 415),
}


@pytest.mark.parametrize("case", BAD_BODIES)
def test_a_bad_body_is_refused_as_a_whole(shared: Service, case: str) -> None:
    body, headers, status = BAD_BODIES[case]
    before = shared.stored_ids()
    answer = shared.post(body, **headers)
    assert answer.status == status
    assert len(answer.json()["error"]) > 10
    assert shared.stored_ids() == before


ODD_BUT_FINE: dict[str, tuple[str, dict[str, str]]] = {
    "no content type": ("[EVENT]", {"Content-Type": ""}),
    "a beacon": ("[EVENT]", {"Content-Type": "text/plain;charset=UTF-8"}),
    "a wrong content type": ("[EVENT]", {"Content-Type": "image/png"}),
    "an identity encoding": ("[EVENT]", {"Content-Encoding": "identity"}),
    "a byte order mark": ("\ufeff[EVENT]", {}),
    "a lot of room": (" \r\n\t [ \n EVENT \t ] \n", {}),
    "a field given twice": ("[TWICE]", {}),
}


@pytest.mark.parametrize("case", ODD_BUT_FINE)
def test_what_is_odd_but_clear_is_taken(shared: Service, case: str) -> None:
    text, headers = ODD_BUT_FINE[case]
    event = json.dumps(watch(case))
    body = text.replace("EVENT", event).replace("TWICE", event[:-1] + ', "watched_s": 2}')
    told = shared.post(body.encode(), **headers).json()
    assert (told["accepted"], told["repeated"], told["refused"]) == (1, 0, [])


BAD_PATHS: dict[str, int] = {
    "/v1/feed": 400,
    "/v1/feed?": 400,
    "/v1/feed?user_id=": 400,
    "/v1/feed?user_id=ana&count=0": 400,
    "/v1/feed?user_id=ana&count=-1": 400,
    "/v1/feed?user_id=ana&count=51": 400,
    "/v1/feed?user_id=ana&count=1e9": 400,
    "/v1/feed?user_id=ana&count=NaN": 400,
    "/v1/feed?user_id=ana&count=ten": 400,
    "/v1/feed?user_id=ana&count=1&count=2": 400,
    "/v1/feed?user_id=ana&page=-1": 400,
    "/v1/feed?user_id=ana&offset=-10": 400,
    "/v1/feed?user_id=ana&user_id=ben": 400,
    "/v1/feed?user=ana": 400,
    "/v1/feed?user_id=ana&local_hour=24": 400,
    "/v1/feed?user_id=ana&bandwidth_kbps=-5": 400,
    "/v1/feed?user_id=ana&bandwidth_kbps=1.5": 400,
    "/v1/feed?user_id=ana&seed=-1": 400,
    "/v1/feed?user_id=ana&seed=99999999999999999999999": 400,
    "/v1/feed?user_id=ana&exploration=maybe": 400,
    "/v1/feed?user_id=a%00b": 400,
    "/v1/feed?user_id=a%0Ab": 400,
    "/v1/feed?user_id=%FF%FE": 400,
    "/v1/feed?user_id=%ED%A0%80": 400,
    "/v1/feed?user_id=%zz": 400,
    "/v1/feed?user_id=100%": 400,
    f"/v1/feed?user_id={'x' * 101}": 400,
    f"/v1/feed?user_id={'x' * 60_000}": 400,
    f"/v1/feed?{'&' * 5_000}a=b": 400,
    "/v1/videos/": 404,
    "/v1/videos/v-9": 404,
    "/v1/videos/v-3?verbose=1": 400,
    f"/v1/videos/{'x' * 60_000}": 404,
    "/v1/videos/%00": 404,
    "/v1/videos/%FF": 404,
    "/v1/videos/..%2f..%2fsecret.txt": 404,
    "/v1/videos/%2e%2e/media": 404,
    "/v1/videos/%2e%2e%2f%2e%2e%2fsecret.txt/media": 404,
    "/v1/videos/..%5c..%5csecret.txt/media": 404,
    "/v1/videos/%252e%252e%252fsecret.txt/media": 404,
    "/v1/videos//etc/passwd/media": 404,
    "/v1/videos/v-3%00.mp4/media": 404,
    "/v1/videos/v-1/media": 404,
    "/v1/videos/v-3/media?bandwidth_kbps=fast": 400,
    "/v1/videos/v-3/media?bandwidth_kbps=-1": 400,
    "/v1/videos/v-3/media?file=../secret.txt": 400,
    "/v1/why/": 404,
    "/v1/why/%00": 404,
    f"/v1/why/{'f' * 60_000}": 404,
    "/page/": 404,
    "/page/%00": 404,
    "/page/..%2f..%2f..%2fdomain%2fevent.py": 404,
    "/page/%2e%2e/app.py": 404,
    "/page/..%5capp.py": 404,
    f"/page/{'x' * 5_000}": 404,
    "/page//etc/passwd": 404,
    "//etc/passwd": 404,
    "/v1/feed/": 404,
    "/v1": 404,
    "/V1/FEED": 404,
    "/.git/config": 404,
    "/-/": 404,
}


def exchange(service: Service, request: bytes) -> bytes:
    """Sends bytes as they are and reads what comes until the server closes."""
    host, port = service.server.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=20) as wire:
        wire.sendall(request)
        answer = b""
        while part := wire.recv(65_536):
            answer += part
    return answer


@pytest.mark.parametrize("path", BAD_PATHS, ids=lambda path: path[:60])
def test_a_bad_path_or_query_is_answered_with_what_is_wrong(shared: Service, path: str) -> None:
    answer = exchange(shared, f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(f"HTTP/1.1 {BAD_PATHS[path]} ".encode())
    assert 10 < len(json.loads(body)["error"]) < 1_000
    assert b"not for you" not in body


@pytest.mark.parametrize("path", ["/v1/events", "/v1/feed", "/v1/videos/v-1", "/v1/why/x", "/-/live", "/metrics", "/openapi.json", "/", "/page/index.html"])
@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "BREW"])
def test_a_method_that_a_path_does_not_take_is_named(shared: Service, path: str, method: str) -> None:
    head, _, body = exchange(shared, f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode()).partition(b"\r\n\r\n")
    assert head.startswith((b"HTTP/1.1 405 ", b"HTTP/1.1 400 "))  # 400: the parser knows no such method
    assert b"allow:" in head.lower() or b" 400 " in head
    assert body


def test_head_is_answered_like_get_without_a_body(shared: Service) -> None:
    for path in ("/v1/feed?user_id=ana", "/-/live", "/", "/v1/videos/v-1", "/metrics", "/openapi.json"):
        head, _, body = exchange(shared, f"HEAD {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode()).partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200 ")
        assert body == b""


def test_http_1_0_is_answered(shared: Service) -> None:
    answer = exchange(shared, b"GET /-/live HTTP/1.0\r\n\r\n")
    assert b" 200 " in answer.splitlines()[0]
    assert answer.endswith(b'{"live":true}')


def test_pipelined_requests_are_all_answered_in_their_order(shared: Service) -> None:
    ask = b"GET /v1/videos/v-%d HTTP/1.1\r\nHost: localhost\r\n\r\n"
    wanted = [1, 9, 2, 9, 3]
    answers = exchange(shared, b"".join(ask % number for number in wanted[:-1]) + (ask % wanted[-1]).replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
    statuses = re.findall(rb"HTTP/1.1 (\d+) ", answers)
    assert statuses == [b"404" if number == 9 else b"200" for number in wanted]


def test_chunks_of_one_byte_are_a_body(shared: Service) -> None:
    chunks = b"".join(b"1\r\n" + bytes([byte]) + b"\r\n" for byte in json.dumps([watch("chunks")]).encode())
    head = b"POST /v1/events HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
    assert exchange(shared, head + chunks + b"0\r\n\r\n").startswith(b"HTTP/1.1 202 ")


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc",
        b"GET\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET /\xff\xfe HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
        b"GET / HTTP/1.1\r\nHo st: x\r\n\r\n",
        b"POST /v1/events HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n\r\n",
        b"POST /v1/events HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"POST /v1/events HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    ],
)
def test_what_is_no_http_is_a_bad_request(shared: Service, request_bytes: bytes) -> None:
    assert exchange(shared, request_bytes).startswith(b"HTTP/1.1 400 ")


def test_headers_that_never_end_are_given_up(shared: Service) -> None:
    host, port = shared.server.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=20) as wire:
        wire.sendall(b"GET /-/live HTTP/1.1\r\nHost: localhost\r\nX-Long: ")
        sent = 0
        with pytest.raises(ConnectionError):
            while sent < 50 * MEGABYTES:
                wire.sendall(b"x" * 10_000)
                sent += 10_000
    assert shared.get("/-/live").status == 200


@pytest.mark.parametrize("wanted", ["bytes=-", "bytes=5-2", "bytes=a-b", "pages=1-2", "bytes=0-0,2-2", "bytes=" + ",".join(["0-1"] * 500), "x" * 1_000])
def test_an_odd_range_never_is_a_fault(shared: Service, wanted: str) -> None:
    answer = shared.get("/v1/videos/v-3/media", headers={"Range": wanted})
    assert answer.status in {200, 206, 400, 416}


def test_a_client_that_leaves_in_the_middle_disturbs_nobody(shared: Service) -> None:
    host, port = shared.server.url.removeprefix("http://").split(":")
    for sent in (b"POST /v1/events HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\n[", b"GET /v1/fe"):
        with socket.create_connection((host, int(port)), timeout=20) as wire:
            wire.sendall(sent)
    assert shared.get("/-/live").status == 200
