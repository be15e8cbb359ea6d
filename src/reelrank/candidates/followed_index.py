"""FollowedIndex: the vectors of one version of a model, kept at the newest videos and at the newest frozen part that was built for it."""

import threading
from collections.abc import Callable
from typing import Annotated

import msgspec
import numpy as np
from msgspec import Meta

from reelrank.candidates.frozen_vectors import FrozenVectors
from reelrank.candidates.vector_index import VectorIndex
from reelrank.domain.arrays import Floats, Rows
from reelrank.features.columns import VideoColumns
from reelrank.storage.artifacts import Artifact, ArtifactStore

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
        self.name = f"{model}_index"
        self._artifacts = artifacts
        self._columns = columns
        self._exact_up_to = exact_up_to

    def of(self, version: str) -> Artifact | None:
        """The newest one of a version of the model."""
        for made in reversed(self._artifacts.versions(self.name)):
            artifact = self._artifacts.version(self.name, made)
            if artifact is not None and artifact.manifest.about.get(MODEL) == version:
                return artifact
        return None

    def load(self, artifact: Artifact) -> FrozenVectors:
        """Raises StorageError if it is not what was published."""
        self._artifacts.verify(artifact)
        return FrozenVectors(artifact.folder)

    @property
    def needed(self) -> bool:
        """Whether there are more videos than are compared one by one."""
        return self._columns.count > self._exact_up_to

    def ready(self, model: Artifact) -> bool:
        """Whether a version of the model can be searched: the two go live together."""
        return not self.needed or self.of(model.manifest.version) is not None


class FollowedIndex:
    """`vectors_of` makes the vectors of ascending rows, in their order; of the last ones fewer where the model does not know them."""

    def __init__(self, width: int, vectors_of: Callable[[Rows], Floats], version: str, indexes: FrozenIndexes, columns: VideoColumns) -> None:
        self.index = VectorIndex(width)  # replaced whole
        self._vectors_of = vectors_of
        self._version = version
        self._indexes = indexes
        self._columns = columns
        self._built = ""  # the version of the frozen part
        self._looked_at = 0  # rows below this were added, or have no vector
        self._lock = threading.Lock()
        self.follow()

    def follow(self) -> None:
        """Takes over a newer frozen part, and adds what was published since."""
        with self._lock:
            artifact = self._indexes.of(self._version)
            if artifact is not None and artifact.manifest.version != self._built:
                index = VectorIndex(self.index.width, self._indexes.load(artifact))
                self._add(index, index.frozen)
                self.index, self._built = index, artifact.manifest.version
            self._add(self.index, self._looked_at)

    def newest(self) -> VectorIndex:
        """The index, with what was published a moment ago, unless that is a lot or somebody is at it."""
        if 0 < self._columns.count - self._looked_at <= _IN_A_REQUEST and self._lock.acquire(blocking=False):
            try:
                self._add(self.index, self._looked_at)
            finally:
                self._lock.release()
        return self.index

    def _add(self, index: VectorIndex, first: int) -> None:
        count = self._columns.count
        for start in range(first, count, _AT_A_TIME):
            index.add(self._vectors_of(np.arange(start, min(start + _AT_A_TIME, count))))
        self._looked_at = count
