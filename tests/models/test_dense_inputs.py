"""Dense inputs by rank: any stretching of a feature says the same."""

import numpy as np
import pytest

from reelrank.models.dense_inputs import fit


def test_a_feature_becomes_normal_whatever_its_scale() -> None:
    drawn = np.random.default_rng(0).normal(size=(5000, 1))
    features = np.concatenate([drawn, np.exp(5 * drawn), drawn**3], axis=1).astype(np.float32)
    scaled = fit(features).transform(features)
    assert scaled.mean(axis=0) == pytest.approx(0, abs=0.01)
    assert scaled.std(axis=0) == pytest.approx(1, abs=0.02)
    assert np.abs(scaled[:, 1:] - scaled[:, :1]).mean() < 0.01


def test_order_is_kept_and_what_is_further_out_than_ever_is_the_end() -> None:
    inputs = fit(np.array([[1.0], [2.0], [2.0], [5.0]], dtype=np.float32))
    scaled = inputs.transform(np.array([[-9.0], [1.0], [2.0], [3.0], [5.0], [99.0]], dtype=np.float32))[:, 0]
    assert scaled[0] == scaled[1] < scaled[2] < scaled[3] < scaled[4] == scaled[5]


def test_what_is_constant_or_unknown_says_nothing() -> None:
    features = np.stack([np.full(10, 7.0), np.full(10, np.nan), np.arange(10.0)], axis=1).astype(np.float32)
    scaled = fit(features).transform(np.array([[7.0, 3.0, np.nan]], dtype=np.float32))
    assert scaled == pytest.approx(np.zeros((1, 3)), abs=1e-5)


def test_what_is_looked_up_is_what_interpolation_says() -> None:
    rng = np.random.default_rng(0)
    features = np.stack([rng.normal(size=900), np.exp(4 * rng.normal(size=900)), rng.integers(0, 3, 900), np.full(900, 7.0)], axis=1).astype(np.float32)
    asked = np.concatenate([features[:200], rng.normal(size=(100, 4)) * 50, [[np.inf] * 4, [-np.inf] * 4]]).astype(np.float32)
    for quantiles in (257, 9, 4):
        inputs = fit(features, quantiles)
        told = [np.interp(asked[:, column], inputs.values[column], inputs.scores[column]) for column in range(4)]
        assert inputs.transform(asked) == pytest.approx(np.stack(told, axis=1), abs=1e-5)
