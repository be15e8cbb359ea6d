"""What a viewer can say of their feed, on the page in a real Chromium."""

from collections.abc import Callable
from typing import Any

from playwright.sync_api import Page

from serving.viewer import PHONE, Viewer, until


def opens(viewer: Viewer, sheet: str) -> Page:
    """A sheet from the top of the page, or of the video on screen."""
    page = viewer.page
    if sheet == "tune":
        page.locator("#who").click()
        page.locator("#tune").click()
        viewer.sees(".panel-tune #reset-feed")
    else:
        page.locator(".slide:not([inert]) [data-action='more']").click()
        viewer.sees(".panel-more")
    return page


def asked_with(viewer: Viewer, **wanted: Any) -> None:
    """A feed that is asked for from here on carries these parameters."""
    urls: list[str] = []
    viewer.page.on("request", lambda request: urls.append(request.url))
    until(
        lambda: viewer.page.wait_for_timeout(1) or any("/v1/feed?" in url and all(f"{name}={value}" in url for name, value in wanted.items()) for url in urls),
        f"a feed with {wanted}",
    )


def test_more_and_less_of_a_topic_are_said_in_the_menu_of_a_video_and_can_be_undone(arrive: Callable[..., Viewer]) -> None:
    viewer = arrive(viewport=PHONE).comes()
    page = opens(viewer, "more")
    topic = page.locator("[data-wish='less']").first.get_attribute("data-topic")
    page.locator("[data-wish='less']").first.click()
    assert viewer.told("topic")["topic"] == topic
    viewer.sees(f".toast:has-text('Less #{topic}')")
    page.locator(".toast button").click()
    until(lambda: page.wait_for_timeout(1) or [event["wish"] for event in viewer.posted if event["type"] == "topic"] == ["less", "usual"], "it is undone")


def test_a_sound_is_blocked_from_the_menu_and_the_feed_goes_on(arrive: Callable[..., Viewer]) -> None:
    viewer = arrive().comes()
    opens(viewer, "more").locator("[data-more='block-sound']").click()
    told = viewer.told("block")
    assert (told["what"], bool(told["name"]), bool(told["request_id"])) == ("sound", True, True)
    until(lambda: viewer.place() == 2, "the next video is on screen")


def test_a_blocked_word_stands_in_the_sheet_until_it_is_taken_back(arrive: Callable[..., Viewer]) -> None:
    viewer = arrive().comes()
    page = opens(viewer, "tune")
    page.fill("#block-word", "crypto")
    page.keyboard.press("Enter")
    assert viewer.told("block")["name"] == "crypto"
    viewer.sees("[data-chip='“crypto”']")
    page.keyboard.press("Escape")

    def folded() -> bool:
        opens(viewer, "tune")
        found = page.locator("[data-chip='“crypto”']").count() == 1
        if not found:
            page.keyboard.press("Escape")
        return found

    until(folded, "the service knows the word")
    page.locator("[data-chip='“crypto”'] button").click()
    assert viewer.told("unblock")["name"] == "crypto"
    assert page.locator("[data-chip]").count() == 0


def test_a_feed_that_is_not_personal_is_asked_for_and_remembered(arrive: Callable[..., Viewer]) -> None:
    viewer = arrive().comes()
    opens(viewer, "tune").locator("#personalized").uncheck()
    asked_with(viewer, personalized="false")
    viewer.comes()
    assert opens(viewer, "tune").locator("#personalized").is_checked() is False


def test_a_new_beginning_is_asked_twice(arrive: Callable[..., Viewer]) -> None:
    viewer = arrive().comes()
    page = opens(viewer, "tune")
    page.locator("#reset-feed").click()
    assert page.locator("#reset-feed").inner_text() == "Yes, forget what I watched and liked"
    assert not [event for event in viewer.posted if event["type"] == "reset"]
    page.locator("#reset-feed").click()
    assert viewer.told("reset")["user_id"] == viewer.user
