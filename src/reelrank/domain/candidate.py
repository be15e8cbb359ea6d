"""Candidates: the only thing that changes on its way through the feed; one column a field, each with one writer."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from reelrank.domain.arrays import Rows
from reelrank.domain.user import no_rows

# what a ranker predicts of an impression besides its watch time
HEADS = ("click", "long_view", "completion", "like", "share", "follow", "comment", "replay", "hide")
WATCH_S = "watch_s"  # the watch time, in seconds


@dataclass(slots=True)
class Candidates:
    """n videos on their way to a slate, as columns of length n (struct of arrays)."""

    rows: Rows = field(default_factory=no_rows)  # (n,) dense video rows, each once. Written by: sources
    sources: NDArray[np.uint32] = field(default_factory=lambda: np.empty(0, dtype=np.uint32))  # (n,) bit i = source i proposed it. Written by: sources
    source_names: tuple[str, ...] = ()  # bit i of `sources` means source_names[i]
    features: NDArray[np.float32] | None = None  # (n, F), columns as in features.definitions. Written by: hydrators
    offsets: tuple[int, ...] = ()  # per partition, how much of the log the counters have seen. Written by: hydrators
    models: dict[str, str] = field(default_factory=dict)  # artifact -> the version that spoke. Written by: whoever asked it
    predictions: dict[str, NDArray[np.float64]] = field(default_factory=dict)  # head -> (n,). Written by: scorers
    lifts: dict[str, NDArray[np.float64]] = field(default_factory=dict)  # what the score is lifted by besides, by name -> (n,). Written by: lifting scorers
    score: NDArray[np.float64] | None = None  # (n,). Written by: the last scorer

    def __len__(self) -> int:
        return len(self.rows)

    def keep(self, mask: NDArray[np.bool_]) -> "Candidates":
        """The candidates where `mask` (n,) is true, all columns alike."""
        return self.take(np.flatnonzero(mask))

    def take(self, places: NDArray[np.int64]) -> "Candidates":
        """The candidates at `places`, in that order, all columns alike."""
        return Candidates(
            rows=self.rows[places],
            sources=self.sources[places],
            source_names=self.source_names,
            offsets=self.offsets,
            models=self.models,
            features=None if self.features is None else self.features.T.take(places, axis=1).T,  # as they lie: one feature after the other
            predictions={head: values[places] for head, values in self.predictions.items()},
            lifts={name: values[places] for name, values in self.lifts.items()},
            score=None if self.score is None else self.score[places],
        )

    def sources_of(self, place: int) -> tuple[str, ...]:
        """The names of the sources that proposed the candidate at `place`."""
        bits = int(self.sources[place])
        return tuple(name for bit, name in enumerate(self.source_names) if bits >> bit & 1)
