"""A KuaiRand folder written by hand: three videos, two users with a past, and the exposures that a test asks for."""

from pathlib import Path

import polars as pl

from reelrank.simulation.kuairand import KuaiRand

BEGIN_MS = 1_650_812_741_436


def shown(user_id: int, video_id: int, at_s: float, played_s: float = 0.0, date: int = 20220425, **labels: int) -> dict[str, int]:
    return {
        "user_id": user_id, "video_id": video_id, "date": date, "time_ms": BEGIN_MS + round(at_s * 1000), "tab": 1, "is_click": 0, "is_like": 0,
        "is_follow": 0, "is_comment": 0, "is_forward": 0, "is_hate": 0, "long_view": 0, "play_time_ms": round(played_s * 1000), "duration_ms": 9_000, **labels,
    }  # fmt: skip


def write(folder: Path, impressions: list[dict[str, int]], tags: tuple[str | None, ...] = ("39", "3,20", None)) -> KuaiRand:
    videos = {
        "video_id": [0, 1, 2], "author_id": [70, 71, 70], "upload_dt": ["2022-04-10", "2022-04-11", "2022-04-09"],
        "video_duration": [5_000.0, None, 30_000.0], "music_id": [0, 915, 916], "tag": list(tags),
    }  # fmt: skip
    history = {
        "user_id": [5, 6],
        "last_time_ms": [BEGIN_MS - 1_000, BEGIN_MS - 9_000],
        "watch_seq": [[0, 1], [2]],
        "like_seq": [[1], []],
        "long_watch_seq": [[1], []],
    }
    pl.DataFrame(videos).write_parquet(folder / "videos.parquet")
    pl.DataFrame(history, schema_overrides={"like_seq": pl.List(pl.Int64)}).write_parquet(folder / "history.parquet")
    pl.DataFrame(impressions).write_parquet(folder / "impressions.parquet")
    return KuaiRand(folder)
