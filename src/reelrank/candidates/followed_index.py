"""FollowedIndex: the vectors of one version of a model, kept at the newest videos and at the newest frozen part that was built for it."""

import logging
import threading
from collections.abc import Callable, Iterator
from typing import Annotated

import msgspec
import numpy as np
from msgspec import Meta

from reelrank.candidates.frozen_vectors import FrozenVectors
from reelrank.candidates.vector_index import VectorIndex
from reelrank.domain.arrays import Floats, Rows
from reelrank.features.columns import VideoColumns
from reelrank.storage.artifacts import Artifact, ArtifactStore

logger = logging.getLogger(__name__)

MODEL = "model"  # in `about` of an index: the version whose vectors are in it
VIDEOS = "videos"  # and the vectors of how many rows, from the first on
_AT_A_TIME = 50_000  # vectors that are made at once
_IN_A_REQUEST = 64  # new videos that a request makes the vectors of itself; more wait for the next refresh


class VectorsConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How vectors of videos are searched."""

    exact_up_to: Annotated[int, Meta(ge=0)] = 50_000  # videos: so many are compared one by one, in each process; of more there is a file in cells
    recall: Annotated[float, Meta(gt=0, le=1)] = 0.98  # of the hundred nearest, that a search must find
    live_share: Annotated[float, Meta(gt=0, le=1)] = 0.01  # of the videos in the file: when more have come since, it is built again
    probes: Annotated[int, Meta(ge=16)] = 512  # users whose searches are tried when it is built
    sampled: Annotated[float, Meta(ge=0, le=1)] = 0.002  # share of the searches that are compared with an exact one afterwards
    sampled_cpu: Annotated[float, Meta(gt=0, le=1)] = 0.02  # of a core that this may take at most


class FrozenIndexes:
    """The frozen parts that were built for the versions of one model, as artifacts beside it."""

    def __init__(self, artifacts: ArtifactStore, model: str, columns: VideoColumns, exact_up_to: int) -> None:
        self.model = model
        self.name = f"{model}_index"
        self._artifacts = artifacts
        self._columns = columns
        self._exact_up_to = exact_up_to

    def of(self, version: str) -> Artifact | None:
        """The newest one of a version of the model, of those that have no row which these columns have yet to learn of."""
        for made in reversed(self._artifacts.versions(self.name)):
            artifact = self._artifacts.version(self.name, made)
            if artifact is not None and artifact.manifest.about.get(MODEL) == version and int(artifact.manifest.about[VIDEOS]) <= self._columns.count:
                return artifact
        return None

    def of_those_kept(self) -> list[str]:
        """The newest one of each version of the model that is kept: what a roll back goes to has its index."""
        return [found.manifest.version for version in self._artifacts.versions(self.model) if (found := self.of(version)) is not None]

    def load(self, artifact: Artifact) -> FrozenVectors:
        """Raises StorageError if it is not what was published."""
        self._artifacts.verify(artifact)
        return FrozenVectors(artifact.folder)

    @property
    def needed(self) -> bool:
        """Whether there are more videos than are compared one by one."""
        return self._columns.count > self._exact_up_to

    def ready(self, model: Artifact) -> bool:
        """Whether a version of the model can be searched: it goes live together with its index, which the role index builds."""
        return not self.needed or self.of(model.manifest.version) is not None


class FollowedIndex:
    """`vectors_of` makes the vectors of ascending rows, in their order; of the last ones fewer where the model does not know them."""

    def __init__(self, width: int, vectors_of: Callable[[Rows], Floats], version: str, indexes: FrozenIndexes, columns: VideoColumns) -> None:
        """Raises StorageError if the frozen part is not what was published, and ValueError if it is of another width."""
        self._vectors_of = vectors_of
        self._version = version
        self._indexes = indexes
        self._columns = columns
        self._lock = threading.Lock()
        self._looked_at = 0  # rows below this were added, or have no vector
        artifact = indexes.of(version)
        self._built = "" if artifact is None else artifact.manifest.version  # the version of the frozen part, or of one that can't be read
        self._take(VectorIndex(width, None if artifact is None else indexes.load(artifact)))

    def follow(self) -> None:
        """Takes over a newer frozen part, and adds what was published since; one that can't be read leaves what there was."""
        with self._lock:
            artifact = self._indexes.of(self._version)
            if artifact is not None and artifact.manifest.version != self._built:
                try:
                    index = VectorIndex(self.index.width, self._indexes.load(artifact))
                except Exception as problem:  # whatever damaged files do to their reader
                    logger.error("%s can't be loaded and the one before it stays in use: %r", artifact.folder, problem)
                else:
                    self._take(index)
                self._built = artifact.manifest.version  # only now: what the model could not do this time is tried again
            self._catch_up()

    def newest(self) -> VectorIndex:
        """The index, with what was published a moment ago, unless that is a lot or somebody is at it."""
        if 0 < self._columns.count - self._looked_at <= _IN_A_REQUEST and self._lock.acquire(blocking=False):
            try:
                self._catch_up()
            finally:
                self._lock.release()
        return self.index

    def _take(self, index: VectorIndex) -> None:
        """Puts a new index, brought up to the newest videos, in the place of the one before."""
        count = self._columns.count
        for _, vectors in self._batches(index.frozen, count):
            index.add(vectors)
        self.index, self._looked_at = index, count  # the index is replaced whole

    def _catch_up(self) -> None:
        for looked_at, vectors in self._batches(self._looked_at, self._columns.count):
            self.index.add(vectors)
            self._looked_at = looked_at  # batch by batch: what was added before one fails must not be added again

    def _batches(self, first: int, count: int) -> Iterator[tuple[int, Floats]]:
        """The vectors of the rows from `first` to `count`, and up to which row they are."""
        for start in range(first, count, _AT_A_TIME):
            end = min(start + _AT_A_TIME, count)
            yield end, self._vectors_of(np.arange(start, end))
