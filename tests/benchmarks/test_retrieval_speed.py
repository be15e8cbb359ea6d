"""Searching vectors is measured on towers that were trained a moment ago, and new videos are looked for in a running system."""

import numpy as np
import pytest

from reelrank.benchmarks import retrieval_speed
from reelrank.benchmarks.trained_towers import Resampling, intrinsic_dimension, relative_contrast


def test_what_is_measured_is_told_with_what_it_was_measured_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("REELRANK_DATA", raising=False)
    monkeypatch.setattr(retrieval_speed, "PEERS", ("usearch", "no such index"))
    told = retrieval_speed.measure(vectors=3_000, queries=20, users=150, epochs=1, publications=2)
    assert told["recall_at_100"] >= 0.95
    assert 0 < told["ms"]["p50"] <= told["ms"]["p99"]
    assert 0 < told["new_video_ms"]["p95"] < 20_000
    assert "left_out" in told["peers"]["no such index"]
    assert "left_out" in told["peers"]["usearch"] or told["peers"]["usearch"]["recall_at_100"] >= 0.9
    assert told["data"] == "generated" and told["relative_contrast"].keys() == {"learned", "as_many_resampled", "resampled"}


def test_resampled_vectors_lie_as_the_learned_ones_do() -> None:
    rng = np.random.default_rng(0)
    flat = rng.normal(size=(2_000, 4)) @ rng.normal(size=(4, 16))  # few directions of many
    learned = (flat / np.linalg.norm(flat, axis=1, keepdims=True)).astype(np.float32)
    resampling = Resampling.of(learned)
    made = resampling.more(learned, 2_000, rng)
    np.testing.assert_allclose(np.linalg.norm(made, axis=1), 1, rtol=1e-5)
    assert intrinsic_dimension(made) == pytest.approx(intrinsic_dimension(learned), abs=1.5)
    in_any_direction = learned + rng.normal(size=learned.shape).astype(np.float32) * resampling.distance / 4
    assert intrinsic_dimension(in_any_direction) > intrinsic_dimension(made) + 1
    assert relative_contrast(learned[:100], learned[:50]) > 1
