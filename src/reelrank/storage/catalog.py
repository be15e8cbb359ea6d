"""Catalog: the videos, and the dense row that each video, author, tag, sound, place and surface has for good."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple, Protocol

from reelrank.domain.video import Video


class CatalogRow(NamedTuple):
    """A video with its rows. `revision` grows with every change to the catalogue, so that readers can follow it."""

    row: int
    revision: int
    removed: bool
    author_row: int
    tag_rows: tuple[int, ...]
    sound_row: int  # -1 without a sound
    place_row: int  # -1 without a place
    video: Video


class VideoConflict(Exception):
    """A video was published again with another author, duration, sound or tags."""


class Catalog(Protocol):
    """Assigns each id its dense row once, from 0 upwards without gaps, and pages through millions."""

    def publish(self, videos: Sequence[Video]) -> list[CatalogRow]:
        """Adds videos, or renews caption, effects, renditions, language and place of known ones (and puts removed ones back).

        All or nothing. Raises VideoConflict, naming the video and the field, when what the counters of the
        past were folded with would change.
        """
        ...

    def remove(self, video_ids: Sequence[str]) -> None:
        """Takes videos down; unknown ids are ignored. Their rows stay theirs."""
        ...

    def get(self, video_id: str) -> CatalogRow | None:
        """One video, None if it is not known."""
        ...

    def changes(self, after: int, at_most: int = 10_000) -> list[CatalogRow]:
        """What changed after a revision, oldest change first: how every process keeps its columns current."""
        ...

    def names(self, kind: str, after: int = -1) -> Iterator[tuple[int, str]]:
        """(row, id) of every `author`, `tag`, `sound`, `place` or `surface` with a row above `after`, ascending."""
        ...

    def name_rows(self, kind: str, names: Sequence[str]) -> dict[str, int]:
        """The rows of places or surfaces, given out now to those that had none."""
        ...

    def close(self) -> None: ...
