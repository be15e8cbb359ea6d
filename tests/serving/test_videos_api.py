"""GET /v1/videos: metadata, counters and files."""

from pathlib import Path

from serving.running_service import Service, published, watch

CLIP = bytes(range(256)) * 40


def test_a_video_is_described_with_its_counters(service: Service) -> None:
    service.post([watch("e-1"), {"type": "like", "event_id": "e-2", "user_id": "ana", "video_id": "v-1"}])
    service.system.stream.catch_up()
    told = service.get("/v1/videos/v-1").json()
    assert told["video"]["author_id"] == "author"
    assert (told["removed"], told["media_url"]) == (False, None)
    assert set(told["counters"]) == {"total", "5min", "1h", "1d", "7d"}
    assert (told["counters"]["1h"]["clicks"], told["counters"]["1h"]["likes"], told["counters"]["1h"]["watched_s"]) == (1, 1, 4.5)


def test_a_like_that_was_only_taken_back_is_shown_as_none(service: Service) -> None:
    service.post([{"type": "unlike", "event_id": "e-1", "user_id": "ana", "video_id": "v-1"}])
    service.system.stream.catch_up()
    assert {counted["likes"] for counted in service.get("/v1/videos/v-1").json()["counters"].values()} == {0}


def test_a_removed_video_says_so(service: Service) -> None:
    service.post([{"type": "video_removed", "event_id": "r", "video_id": "v-1"}])
    assert service.get("/v1/videos/v-1").json()["removed"] is True


def test_an_unknown_video_is_not_found(shared: Service) -> None:
    answer = shared.get("/v1/videos/v-9")
    assert (answer.status, answer.json()) == (404, {"error": "there is no video 'v-9'; publish it with a video_published event"})


def test_an_id_with_slashes_and_spaces_is_found(service: Service) -> None:
    service.post([published("a/b c%2F😀")])
    assert service.get("/v1/videos/a%2Fb%20c%252F%F0%9F%98%80").json()["video"]["video_id"] == "a/b c%2F😀"


def test_a_file_comes_whole_with_what_caches_need(shared: Service) -> None:
    answer = shared.get("/v1/videos/v-3/media?bandwidth_kbps=4000")
    assert (answer.status, answer.data) == (200, CLIP)
    assert answer.headers["Content-Type"] == "video/mp4"
    assert answer.headers["Cache-Control"] == "public, max-age=86400"
    assert shared.get("/v1/videos/v-3/media", headers={"If-None-Match": answer.headers["ETag"]}).status == 304


def test_a_file_comes_in_ranges(shared: Service) -> None:
    answer = shared.get("/v1/videos/v-3/media", headers={"Range": "bytes=100-199"})
    assert (answer.status, answer.data) == (206, CLIP[100:200])
    assert answer.headers["Content-Range"] == f"bytes 100-199/{len(CLIP)}"
    assert shared.get("/v1/videos/v-3/media", headers={"Range": "bytes=-10"}).data == CLIP[-10:]
    assert shared.get("/v1/videos/v-3/media", headers={"Range": "bytes=999999-"}).status == 416


def test_a_head_request_tells_the_size_alone(shared: Service) -> None:
    answer = shared.http.request("HEAD", shared.server.url + "/v1/videos/v-3/media")
    assert (answer.status, answer.data, answer.headers["Content-Length"]) == (200, b"", str(len(CLIP)))


def test_the_rendition_fits_the_bandwidth(service: Service, tmp_path: Path) -> None:
    renditions = [{"url": f"{kbps}.mp4", "bitrate_kbps": kbps, "width": 9, "height": 16} for kbps in (500, 2_000)]
    for kbps in (500, 2_000):
        (tmp_path / "media" / f"{kbps}.mp4").write_text(str(kbps))
    service.post([published("v-4", renditions=renditions)])
    assert service.get("/v1/videos/v-4/media?bandwidth_kbps=1000").data == b"500"
    assert service.get("/v1/videos/v-4/media?bandwidth_kbps=9000").data == b"2000"
    assert service.get("/v1/videos/v-4/media").data == b"2000"


def test_a_file_on_a_cdn_is_a_redirect(service: Service) -> None:
    service.post([published("v-4", renditions=[{"url": "https://cdn.example/v.mp4", "bitrate_kbps": 1, "width": 1, "height": 1}])])
    answer = service.get("/v1/videos/v-4/media", redirect=False)
    assert (answer.status, answer.headers["Location"]) == (302, "https://cdn.example/v.mp4")


def test_a_video_without_a_file_and_a_file_that_is_gone_are_not_found(service: Service) -> None:
    service.post([published("v-4", renditions=[{"url": "gone.mp4", "bitrate_kbps": 1, "width": 1, "height": 1}])])
    assert "published without renditions" in service.get("/v1/videos/v-1/media").json()["error"]
    answer = service.get("/v1/videos/v-4/media")
    assert (answer.status, "gone.mp4" in answer.json()["error"]) == (404, True)


def test_a_link_that_leads_out_of_the_media_folder_is_not_followed(service: Service, tmp_path: Path) -> None:
    (tmp_path / "media" / "link.mp4").symlink_to(tmp_path / "secret.txt")
    service.post([published("v-4", renditions=[{"url": "link.mp4", "bitrate_kbps": 1, "width": 1, "height": 1}])])
    assert service.get("/v1/videos/v-4/media").status == 404


def test_a_link_that_leads_to_itself_is_not_found(service: Service, tmp_path: Path) -> None:
    (tmp_path / "media" / "loop").symlink_to("loop")
    service.post([published("v-4", renditions=[{"url": "loop", "bitrate_kbps": 1, "width": 1, "height": 1}])])
    assert service.get("/v1/videos/v-4/media").status == 404
