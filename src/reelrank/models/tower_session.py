"""The two towers as they serve: videos in NumPy, users through ONNX Runtime on one thread, no torch."""

from pathlib import Path

import msgspec
import numpy as np
import onnxruntime
from numpy.typing import NDArray

from reelrank.domain.arrays import Floats, Rows
from reelrank.features.tokens import Tokens
from reelrank.models.ranker_inputs import VideoTraits
from reelrank.models.sessions import SessionError

FORMAT = 1  # changes when an artifact of before can't be read any more
_SMALLEST = 1e-12  # length of a vector that still has a direction


class TowerManifest(msgspec.Struct, frozen=True, kw_only=True):
    """What an artifact says of itself."""

    format: int
    window: int  # tokens that are read
    temperature: float  # of the cosine; 0 compares by the plain product


class TowerSession:
    """Published towers: the vectors of users and of videos, those of unseen videos too, are near by their inner product."""

    def __init__(self, folder: Path) -> None:
        """Raises SessionError if the artifact is not of this release."""
        self.manifest = msgspec.json.decode((folder / "two_tower.json").read_bytes(), type=TowerManifest)
        if self.manifest.format != FORMAT:
            raise SessionError(f"the towers in {folder} have format {self.manifest.format}; this release has {FORMAT}: train them again")
        # mapped: processes share their pages, and of millions of rows a request reads a few
        self._ids, self._known = np.load(folder / "ids.npy", mmap_mode="r"), np.load(folder / "known.npy", mmap_mode="r")
        tables = [name for name in ("author", "sound", "tags") if (folder / f"{name}.npy").exists()]
        self._tables: dict[str, Floats] = {name: np.load(folder / f"{name}.npy", mmap_mode="r") for name in tables}
        self._content: Floats = np.load(folder / "content.npy")
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1  # a worker process has one core
        self._user = onnxruntime.InferenceSession(folder / "user_tower.onnx", options, providers=["CPUExecutionProvider"])

    @property
    def width(self) -> int:
        """How long a vector is."""
        return self._ids.shape[1]

    def videos(self, rows: Rows, traits: VideoTraits) -> Floats:
        """The vectors of videos as an index holds them: (n, d)."""
        return self._aligned(self._described(rows, traits))

    def user(self, tokens: Tokens, traits: VideoTraits) -> Floats | None:
        """The vector of the one user of `tokens` (d,); None for somebody without a history."""
        last = slice(-self.manifest.window, None)
        video, at = tokens.video[last], tokens.occurred_at[last]
        if len(video) == 0:
            return None
        gap_s = np.full(len(at), np.nan, dtype=np.float32)
        timed = np.isfinite(at[1:]) & np.isfinite(at[:-1])
        gap_s[1:][timed] = (at[1:][timed] - at[:-1][timed]).astype(np.float32)
        history = {"videos": self._described(video, traits), "actions": tokens.actions[last], "completion": tokens.completion[last], "gap_s": gap_s}
        (vector,) = self._user.run(None, {name: column[None] for name, column in history.items()})
        return np.asarray(vector)[0]

    def _described(self, rows: Rows, traits: VideoTraits) -> Floats:
        """The sum of what is known of each video: (n, d)."""
        old = rows < len(self._known)
        speaks = np.zeros(len(rows), dtype=np.bool_)
        speaks[old] = self._known[rows[old]]
        vectors = np.zeros((len(rows), self.width), dtype=np.float32)
        vectors[speaks] = self._ids[rows[speaks]]
        for name, table in self._tables.items():
            numbers = getattr(traits, name)[rows]
            vectors += _mean(table, numbers if numbers.ndim == 2 else numbers[:, None])
        return vectors + (traits.content[rows] @ self._content).astype(np.float32) if len(self._content) else vectors

    def _aligned(self, vectors: Floats) -> Floats:
        if not self.manifest.temperature:
            return vectors
        lengths = np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), _SMALLEST)
        return (vectors / lengths / np.sqrt(self.manifest.temperature)).astype(np.float32)


def _mean(table: Floats, numbers: NDArray[np.int64]) -> Floats:
    """The mean of the rows of some numbers (n, T), nothing for -1 and for those that came after the table: (n, d)."""
    places = np.where(numbers + 1 < len(table), numbers + 1, 0)
    given = (places > 0)[..., None]
    return (table[places] * given).sum(axis=1) / np.maximum(given.sum(axis=1), 1)
