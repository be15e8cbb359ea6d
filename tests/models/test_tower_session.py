"""The towers as they serve: what torch says, without torch."""

from pathlib import Path

import msgspec
import numpy as np
import pytest
import torch

from reelrank.features.tokens import Tokens
from reelrank.models.ranker_inputs import VideoTraits
from reelrank.models.sessions import SessionError
from reelrank.models.tower_session import TowerSession
from reelrank.models.two_tower import TwoTower, TwoTowerConfig, VideoFeatures
from reelrank.training.export_two_tower import export
from reelrank.training.train_two_tower import user_vectors, video_vectors

VIDEOS, WINDOW = 30, 6


def features(rng: np.random.Generator) -> VideoFeatures:
    content = rng.normal(size=(VIDEOS, 3)).astype(np.float32)
    return VideoFeatures(rng.integers(0, 5, VIDEOS), rng.integers(-1, 4, VIDEOS), rng.integers(-1, 6, (VIDEOS, 3)), content)


def traits(some: VideoFeatures) -> VideoTraits:
    return VideoTraits(some.author, some.sound, some.tags, np.full(len(some), 10.0), some.content)


def histories(rng: np.random.Generator, *sizes: int) -> Tokens:
    start = np.concatenate([[0], np.cumsum(sizes)])
    count = int(start[-1])
    at = np.sort(rng.uniform(0.0, 1e6, count))
    at[start[:-1][np.diff(start) > 0]] = -np.inf  # the first of each came before anybody took the time
    completion = rng.uniform(0.0, 3.0, count).astype(np.float32)
    completion[::3] = np.nan
    actions = rng.integers(0, 128, count).astype(np.uint8)
    return Tokens(start, rng.integers(0, VIDEOS, count), actions, completion, at, np.zeros(count, dtype=np.int64))


@pytest.mark.parametrize("temperature", [0.05, 0.0])
def test_users_and_videos_have_the_vectors_that_the_network_gives_them(tmp_path: Path, temperature: float) -> None:
    rng = np.random.default_rng(7)
    described, tokens = features(rng), histories(rng, 1, 4, 20)
    torch.manual_seed(7)
    towers = TwoTower(described, TwoTowerConfig(width=16, layers=2, temperature=temperature)).eval()
    towers.video_tower.describe(described, rng.random(VIDEOS) < 0.7)
    export(towers, WINDOW, tmp_path)
    session = TowerSession(tmp_path)
    np.testing.assert_allclose(session.videos(np.arange(VIDEOS), traits(described)), video_vectors(towers), atol=1e-4)
    expected = user_vectors(towers, tokens, np.arange(3), tokens.start[1:], WINDOW)
    for user in range(3):
        found = session.user(tokens.of(np.array([user])), traits(described))
        assert found is not None
        np.testing.assert_allclose(found, expected[user], atol=1e-4)


def test_somebody_without_a_history_is_nowhere(tmp_path: Path) -> None:
    rng = np.random.default_rng(7)
    described = features(rng)
    export(TwoTower(described, TwoTowerConfig(width=8, layers=1)).eval(), WINDOW, tmp_path)
    assert TowerSession(tmp_path).user(histories(rng, 0), traits(described)) is None


def test_a_video_that_came_later_has_a_vector_by_what_it_shares_with_others(tmp_path: Path) -> None:
    rng = np.random.default_rng(7)
    described = features(rng)
    export(TwoTower(described, TwoTowerConfig(width=8, layers=1)).eval(), WINDOW, tmp_path)
    session = TowerSession(tmp_path)
    later = VideoFeatures(*(np.concatenate([column, column[:1]]) for column in (described.author, described.sound, described.tags, described.content)))
    unknown = VideoFeatures(np.append(described.author, 99), np.append(described.sound, -1), np.vstack([described.tags, [[-1, -1, 77]]]), later.content * 0)
    new = np.array([VIDEOS])
    assert np.isfinite(session.videos(new, traits(later))).all() and np.abs(session.videos(new, traits(later))).max() > 0
    assert session.videos(new, traits(unknown)).tolist() == [[0.0] * 8]


def test_towers_of_another_format_are_refused(tmp_path: Path) -> None:
    export(TwoTower(features(np.random.default_rng(7)), TwoTowerConfig(width=8, layers=1)).eval(), WINDOW, tmp_path)
    told = msgspec.json.decode((tmp_path / "two_tower.json").read_bytes())
    (tmp_path / "two_tower.json").write_bytes(msgspec.json.encode(told | {"format": 0}))
    with pytest.raises(SessionError, match="train them again"):
        TowerSession(tmp_path)
