"""KuaiRand as our events: a small log written by hand, and the real one where it is at hand."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from reelrank.domain.event import Follow, Impression, Like, Served, Skip, Watch
from reelrank.simulation.kuairand import POLICY, DataError, KuaiRand, events_in_order, moments, outcomes_at
from simulation.small_log import BEGIN_MS, shown, write


def test_an_exposure_is_served_then_shown_then_left_when_its_watch_is_over(tmp_path: Path) -> None:
    data = write(tmp_path, [shown(5, 1, at_s=10, played_s=7.5, is_click=1, is_like=1, is_follow=1)])
    served, impression, watch, like, follow = events_in_order(data.exposures())
    assert isinstance(served, Served)
    assert (served.policy, served.videos[0].video_id, served.videos[0].propensity) == (POLICY, "1", None)
    assert isinstance(impression, Impression)
    assert impression.occurred_at == served.occurred_at == (BEGIN_MS + 10_000) / 1000
    assert isinstance(watch, Watch)
    assert watch.watched_s == 7.5
    assert isinstance(like, Like)
    assert isinstance(follow, Follow)
    assert follow.author_id == "71"
    assert {event.occurred_at for event in (watch, like, follow)} == {(BEGIN_MS + 17_500) / 1000}


def test_what_was_not_clicked_was_skipped(tmp_path: Path) -> None:
    data = write(tmp_path, [shown(5, 1, at_s=0, played_s=1.2)])
    (skip,) = outcomes_at(data.exposures(), 0)
    assert isinstance(skip, Skip)
    assert skip.watched_s == 1.2


def test_events_come_in_the_order_in_which_they_occurred(tmp_path: Path) -> None:
    data = write(tmp_path, [shown(5, 0, at_s=0, played_s=60, is_click=1), shown(6, 1, at_s=5, played_s=2), shown(5, 2, at_s=5)])
    events = list(events_in_order(data.exposures()))
    assert [event.occurred_at for event in events] == sorted(event.occurred_at for event in events)
    assert [event.event_id for event in events][-1] == "row-0-left"
    assert len(events) == data.exposures().events


def test_an_exact_duplicate_is_an_exposure_of_its_own(tmp_path: Path) -> None:
    data = write(tmp_path, [shown(5, 1, at_s=0), shown(5, 1, at_s=0)])
    ids = [event.event_id for event in events_in_order(data.exposures())]
    assert len(ids) == len(set(ids)) == 6


def test_the_ids_of_events_do_not_depend_on_the_window(tmp_path: Path) -> None:
    data = write(tmp_path, [shown(5, 1, at_s=0), shown(6, 2, at_s=90_000, date=20220426)])
    everything = [event.event_id for event in events_in_order(data.exposures())]
    assert [event.event_id for event in events_in_order(data.exposures(from_day=20220426))] == everything[3:]
    assert [event.event_id for event in events_in_order(data.exposures(until_day=20220425))] == everything[:3]
    assert [event.event_id for event in events_in_order(data.exposures(limit=1))] == everything[:3]
    assert [event.event_id for event in events_in_order(data.exposures(last=1))] == everything[3:]


def test_what_is_shown_and_left_in_one_moment_is_shown_first(tmp_path: Path) -> None:
    order = moments(write(tmp_path, [shown(5, 1, at_s=0), shown(6, 1, at_s=0)]).exposures())
    assert list(zip(order.places.tolist(), order.ended.tolist(), strict=True)) == [(0, False), (0, True), (1, False), (1, True)]


def test_a_video_keeps_author_tags_sound_and_the_day_of_its_upload_in_beijing(tmp_path: Path) -> None:
    first, second, third = write(tmp_path, [shown(5, 1, at_s=0)]).videos()
    assert (first.video_id, first.author_id, first.tags, first.sound_id) == ("0", "70", ("tag-39",), "")
    assert first.uploaded_at == 1_649_520_000  # 2022-04-10 00:00 in Beijing
    assert (second.tags, second.sound_id) == (("tag-3", "tag-20"), "sound-915")
    assert third.tags == ()


def test_a_missing_duration_comes_from_the_log_and_else_from_the_other_videos(tmp_path: Path) -> None:
    assert [video.duration_s for video in write(tmp_path, [shown(5, 1, at_s=0)]).videos()] == [5, 9, 30]
    assert [video.duration_s for video in write(tmp_path, [shown(5, 1, at_s=0, duration_ms=0)]).videos()] == [5, 17.5, 30]


def test_a_history_is_one_event_just_before_the_log_begins(tmp_path: Path) -> None:
    older, newer = write(tmp_path, [shown(5, 1, at_s=0)]).histories()
    assert (older.user_id, older.watched, older.long_viewed, older.liked) == ("6", ("2",), (), ())
    assert (newer.user_id, newer.watched, newer.long_viewed, newer.liked) == ("5", ("0", "1"), ("1",), ("1",))
    assert newer.occurred_at == (BEGIN_MS - 1_000) / 1000


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no file .*videos\.parquet"):
        KuaiRand(tmp_path)


def test_a_missing_column_is_named(tmp_path: Path) -> None:
    write(tmp_path, [shown(5, 1, at_s=0)])
    pl.read_parquet(tmp_path / "videos.parquet").drop("tag").write_parquet(tmp_path / "videos.parquet")
    with pytest.raises(DataError, match=r"videos\.parquet has no column tag; it has: video_id"):
        KuaiRand(tmp_path)


@pytest.mark.parametrize("name", ["impressions", "videos"])
def test_a_file_without_rows_or_that_is_no_parquet_is_named(name: str, tmp_path: Path) -> None:
    write(tmp_path, [shown(5, 1, at_s=0)])
    path = tmp_path / f"{name}.parquet"
    pl.read_parquet(path).clear().write_parquet(path)
    with pytest.raises(DataError, match=rf"{name}\.parquet has no rows; give the whole data set"):
        KuaiRand(tmp_path)
    path.write_bytes(b"user_id,video_id\n5,1\n")
    with pytest.raises(DataError, match=rf"{name}\.parquet can't be read as Parquet"):
        KuaiRand(tmp_path)


def test_a_log_says_its_first_and_its_last_day(tmp_path: Path) -> None:
    assert write(tmp_path, [shown(5, 1, at_s=0, date=20220427), shown(5, 1, at_s=9, date=20220425)]).days() == (20220425, 20220427)


def test_a_video_that_is_shown_and_not_known_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="shows video 77"):
        write(tmp_path, [shown(5, 77, at_s=0)]).exposures()


def test_the_real_log_is_read_whole(real_data: Path) -> None:
    data = KuaiRand(real_data / "kuairand-pure")
    exposures = data.exposures()
    assert (len(exposures), len(data.videos()), len(data.histories())) == (198_895, 7_583, 26_469)
    assert exposures.clicked.mean() == pytest.approx(0.44, abs=0.01)
    assert exposures.long_view.mean() == pytest.approx(0.31, abs=0.01)
    assert (np.diff(exposures.shown_ms) >= 0).all()
    assert {20220425, 20220506} <= set(exposures.days.tolist())
