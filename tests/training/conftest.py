"""A small lake, closed after the test."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from training.told_lake import ToldLake


@pytest.fixture
def told(tmp_path: Path) -> Iterator[ToldLake]:
    made = ToldLake(tmp_path)
    yield made
    made.world.close()
