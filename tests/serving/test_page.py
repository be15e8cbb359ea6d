"""The page in a real Chromium, against a running Reelrank."""

import time
from collections.abc import Callable
from typing import Any

import pytest
import urllib3
from playwright.sync_api import Route

from serving.viewer import NOW_PLAYING, PHONE, Viewer, until

TELLS_LATE = """
const Observer = window.IntersectionObserver;
window.IntersectionObserver = class extends Observer {
  constructor(tell, options) { super((seen) => setTimeout(tell, 300, seen), options); }
};
"""


def test_a_busy_browser_that_tells_late_what_was_on_screen_begins_at_the_first_video_all_the_same(arrive: Callable[..., Viewer]) -> None:
    viewer = arrive()
    viewer.page.add_init_script(TELLS_LATE)  # the place after the last video was on screen until the first page came
    viewer.comes()
    viewer.told("impression", video_id=viewer.feeds[0]["videos"][0]["video_id"])
    assert (viewer.place(), len(viewer.feeds)) == (1, 1)


def test_the_keyboard_goes_one_video_on_and_back(arrive: Callable[..., Viewer]) -> None:
    viewer = arrive().comes()
    for key, place in (("ArrowDown", 2), ("j", 3), ("k", 2), ("ArrowUp", 1)):
        viewer.presses(key, place=place)


def test_each_turn_of_the_wheel_is_one_video(arrive: Callable[..., Viewer]) -> None:
    viewer = arrive().comes()
    viewer.page.mouse.move(700, 450)
    for turn, place in ((120, 2), (120, 3), (-120, 2)):
        viewer.page.mouse.wheel(0, turn)
        until(lambda place=place: viewer.place() == place, f"video {place} after the wheel turned by {turn}")
        viewer.page.wait_for_timeout(300)  # a hand rests between turns


def test_a_touchpad_that_glides_on_moves_the_feed_once(arrive: Callable[..., Viewer]) -> None:
    viewer = arrive().comes()
    turn = "document.getElementById('feed').dispatchEvent(new WheelEvent('wheel', { deltaY, cancelable: true }))"
    viewer.page.evaluate(f"[60, 55, 40, 30, 20, 12, 8, 4, 2].forEach((deltaY) => {turn})")
    until(lambda: viewer.place() == 2, "the second video is on screen")
    viewer.page.wait_for_timeout(500)
    assert viewer.place() == 2


def test_the_video_on_screen_plays_muted_and_no_other_does(arrive: Callable[..., Viewer]) -> None:
    viewer = arrive().comes()
    until(lambda: viewer.played_s() > 0.2, "the video plays")
    playing = viewer.page.evaluate("[...document.querySelectorAll('video')].filter((video) => !video.paused).map((video) => video.muted)")
    assert playing == [True]
    viewer.presses("m")
    assert viewer.page.evaluate(f"{NOW_PLAYING}.querySelector('video').muted") is False
    viewer.presses(" ")
    assert viewer.page.evaluate(f"{NOW_PLAYING}.querySelector('video').paused") is True


def test_a_like_is_accepted_and_what_comes_after_the_next_video_is_chosen_anew(arrive: Callable[..., Viewer]) -> None:
    viewer = arrive().comes()
    before = [video["video_id"] for video in viewer.feeds[0]["videos"]]
    viewer.presses("l")
    like = viewer.told("like")
    assert (like["user_id"], like["video_id"], like["request_id"], like["position"]) == (viewer.user, before[0], viewer.feeds[0]["request_id"], 0)
    assert like["context"]["surface"] == "for_you"
    assert like["context"]["device"] == "desktop"
    until(lambda: viewer.page.wait_for_timeout(20) or len(viewer.feeds) > 1, "the feed is asked again")
    expected = before[:2] + [video["video_id"] for video in viewer.feeds[1]["videos"] if video["video_id"] not in before[:2]]
    assert expected[2:] != before[2:]
    shown = [viewer.video()]
    for place in (2, 3, 4):
        viewer.presses("j", place=place)
        shown.append(viewer.video())
    assert shown == expected[:4]


@pytest.mark.parametrize(("key", "kind"), [("f", "follow"), ("s", "share"), ("h", "hide")])
def test_a_key_sends_its_event(arrive: Callable[..., Viewer], key: str, kind: str) -> None:
    viewer = arrive().comes()
    first = viewer.feeds[0]["videos"][0]
    viewer.presses(key)
    event = viewer.told(kind)
    assert (event["video_id"], event.get("author_id", first["author_id"])) == (first["video_id"], first["author_id"])
    if kind == "hide":
        until(lambda: viewer.place() == 2, "the feed goes on after hiding")


