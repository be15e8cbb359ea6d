"""An installation for verbs to work on."""

from collections.abc import Callable

import pytest

from reelrank.wiring import Reelrank


@pytest.fixture
def system(open_system: Callable[..., Reelrank]) -> Reelrank:
    """An installation in which nothing has happened yet."""
    made = open_system()
    assert made.log.end("events", 0) == 0
    return made
