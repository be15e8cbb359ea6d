"""Daily counts: what is known of an exposure is what had happened until the day before it."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from reelrank.simulation.kuairand import KuaiRand
from reelrank.studies.peer_features import Features, daily_features, until_yesterday
from studies.made_log import DAYS


@pytest.fixture(scope="module")
def features(log_folder: Path) -> Features:
    return daily_features(log_folder)


def test_sums_end_with_the_day_before():
    keys, day = np.array([7, 7, 3, 7, 7]), np.array([0, 0, 0, 1, 3])
    ever, yesterday = until_yesterday(keys, day, np.array([[1.0], [2.0], [4.0], [8.0], [16.0]]))
    assert ever[:, 0].tolist() == [0, 0, 0, 3, 11]
    assert yesterday[:, 0].tolist() == [0, 0, 0, 3, 0]


def test_there_is_one_value_for_each_exposure_and_all_are_finite(log_folder: Path, features: Features):
    exposures = KuaiRand(log_folder).exposures()
    assert len(features) > 50
    assert all(values.shape == (len(exposures),) and np.isfinite(values).all() for values in features.values())


def test_what_happens_on_a_day_changes_nothing_that_is_known_on_it(log_folder: Path, features: Features, tmp_path: Path):
    for path in log_folder.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    log = pl.read_parquet(log_folder / "impressions.parquet")
    last = pl.col("date") == DAYS[-1]
    changed = log.with_columns(
        long_view=pl.when(last).then(1 - pl.col("long_view")).otherwise("long_view"), play_time_ms=pl.when(last).then(1).otherwise("play_time_ms")
    )
    changed.write_parquet(tmp_path / "impressions.parquet")
    again = daily_features(tmp_path)
    assert all(np.array_equal(values, again[name]) for name, values in features.items())


def test_a_video_is_more_like_the_videos_of_its_own_circle(log_folder: Path, features: Features):
    exposures = KuaiRand(log_folder).exposures()
    later = exposures.days > DAYS[0]
    for name in ("like_watched", "like_latest", "like_nearest", "like_long_viewed"):
        mine, others = features[name][later & exposures.long_view].mean(), features[name][later & ~exposures.long_view].mean()
        assert mine > others, name
