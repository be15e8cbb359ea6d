"""Tests of content as features: the kernel, and what a ridge predicts."""

import numpy as np

from reelrank.models.content_space import kernel_features, regress, smoother


def test_the_features_of_two_videos_multiply_to_the_kernel_of_their_content() -> None:
    vectors = np.random.default_rng(0).standard_normal((40, 8)).astype(np.float32)
    features = kernel_features([vectors], 20_000, np.random.default_rng(1))
    unit = vectors - vectors.mean(axis=0)
    unit /= np.linalg.norm(unit, axis=1, keepdims=True)
    np.testing.assert_allclose(features @ features.T, np.exp(2 * (unit @ unit.T - 1)), atol=0.05)


def test_a_video_without_content_has_no_features() -> None:
    vectors = np.random.default_rng(2).standard_normal((10, 4)).astype(np.float32)
    vectors[3] = 0
    features = kernel_features([vectors], 16, np.random.default_rng(3))
    assert not features[3].any()
    assert features[4].any()
    assert not kernel_features([np.zeros((3, 2), dtype=np.float32)], 4, np.random.default_rng(0)).any()


def test_the_smoother_predicts_what_the_regression_predicts() -> None:
    rng = np.random.default_rng(4)
    features, targets = rng.standard_normal((60, 5)).astype(np.float32), rng.standard_normal((60, 3)).astype(np.float32)
    root = smoother(features, ridge=2.0)
    np.testing.assert_allclose(root @ (root.T @ targets), features @ regress(features, targets, ridge=2.0), atol=1e-4)
