"""Tests of the towers as functions: no answer leaks in, unknown videos have a place, buckets say what they should."""

import numpy as np
import torch

from reelrank.models.two_tower import Histories, TwoTower, TwoTowerConfig, VideoFeatures, completion_bucket, gap_bucket

SMALL = TwoTowerConfig(width=16, id_dropout=0.0)


def features(videos: int, seed: int = 0) -> VideoFeatures:
    rng = np.random.default_rng(seed)
    tags = rng.integers(-1, 6, size=(videos, 3))
    return VideoFeatures(rng.integers(-1, 4, size=videos), rng.integers(-1, 4, size=videos), tags, rng.standard_normal((videos, 5)).astype(np.float32))


def random_histories(videos: int, batch: int = 4, length: int = 9) -> Histories:
    torch.manual_seed(1)
    video = torch.randint(videos, (batch, length))
    return Histories(video, torch.randint(128, (batch, length), dtype=torch.uint8), torch.rand(batch, length) * 2, torch.rand(batch, length) * 1e4)


def test_the_prediction_at_a_token_does_not_know_the_tokens_after_it() -> None:
    towers = TwoTower(features(30), SMALL).eval()
    one, other = random_histories(30), random_histories(30)
    changed = [getattr(other, name).clone() for name in ("video", "actions", "completion", "gap_s")]
    for column in changed:
        column[:, 5:] = column[:, 5:].flip(0)
    with torch.inference_mode():
        vectors = towers.video_tower(torch.arange(30))
        before = towers.users(vectors, one.video, one)
        after = towers.users(vectors, changed[0], Histories(*changed))
    torch.testing.assert_close(before[:, :5], after[:, :5])
    assert not torch.allclose(before[:, 5:], after[:, 5:])


def test_everything_that_is_known_of_a_token_is_read() -> None:
    towers = TwoTower(features(30), SMALL).eval()
    told = random_histories(30)
    with torch.inference_mode():
        vectors = towers.video_tower(torch.arange(30))
        users = towers.users(vectors, told.video, told)
        for name, other in (("actions", told.actions ^ 1), ("completion", torch.full_like(told.completion, torch.nan)), ("gap_s", told.gap_s * 100)):
            changed = Histories(**{part: getattr(told, part) for part in ("video", "actions", "completion", "gap_s")} | {name: other})
            assert not torch.allclose(users, towers.users(vectors, told.video, changed)), name


def test_a_video_that_nobody_has_watched_lies_where_its_content_is() -> None:
    towers = TwoTower(features(30), SMALL).eval()
    old, arrived = features(30), features(30)
    more = VideoFeatures(*(np.concatenate([getattr(old, name), getattr(arrived, name)[:1]]) for name in ("author", "sound", "tags", "content")))
    towers.video_tower.describe(more, np.arange(31) < 30)
    with torch.inference_mode():
        vectors = towers.video_tower(torch.arange(31))
        own_id = towers.video_tower.ids.weight[0]
    torch.testing.assert_close(vectors[30], vectors[0] - own_id)


def test_what_was_never_trained_on_is_as_good_as_unknown() -> None:
    towers = TwoTower(features(30), SMALL).eval()
    known, strange = features(1), features(1)
    towers.video_tower.describe(VideoFeatures(np.array([99]), strange.sound, strange.tags, strange.content), np.array([True]))
    with torch.inference_mode():
        stranger = towers.video_tower(torch.tensor([0]))
        towers.video_tower.describe(VideoFeatures(np.array([-1]), known.sound, known.tags, known.content), np.array([True]))
        torch.testing.assert_close(stranger, towers.video_tower(torch.tensor([0])))


def test_features_that_lie_in_a_file_are_read_and_never_written() -> None:
    told = features(30)
    for name in ("author", "sound", "tags", "content"):
        getattr(told, name).setflags(write=False)
    towers = TwoTower(told, SMALL)
    assert towers.video_tower(torch.arange(30)).shape == (30, 16)


def test_with_a_temperature_vectors_are_compared_by_their_cosine() -> None:
    towers = TwoTower(features(30), TwoTowerConfig(width=16, temperature=0.1))
    products = towers.aligned(torch.randn(5, 16)).pow(2).sum(dim=1)
    torch.testing.assert_close(products, torch.full((5,), 10.0))


def test_buckets_tell_the_unknown_from_the_small() -> None:
    completion = torch.tensor([torch.nan, 0.0, 0.05, 0.95, 1.0, 1.99, 2.0, 3.0])
    assert completion_bucket(completion).tolist() == [0, 1, 1, 10, 11, 11, 12, 12]
    gaps = torch.tensor([torch.nan, 0.0, 0.9, 1.0, 2.0, 3600.0, 1e12, torch.inf])
    assert gap_bucket(gaps).tolist() == [0, 1, 1, 2, 3, 13, 25, 25]
