"""What the page tells of models, in a real Chromium."""

from collections.abc import Callable
from typing import Any

from playwright.sync_api import Browser, Route

from ranking.small_ranker import write_ranker
from serving.running_service import Service
from serving.viewer import Viewer, until

HEADS = {"click": 0.61, "long_view": 0.34, "completion": 0.2, "like": 0.05, "share": 0.0004, "follow": 0.01, "comment": 0.0, "replay": 0.03, "hide": 0.002}
RANKER = {
    "name": "ranker",
    "version": "1750000000000-a",
    "created_at": 1_750_000_000.0,
    "since": 1_750_000_100.0,
    "about": {"auc_click": 0.7, "auc_long_view": 0.7631},
}


def test_why_shows_a_bar_for_each_head_the_seconds_and_the_models_that_spoke(arrive: Callable[..., Viewer]) -> None:
    viewer = arrive()

    def as_a_ranker_tells_it(route: Route) -> None:
        why = route.fetch().json()
        videos = [video | {"predictions": HEADS | {"watch_s": 7.2}} for video in why["videos"]]
        route.fulfill(json=why | {"videos": videos, "models": {"ranker": RANKER["version"]}})

    viewer.page.route("**/v1/why/*", as_a_ranker_tells_it)
    viewer.comes().presses("w")
    viewer.sees(".bar[data-bar=predicted-watch_s]")
    bars = viewer.page.locator(".why-part .bar").all_inner_texts()
    assert [bar.split("\n")[-1] for bar in bars] == ["61 %", "34 %", "20 %", "3.0 %", "5.0 %", "< 0.1 %", "0.0 %", "1.0 %", "0.2 %", "7.2 s"]
    assert "version of" in viewer.page.locator("[data-model=ranker]").inner_text()


def test_a_model_that_begins_to_rank_is_announced_once_and_moves_nothing(arrive: Callable[..., Viewer]) -> None:
    viewer = arrive()
    live: list[dict[str, Any]] = []
    viewer.page.route("**/v1/models", lambda route: route.fulfill(json={"now": 0.0, "ranked_by": "", "models": live}))
    viewer.comes()
    asked = len(viewer.feeds)
    where = "[...document.querySelectorAll('.slide, .topbar, .rail')].map((e) => JSON.stringify(e.getBoundingClientRect()))"
    before = viewer.page.evaluate(where)
    look = "document.dispatchEvent(new Event('visibilitychange'))"
    live.append(RANKER)
    viewer.page.evaluate(look)
    viewer.sees(".news-card")
    told = viewer.page.locator(".news-card").inner_text()
    assert "A new ranker watches with you" in told and "AUC long view 0.763" in told
    assert viewer.page.evaluate(where) == before
    until(lambda: viewer.page.wait_for_timeout(20) or len(viewer.feeds) > asked, "what comes next is chosen anew")
    viewer.page.get_by_role("button", name="Dismiss").click()
    with viewer.page.expect_response("**/v1/models"):
        viewer.page.evaluate(look)
    viewer.page.wait_for_timeout(50)
    assert viewer.page.locator(".news-card").count() == 0
    live[0] = RANKER | {"version": "1740000000000-b", "created_at": 1_740_000_000.0}
    viewer.page.evaluate(look)
    viewer.sees(".news-card")
    assert "An earlier ranker is back" in viewer.page.locator(".news-card").inner_text()


def test_a_ranker_that_is_published_behind_the_page_announces_itself_and_explains_the_next_slate(service: Service, browser: Browser) -> None:
    with browser.new_context() as context:
        viewer = Viewer(context.new_page(), service.server.url, "ana").comes()
        assert viewer.feeds[0]["ranked_by"] == "quality_taste"
        version = service.system.artifacts.publish("ranker", service.system.clock.now(), write_ranker, {"auc_long_view": 0.7631}).manifest.version
        viewer.sees(".news-card")
        assert "AUC long view 0.763" in viewer.page.locator(".news-card").inner_text()
        viewer.page.reload()
        until(lambda: viewer.page.wait_for_timeout(20) or viewer.feeds[-1]["ranked_by"] == "ranker", "a slate by the ranker")
        assert viewer.feeds[-1]["models"]["ranker"] == version
        until(lambda: viewer.place() == 1, "the first video is on screen")
        viewer.presses("w")
        viewer.sees(".bar[data-bar=predicted-watch_s]")
        assert viewer.page.locator(".why-part .bar").count() == 10
        assert viewer.page.locator("[data-model=ranker]").count() == 1
        assert viewer.errors == []