def test_tapping_twice_likes_and_tapping_once_pauses(arrive: Callable[..., Viewer]) -> None:
    viewer = arrive(viewport=PHONE).comes()
    viewer.page.mouse.dblclick(150, 300)
    viewer.told("like")
    viewer.page.wait_for_timeout(400)
    viewer.page.mouse.click(150, 300)
    viewer.sees(".slide-paused .pause-sign")


def test_staying_is_a_watch_with_the_seconds_that_were_played(arrive: Callable[..., Viewer]) -> None:
    viewer = arrive().comes()
    video, began = viewer.video(), time.monotonic()
    until(lambda: viewer.played_s() > 2.3, "the video plays for a while")
    viewer.presses("j", place=2)
    watch = viewer.told("watch", "skip", video_id=video)
    assert watch["type"] == "watch"
    assert 2.3 <= watch["watched_s"] <= time.monotonic() - began + 0.5
    assert viewer.told("impression", video_id=video)["position"] == 0


def test_leaving_at_once_is_a_skip(arrive: Callable[..., Viewer]) -> None:
    viewer = arrive().comes()
    left: list[dict[str, Any]] = []
    for place in range(2, 7):  # a busy machine may need longer than a thumb
        video = viewer.video()
        viewer.presses(" ")  # paused: on screen, but hardly played
        viewer.told("impression", video_id=video)
        viewer.presses("j", place=place)
        left.append(viewer.told("watch", "skip", video_id=video))
    skips = [event for event in left if event["type"] == "skip"]
    assert skips and all(event["watched_s"] < 2 for event in skips)


def test_a_video_without_a_file_is_a_card_whose_time_on_screen_counts(arrive: Callable[..., Viewer]) -> None:
    viewer = arrive()

    def without_files(route: Route) -> None:
        feed = route.fetch().json()
        route.fulfill(json=feed | {"videos": [video | {"media_url": None} for video in feed["videos"]]})

    viewer.page.route("**/v1/feed?*", without_files)
    viewer.comes().sees(".slide:not([inert]) .wave")
    video = viewer.video()
    viewer.told("impression", video_id=video)
    viewer.page.wait_for_timeout(2_100)  # that is what is measured
    viewer.presses("j", place=2)
    assert viewer.told("watch", video_id=video)["watched_s"] >= 2


def test_why_shows_sources_predictions_and_stages_and_follows_the_feed(arrive: Callable[..., Viewer]) -> None:
    viewer = arrive().comes()
    first, second = viewer.feeds[0]["videos"][:2]
    viewer.presses("w")
    for selector in (".why-reason", ".bar[data-bar^=predicted]", ".why-stages tbody tr"):
        viewer.sees(selector)
    chips = "[...document.querySelectorAll('.panel .chip')].map((chip) => chip.dataset.source)"
    assert viewer.page.evaluate(chips) == list(first["sources"])
    viewer.presses("j", place=2)
    until(lambda: viewer.page.locator(".why-lead").inner_text().find("Place 2 of") >= 0, "the panel tells of the next video")
    assert viewer.page.evaluate(chips) == list(second["sources"])
    viewer.presses("Escape")
    assert viewer.page.locator("dialog").count() == 0


def test_a_comment_is_sent_and_shown_again_later(arrive: Callable[..., Viewer]) -> None:
    viewer = arrive().comes()
    viewer.presses("c")
    viewer.page.keyboard.type("w is a letter here, not a key")
    viewer.presses("Enter")
    assert viewer.told("comment")["text"] == "w is a letter here, not a key"
    viewer.presses("Escape")
    viewer.presses("c")
    viewer.sees(".comment")


def test_events_wait_for_the_collector_and_keep_their_id(arrive: Callable[..., Viewer]) -> None:
    viewer = arrive().comes()
    viewer.told("impression")
    tried: list[str] = []

    def away(route: Route) -> None:
        tried.extend(event["event_id"] for event in route.request.post_data_json if event["type"] == "like")
        route.fulfill(status=503, json={"error": "away"})

    viewer.page.route("**/v1/events", away)
    viewer.presses("l")
    until(lambda: viewer.page.wait_for_timeout(20) or len(tried) > 1, "the like is tried again")
    assert viewer.page.evaluate("Object.keys(localStorage).some((key) => key.startsWith('reelrank.events.'))")
    viewer.page.unroute("**/v1/events")
    assert {viewer.told("like")["event_id"]} == set(tried)
    viewer.errors.clear()  # the browser itself speaks of the 503


