"""Services that know the videos v-1 to v-3; v-3 plays from a file."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from serving.running_service import Service, running, with_videos


def started(folder: Path) -> Iterator[Service]:
    media = folder / "media"
    media.mkdir()
    (media / "clip.mp4").write_bytes(bytes(range(256)) * 40)
    (folder / "secret.txt").write_text("not for you")
    yield from with_videos(running(folder / "data", media))


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    """A service of this test alone."""
    yield from started(tmp_path)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """One service for all tests of a file, which must not mind what the others did."""
    yield from started(tmp_path_factory.mktemp("service"))
