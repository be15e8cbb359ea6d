"""A training set as the ranker reads it: tensors that batches are gathered from, and the network that they go through."""

from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor, nn

from reelrank.domain.arrays import Floats
from reelrank.models.dense_inputs import DenseInputs
from reelrank.models.ranker import POSITIONS, CandidateTensors, Encoded, Ranker, TokenTensors, VideoVectors
from reelrank.models.ranker_inputs import SURFACES, RankerSettings, VideoTraits
from reelrank.models.video_tables import Admitted
from reelrank.training.examples import TrainingSet
from reelrank.training.ranker_batches import Batch, Batches
from reelrank.training.ranker_losses import head_weights

_ANY_POSITION = 0
_COMMON = 0.2  # a head that happens this often is common


@dataclass(slots=True)
class Trained:
    """A ranker with all that it takes to use it."""

    settings: RankerSettings
    dense: DenseInputs
    admitted: Admitted
    vectors: VideoVectors
    ranker: Ranker
    epochs: int = 0  # of which it is the best
    metrics: dict[str, float] = field(default_factory=dict)  # of the validation

    @property
    def heads(self) -> tuple[str, ...]:
        """What it predicts besides the watch time."""
        return self.ranker.heads

    @property
    def network(self) -> nn.Module:
        """All that is learned."""
        return nn.ModuleDict({"vectors": self.vectors, "ranker": self.ranker})


class RankerData:
    """n examples, and the histories and videos that they are about."""

    def __init__(self, data: TrainingSet, trained: Trained) -> None:
        examples, traits = data.examples, traits_of(data)
        self.trained = trained
        self.batches = Batches(data, trained.settings)
        self.dense = torch.from_numpy(trained.dense.transform(np.asarray(examples.features)))  # (n, F)
        self.labels = torch.from_numpy(np.stack([examples.label(head) for head in trained.heads], axis=1))  # (n, heads)
        self.common = _common(self.labels)  # the heads that are not rare
        self.weights = head_weights(self.labels, trained.settings.rare)  # (heads,) of the losses
        self.watched_s = torch.from_numpy(np.array(examples.watched_s))
        self.served_at = torch.from_numpy(np.array(examples.served_at))
        self._surface = torch.from_numpy(np.minimum(examples.surface, SURFACES - 1))
        self._position = torch.from_numpy(np.minimum(np.asarray(examples.position) + 1, POSITIONS - 1))
        self._video = torch.from_numpy(np.array(examples.video))
        places = trained.admitted.places(np.arange(len(data.traits)), traits)
        self._places = {name: torch.from_numpy(np.ascontiguousarray(of)) for name, of in places._asdict().items()}  # of all videos
        self._content = torch.from_numpy(np.array(traits.content))

    def history(self, batch: Batch) -> tuple[Encoded, Tensor]:
        """The encoded histories of a batch, and the vectors (b, s, d) of their videos."""
        vectors = self._vectors(torch.from_numpy(batch.tokens.video))
        tokens = TokenTensors(vectors, torch.from_numpy(batch.tokens.actions), torch.from_numpy(batch.tokens.buckets))
        within = torch.zeros(1) if batch.within is None else torch.from_numpy(batch.within)
        return self.trained.ranker.encode(tokens, within), vectors

    def predict(self, batch: Batch) -> tuple[Tensor, Tensor, Tensor]:
        """Which examples (b, c), -1 for none; their logits (b, c, heads) and the watch time's (b, c, k)."""
        history, _ = self.history(batch)
        example = torch.from_numpy(batch.example)
        some = example.clamp(min=0)
        candidates = CandidateTensors(
            self._vectors(self._video[some]), self._surface[some], self.dense[some], torch.from_numpy(batch.ranks), torch.from_numpy(batch.ages)
        )
        return example, *self.trained.ranker(candidates, history, self._positions(some))

    @torch.no_grad()
    def predict_all(self) -> tuple[Floats, Floats]:
        """Logits (n, heads) and seconds (n,) of all examples, with the weights as they are."""
        self.trained.network.eval()
        logits, seconds = torch.full_like(self.labels, torch.nan), torch.full_like(self.watched_s, torch.nan)
        for batch in self.batches.in_order():
            example, of_heads, of_time = self.predict(batch)
            there = example >= 0
            logits[example[there]] = of_heads[there]
            seconds[example[there]] = self.trained.ranker.watch_time.seconds(of_time[there])
        return logits.numpy(), seconds.numpy()

    def _vectors(self, videos: Tensor) -> Tensor:
        """(…) dense rows → (…, d). While it learns, some videos come without a row of their own."""
        places = {name: of[videos] for name, of in self._places.items()}
        if self.trained.vectors.training:
            places["video"] = places["video"] * (torch.rand(videos.shape) >= self.trained.settings.id_dropout)
        return self.trained.vectors(places, self._content[videos])

    def _positions(self, examples: Tensor) -> Tensor:
        """Known while it learns, but not always: what is learned for any position is what serves."""
        if not self.trained.ranker.training:
            return torch.full_like(examples, _ANY_POSITION)
        return self._position[examples] * (torch.rand(examples.shape) >= self.trained.settings.id_dropout)


def traits_of(data: TrainingSet) -> VideoTraits:
    """What the tables ask of each video."""
    traits = data.traits
    return VideoTraits(traits.author, traits.sound, traits.tags, traits.duration_s, traits.content)


def _common(labels: Tensor) -> list[int]:
    """The places of the heads that happen often, of all if none does."""
    return (labels.nanmean(0) > _COMMON).nonzero()[:, 0].tolist() or list(range(labels.shape[1]))
