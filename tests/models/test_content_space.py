"""Tests of content as features: the kernel, and what a ridge predicts."""

import numpy as np
from scipy.sparse import csr_array

from reelrank.models.content_space import code_features, kernel_features, one_hot, regress, smoother


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


def test_the_smoother_predicts_what_a_regression_on_the_known_videos_predicts() -> None:
    rng = np.random.default_rng(4)
    features, targets = rng.standard_normal((60, 5)).astype(np.float32), rng.standard_normal((60, 3)).astype(np.float32)
    known = np.arange(60) < 40
    predicts, learns = smoother(features, 2.0, known)
    np.testing.assert_allclose(predicts @ (learns.T @ targets), features @ regress(features[known], targets[known], ridge=2.0), atol=1e-4)


def test_codes_that_nobody_shares_say_nothing_and_rare_ones_say_more() -> None:
    authors = csr_array(np.array([[1, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1], [0, 0, 1]]))
    tags = csr_array(np.array([[1], [1], [1], [0], [1]]))
    features = code_features([authors, tags], most=10).toarray()
    assert features.shape == (5, 3)
    assert features[0, 0] > features[0, 2] > 0
    np.testing.assert_allclose(np.linalg.norm(features, axis=1), 1, rtol=1e-6)
    assert code_features([authors, tags], most=1).shape == (5, 1)


def test_codes_become_columns_and_missing_ones_none() -> None:
    assert one_hot(np.array([2, -1, 0])).toarray().tolist() == [[0, 0, 1], [0, 0, 0], [1, 0, 0]]
    assert one_hot(np.array([[1, 0], [1, -1]])).toarray().tolist() == [[1, 1], [0, 1]]