def test_a_feed_that_fails_says_so_and_can_be_tried_again(arrive: Callable[..., Viewer]) -> None:
    viewer = arrive(viewport=PHONE)
    viewer.page.route("**/v1/feed?*", lambda route: route.fulfill(status=503, json={"error": "the event log is away"}))
    viewer.page.goto(f"{viewer.url}/?user={viewer.user}")
    viewer.sees(".state-detail")
    assert "the event log is away" in viewer.page.locator(".state").inner_text()
    viewer.page.unroute("**/v1/feed?*")
    viewer.page.get_by_role("button", name="Try again").click()
    until(lambda: viewer.place() == 1, "the first video is on screen")
    viewer.errors.clear()  # the browser itself speaks of the 503


def test_a_feed_without_a_video_says_why(arrive: Callable[..., Viewer]) -> None:
    viewer = arrive(viewport=PHONE)
    nothing = {"request_id": "r", "degraded": [], "models": {}, "videos": [], "empty_because": {"was on this user's screen before": 40, "hidden by a rule": 4}}
    viewer.page.route("**/v1/feed?*", lambda route: route.fulfill(json=nothing))
    viewer.page.goto(f"{viewer.url}/?user={viewer.user}")
    viewer.sees(".state-detail")
    assert "40 × was on this user's screen before, 4 × hidden by a rule" in viewer.page.locator(".state").inner_text()
    viewer.page.unroute("**/v1/feed?*")
    viewer.page.get_by_role("button", name="Look again").click()
    until(lambda: viewer.place() == 1, "the first video is on screen")


def test_a_shared_link_opens_its_video_first(arrive: Callable[..., Viewer]) -> None:
    shared = arrive().comes().feeds[0]["videos"][3]["video_id"]
    viewer = arrive().comes(f"&video={shared}")
    assert viewer.video() == shared
    assert viewer.told("impression", video_id=shared)["context"]["surface"] == "link"


def test_somebody_new_gets_an_id_and_a_feed_of_their_own(arrive: Callable[..., Viewer]) -> None:
    viewer = arrive().comes()
    viewer.page.locator("#who").click()
    assert viewer.page.locator("#who-id").inner_text() == viewer.user
    viewer.page.locator("#start-anew").click()
    until(lambda: viewer.page.wait_for_timeout(20) or len(viewer.feeds) > 1, "a feed for somebody else")
    assert viewer.feeds[-1]["user_id"] not in ("", viewer.user)
    assert viewer.page.evaluate("location.search") == ""


def test_only_a_few_videos_are_alive_however_far_one_scrolls(arrive: Callable[..., Viewer]) -> None:
    viewer = arrive(reduced_motion="reduce").comes()
    for place in range(2, 9):
        viewer.presses("j", place=place)
    assert viewer.page.locator(".slide[data-video]").count() <= 4


def test_nothing_is_wider_than_a_phone(arrive: Callable[..., Viewer]) -> None:
    viewer = arrive(viewport=PHONE, has_touch=True, is_mobile=True).comes()
    for key, panel in ((None, None), ("w", ".why-lead"), ("c", ".comment-form"), ("?", ".key-list")):
        if key:
            viewer.presses(key)
            viewer.sees(panel)
        assert viewer.page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
        wide = "[...document.querySelectorAll('.panel *, .rail *, .words *')].filter((e) => e.getBoundingClientRect().right > innerWidth + 1).length"
        assert viewer.page.evaluate(wide) == 0
        viewer.presses("Escape")


def test_reduced_motion_jumps_and_draws_no_hearts(arrive: Callable[..., Viewer]) -> None:
    viewer = arrive(reduced_motion="reduce").comes()
    viewer.page.mouse.dblclick(720, 400)
    viewer.told("like")
    assert viewer.page.locator(".burst").count() == 0
    viewer.presses("j")
    assert viewer.page.evaluate("document.getElementById('feed').scrollTop / document.getElementById('feed').clientHeight") == 1
    until(lambda: viewer.played_s() > 0, "the next video plays all the same")


def test_without_javascript_the_page_says_what_it_needs(arrive: Callable[..., Viewer]) -> None:
    viewer = arrive(java_script_enabled=False)
    viewer.page.goto(viewer.url)
    assert "Reelrank needs JavaScript" in viewer.page.locator("noscript").inner_text()


def test_the_reference_names_every_path_of_the_api(arrive: Callable[..., Viewer]) -> None:
    viewer = arrive()
    viewer.page.goto(f"{viewer.url}/docs")
    viewer.sees(".operation")
    paths = urllib3.request("GET", f"{viewer.url}/openapi.json").json()["paths"]
    assert set(viewer.page.locator(".operation .path").all_inner_texts()) == set(paths)
