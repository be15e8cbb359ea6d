"""Nearest: towers whose answer is known propose what is like the last watch, the newest videos too, and nothing that was seen or removed."""

from collections.abc import Callable
from pathlib import Path

from candidates.small_app import DAY, START, SmallApp
from models.small_towers import planted_towers
from reelrank.candidates.eligible import Eligible
from reelrank.candidates.nearest import TWO_TOWER, NearestSource, two_tower
from reelrank.training.export_two_tower import export

WINDOW = 8


def source_of(app: SmallApp) -> NearestSource:
    return NearestSource(two_tower(app.artifacts, app.columns), app.columns, Eligible(app.columns, app.clock))


def published(app: SmallApp, write: Callable[[Path], None], made_at: float = START) -> NearestSource:
    app.artifacts.publish(TWO_TOWER, made_at, write)
    return source_of(app)


def kinds(count: int) -> list[int]:
    return [row % 2 for row in range(count)]


def towers(folder: Path) -> None:
    export(planted_towers(kinds(12)), WINDOW, folder)


def test_what_lies_near_the_last_watch_is_proposed_best_first_and_what_was_seen_is_not(app: SmallApp):
    videos = [f"v{row}" for row in range(12)]
    app.publish(*videos)
    app.watches("u", "v1", "v2", "v4", ago_s=DAY)
    source = published(app, towers)
    assert set(app.proposed(source, "u", quota=4)) == {"v0", "v6", "v8", "v10"}
    everything = app.proposed(source, "u", quota=50)
    assert set(everything) == set(videos) - {"v1", "v2", "v4"}
    assert source.propose(app.query("u"), 4).models.keys() == {TWO_TOWER}


def test_without_towers_or_without_a_history_nothing_is_proposed(app: SmallApp):
    app.publish(*[f"v{row}" for row in range(12)])
    source = source_of(app)
    app.watches("u", "v1", ago_s=DAY)
    assert app.proposed(source, "u") == []
    app.artifacts.publish(TWO_TOWER, START, towers)
    source.refresh()
    assert app.proposed(source, "u") != []
    assert app.proposed(source, "nobody") == []


def test_a_video_that_nobody_has_watched_has_its_place_by_its_author_and_a_removed_one_has_none(app: SmallApp):
    for row in range(12):
        app.publish(f"v{row}", author=f"author {row % 2}")
    app.watches("u", "v2", ago_s=DAY)
    source = published(app, lambda folder: export(planted_towers(kinds(12), authors=kinds(12)), WINDOW, folder))
    app.publish("new and even", author="author 0", age_s=0.0)
    app.publish("new and odd", author="author 1", age_s=0.0)
    app.remove("v0")
    nearest = app.proposed(source, "u", quota=5)
    assert set(nearest) == {"v4", "v6", "v8", "v10", "new and even"}
    assert "v0" not in app.proposed(source, "u", quota=50)


def test_another_version_takes_over_whole(app: SmallApp):
    app.publish(*[f"v{row}" for row in range(12)])
    app.watches("u", "v2", ago_s=DAY)
    source = published(app, towers)
    before = source.propose(app.query("u"), 5).models
    app.artifacts.publish(TWO_TOWER, START + 1, lambda folder: export(planted_towers([row // 6 for row in range(12)]), WINDOW, folder))
    source.refresh()
    assert set(app.proposed(source, "u", quota=5)) == {"v0", "v1", "v3", "v4", "v5"}
    assert source.propose(app.query("u"), 5).models != before
