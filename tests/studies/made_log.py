"""A KuaiRand folder with a structure that is known: two circles of people, each with videos of its own, over some days."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl

from reelrank.features.tokens import Deeds, tokens_of
from reelrank.simulation.kuairand import Exposures
from reelrank.training.examples import TrainingSet, labels_of
from simulation.small_log import BEGIN_MS, shown
from training import bare

DAYS = (20220425, 20220426, 20220427, 20220428)
VIDEOS, USERS = 24, 40  # of each the even ones belong together, and the odd ones
_DAY_S = 86_400.0


def circles(folder: Path, seed: int = 0) -> Path:
    """Everybody is shown something of everything, more of their own; who belongs to a video watches it long. `users.parquet` is there, too."""
    rng = np.random.default_rng(seed)
    impressions = [_shown(user, video, day, rng) for day in range(len(DAYS)) for user in range(USERS) for video in _chosen(user, rng)]
    histories = [[int(video) for video in rng.choice(np.arange(user % 2, VIDEOS, 2), 6, replace=False)] for user in range(USERS)]
    nobody = np.zeros(USERS, dtype=np.int64)
    pl.DataFrame(impressions).write_parquet(folder / "impressions.parquet")
    pl.DataFrame(
        {
            "user_id": range(USERS), "history_len": nobody + 6, "last_time_ms": nobody + BEGIN_MS - 1_000, "watch_seq": histories,
            "like_seq": [[] for _ in histories], "long_watch_seq": [watched[:4] for watched in histories],
        },
        schema_overrides={"like_seq": pl.List(pl.Int64)},
    ).write_parquet(folder / "history.parquet")  # fmt: skip
    videos = np.arange(VIDEOS)
    pl.DataFrame(
        {
            "video_id": videos, "author_id": videos, "video_type": ["NORMAL"] * VIDEOS, "upload_dt": ["2022-04-10"] * VIDEOS,
            "upload_type": ["LongImport"] * VIDEOS, "video_duration": videos * 0.0 + 9_000, "server_width": videos * 0.0 + 720,
            "server_height": videos * 0.0 + 1_280, "music_id": videos // 4, "music_type": videos * 0.0, "tag": ["39"] * VIDEOS,
        }
    ).write_parquet(folder / "videos.parquet")  # fmt: skip
    numbers = ["is_lowactive_period", "is_live_streamer", "is_video_author", "follow_user_num", "fans_user_num", "friend_user_num", "register_days"]
    numbers += [f"onehot_feat{number}" for number in range(18)]
    profile = {"user_id": range(USERS), "user_active_degree": ["full_active"] * USERS} | dict.fromkeys(numbers, nobody)
    pl.DataFrame(profile).write_parquet(folder / "users.parquet")
    return folder


def _chosen(user: int, rng: np.random.Generator) -> list[int]:
    chance = np.where(np.arange(VIDEOS) % 2 == user % 2, 3.0, 1.0)
    return rng.choice(VIDEOS, 4, replace=False, p=chance / chance.sum()).tolist()


def _shown(user: int, video: int, day: int, rng: np.random.Generator) -> dict[str, int]:
    mine = user % 2 == video % 2
    at_s = day * _DAY_S + float(rng.uniform(0, 50_000))
    return shown(user, video, at_s, played_s=9.0 if mine else 0.5, date=DAYS[day], is_click=int(mine), long_view=int(mine), is_like=int(mine and video < 4))


def training_set(exposures: Exposures, features: np.ndarray | None = None) -> TrainingSet:
    """The exposures with their outcomes and the histories that they make; without `features` nothing else is known."""
    count = len(exposures)
    user_ids, user = np.unique(exposures.user_ids, return_inverse=True)
    video, watched_s = exposures.video_ids.astype(np.int64), (exposures.ended_ms - exposures.shown_ms) / 1000
    nothing, nobody = np.zeros(count, dtype=np.int64), np.empty(0, dtype=np.int64)
    deeds = Deeds(
        len(user_ids), user, video, exposures.ended_ms / 1000, watched_s, nothing, ~exposures.clicked, exposures.long_view, nothing,
        nobody, nobody, nobody.astype(np.float64), nobody,
    )  # fmt: skip
    examples = bare.examples(
        user,
        video,
        exposures.shown_ms / 1000,
        known_at=exposures.ended_ms / 1000,
        labels=labels_of(count, click=exposures.clicked, long_view=exposures.long_view, like=exposures.liked),
        watched_s=watched_s.astype(np.float32),
    )
    examples = examples if features is None else replace(examples, features=features)
    every, one_tag = np.arange(VIDEOS), np.zeros((VIDEOS, 1), dtype=np.int64)
    traits = bare.traits(VIDEOS, author=every, sound=every // 4, tags=one_tag, duration_s=np.full(VIDEOS, 9.0))
    return TrainingSet(examples, tokens_of(deeds, traits.duration_s), traits, user_ids)
