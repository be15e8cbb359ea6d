"""Shifts: kept beside the tables of videos, found again by whoever has the user's id."""

from pathlib import Path

import numpy as np

from reelrank.features.row_index import NO_KEY
from reelrank.models.shifts import Shifts, user_keys


def test_a_users_key_is_the_same_in_every_process_and_nobody_elses() -> None:
    assert user_keys(["u1", "ü2"]).tolist() == user_keys(["u1"]).tolist() + user_keys(["ü2"]).tolist() == [-3068554161859749486, -545414593411716591]
    assert len(np.unique(user_keys([f"user-{number}" for number in range(20_000)]))) == 20_000
    assert user_keys([]).shape == (0,)


def test_what_is_saved_is_read_again(tmp_path: Path) -> None:
    shifts = Shifts(np.ones((2, 3), dtype=np.float32), np.array([NO_KEY, 7]), np.full((2, 3), 0.5, dtype=np.float32))
    shifts.save(tmp_path)
    assert all(np.array_equal(mine, yours) for mine, yours in zip(Shifts.load(tmp_path), shifts, strict=True))


def test_an_artifact_from_before_users_had_rows_has_none(tmp_path: Path) -> None:
    np.save(tmp_path / "rows-head.npy", np.full((2, 3), 0.25, dtype=np.float32))
    found = Shifts.load(tmp_path)
    assert found.everyone[1].tolist() == [0.25] * 3
    assert found.users.tolist() == [[0.0] * 3]
    assert found.keys.tolist() == [NO_KEY]
