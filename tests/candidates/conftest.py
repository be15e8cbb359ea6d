"""Two circles of friends that watch different things."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from candidates.small_app import SmallApp

CATS = [f"cat {n}" for n in range(6)]
DOGS = [f"dog {n}" for n in range(6)]


@pytest.fixture
def app(tmp_path: Path) -> Iterator[SmallApp]:
    app = SmallApp(tmp_path)
    yield app
    app.close()


@pytest.fixture
def two_circles(app: SmallApp) -> SmallApp:
    """Eight people watch cats, eight watch dogs, each all but one; what they do with it they do to the end."""
    app.publish(*CATS, author="cat lover", tags=["cats"])
    app.publish(*DOGS, author="dog lover", tags=["dogs"])
    for kind, videos in (("cat", CATS), ("dog", DOGS)):
        for person in range(8):
            app.watches(f"{kind} person {person}", *[video for place, video in enumerate(videos) if place != person % 6])
    return app
