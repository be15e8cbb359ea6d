"""Files of pairs, as data sets for recommenders come."""

from pathlib import Path

import numpy as np
import polars as pl


def write_split(folder: Path, pairs: tuple[np.ndarray, ...], rng: np.random.Generator) -> None:
    """Writes seven tenths of the pairs (users, videos) as train.parquet, one as validation.parquet and two as test.parquet."""
    users, videos = pairs
    parts = rng.choice(3, size=len(users), p=[0.7, 0.1, 0.2])
    for part, name in enumerate(("train", "validation", "test")):
        pl.DataFrame({"user": users[parts == part], "video": videos[parts == part]}).write_parquet(folder / f"{name}.parquet")
