"""Tests of the cold-start study: informative content finds hidden videos, beyond what looks alike; noise does not."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from circles import watched_by
from reelrank.studies.cold import evaluate
from reelrank.studies.pairs import DataError
from simulation.small_log import shown, write
from studies.pair_files import write_split

USERS, VIDEOS, CIRCLES = 600, 1_200, 8


def write_world(folder: Path, shuffled: bool = False) -> Path:
    """Circles whose content shows in some of the columns only: the others are louder and say nothing."""
    rng = np.random.default_rng(0)
    circle = rng.integers(CIRCLES, size=VIDEOS)
    write_split(folder, np.nonzero(watched_by(USERS, circle, rng, often=0.12, stray=0.001)), rng)
    content = np.hstack([np.eye(CIRCLES)[circle], rng.standard_normal((VIDEOS, 32))]).astype(np.float32)
    np.save(folder / "image_features.npy", rng.permutation(content) if shuffled else content)
    return folder


def test_hidden_videos_are_found_by_what_their_content_means(tmp_path: Path) -> None:
    told = evaluate(tiktok=write_world(tmp_path), kuairand=None, seeds=1)
    assert told["dataset"] == "tiktok"
    ours, alike, chance = (told["tiktok"][model] for model in ("reelrank", "content_knn", "random"))
    assert ours["lo"] > alike["hi"] > chance["hi"]
    assert told["tiktok"]["hidden_share"] == 0.1


def test_content_without_meaning_finds_nothing(tmp_path: Path) -> None:
    told = evaluate(tiktok=write_world(tmp_path, shuffled=True), kuairand=None, seeds=1)["tiktok"]
    assert abs(told["reelrank"]["mean"] - 50 / 120) < 0.12  # a hundred and eighty users


def test_a_folder_without_content_is_refused(tmp_path: Path) -> None:
    write_world(tmp_path)
    (tmp_path / "image_features.npy").unlink()
    with pytest.raises(DataError, match="content as"):
        evaluate(tiktok=tmp_path, kuairand=None)


def test_a_log_with_days_is_chosen_on_those_before_the_test(tmp_path: Path) -> None:
    """Forty authors' videos with tags that tell whom they are for; everybody is shown videos at random and watches their own long."""
    rng = np.random.default_rng(1)
    tag = rng.integers(4, size=600)
    users, videos = rng.integers(300, size=24_000), rng.integers(600, size=24_000)
    days = np.sort(rng.integers(20220501, 20220507, size=len(users)))
    seen = np.equal(users % 4, tag[videos]) & (rng.random(len(users)) < 0.8)
    write(tmp_path, [shown(5, 1, at_s=0)])  # for the columns that nobody looks at here
    impressions = pl.read_parquet(tmp_path / "impressions.parquet").select(pl.all().repeat_by(len(users)).explode())
    impressions = impressions.with_columns(user_id=users, video_id=videos, date=days, long_view=seen.astype(np.int64), is_click=seen.astype(np.int64))
    impressions.filter((pl.col("date") >= 20220505) | (pl.col("long_view") == 1)).write_parquet(tmp_path / "impressions.parquet")
    catalogue = {"video_id": np.arange(600), "author_id": rng.integers(40, size=600), "upload_dt": ["2022-04-10"] * 600, "video_type": ["NORMAL"] * 600}
    more = {"video_duration": rng.uniform(5_000, 60_000, 600), "music_id": np.arange(600), "tag": [f"{one},9" for one in tag]}
    pl.DataFrame(catalogue | more).write_parquet(tmp_path / "videos.parquet")
    told = evaluate(tiktok=None, kuairand=tmp_path, seeds=1)
    assert told["dataset"] == "kuairand"
    told = told["kuairand"]
    assert told["reelrank"]["lo"] > told["random"]["hi"]
    assert told["reelrank"]["mean"] > 0.9
    assert told["ahead_of"]["random"]["lo"] > 0
