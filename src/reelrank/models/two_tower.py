"""Two towers: a user from the history, a video from its id and its content, in one space where near means likely next."""

import math
from dataclasses import dataclass

import msgspec
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from reelrank.domain.arrays import Rows
from reelrank.models.attention import CausalEncoder

_ACTION_BITS = 8
_COMPLETIONS = 13  # buckets: unknown, tenths up to 1, up to 2, more
_SMALL = 0.02  # the spread of weights before training
_GAPS = 26  # buckets: unknown, then powers of two seconds up to a year


class TwoTowerConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The size of the network."""

    width: int = 64
    layers: int = 2
    heads: int = 2
    dropout: float = 0.3
    id_dropout: float = 0.1  # how often a video must do without its id, so that content alone has a place
    temperature: float = 0.05  # vectors are compared by their cosine over it; 0: by their plain product, which takes twice as long to learn


@dataclass(frozen=True, slots=True)
class VideoFeatures:
    """What is known of m videos besides their id. -1 where a number is unknown."""

    author: Rows  # (m,)
    sound: Rows  # (m,)
    tags: Rows  # (m, T)
    content: NDArray[np.float32]  # (m, C); C may be 0

    @classmethod
    def unknown(cls, videos: int) -> "VideoFeatures":
        """Of videos of which only the id is known."""
        nobody = np.full(videos, -1)
        return cls(nobody, nobody, np.empty((videos, 0), dtype=np.int64), np.empty((videos, 0), dtype=np.float32))

    def __len__(self) -> int:
        return len(self.author)


@dataclass(frozen=True, slots=True)
class Histories:
    """B histories of up to S tokens each, oldest first, padded at their end."""

    video: Tensor  # (B, S) rows, -1 where there is no token
    actions: Tensor  # (B, S) uint8, one bit for each thing that was done
    completion: Tensor  # (B, S) watched_s / duration_s, nan unknown
    gap_s: Tensor  # (B, S) seconds since the token before, nan unknown


class VideoTower(nn.Module):
    """id + author + sound + mean of tags + content. A video that nobody has watched yet has no id, but a vector."""

    known: Tensor  # (m,) whose id may speak
    content_of: Tensor  # (m, C)

    def __init__(self, features: VideoFeatures, config: TwoTowerConfig) -> None:
        super().__init__()
        self.id_dropout = config.id_dropout
        self.ids = _table(len(features), config.width)
        self.tables = nn.ModuleDict(
            {name: _table(numbers.max() + 2, config.width) for name, numbers in _numbers(features).items() if numbers.max(initial=-1) >= 0}
        )
        self.content = nn.Linear(features.content.shape[1], config.width, bias=False) if features.content.shape[1] else None
        self.describe(features, np.ones(len(features), dtype=np.bool_))

    def describe(self, features: VideoFeatures, known: NDArray[np.bool_]) -> None:
        """Takes other videos' features, also of more videos than it was trained on; `known` (m,) says whose id was trained.

        An author, sound or tag that it was not trained on is as good as unknown.
        """
        for name, numbers in _numbers(features).items():
            if name in self.tables:
                trained = len(self.tables[name].weight)  # type: ignore[arg-type]
                self.register_buffer(f"{name}_of", torch.as_tensor(np.where(numbers + 1 < trained, numbers + 1, 0)), persistent=False)
        self.register_buffer("content_of", torch.tensor(features.content, dtype=torch.float32), persistent=False)
        self.register_buffer("known", torch.as_tensor(known), persistent=False)

    def forward(self, rows: Tensor) -> Tensor:
        """The vectors of video rows (n,): (n, d)."""
        speaks = self.known[rows]
        if self.training and self.id_dropout and (self.tables or self.content):
            speaks = speaks & (torch.rand(len(rows)) >= self.id_dropout)
        vectors = self.ids(rows.clamp(max=self.ids.num_embeddings - 1)) * speaks[:, None]
        for name, table in self.tables.items():
            numbers = getattr(self, f"{name}_of")[rows].view(len(rows), -1)  # (n, T), 0 unknown
            given = (numbers > 0).float()
            vectors = vectors + (table(numbers) * given[..., None]).sum(dim=1) / given.sum(dim=1, keepdim=True).clamp(min=1)
        return vectors if self.content is None else vectors + self.content(self.content_of[rows])


class UserTower(nn.Module):
    """A causal transformer over the videos of a history and what was done with them."""

    def __init__(self, config: TwoTowerConfig) -> None:
        super().__init__()
        self.actions = nn.Linear(_ACTION_BITS, config.width)
        nn.init.normal_(self.actions.weight, std=_SMALL)  # no louder than the video it is about
        nn.init.zeros_(self.actions.bias)
        self.completion, self.gap = _table(_COMPLETIONS, config.width), _table(_GAPS, config.width)
        self.drop = nn.Dropout(config.dropout)
        self.encoder = CausalEncoder(config.width, config.layers, config.heads, config.dropout)

    def forward(self, videos: Tensor, histories: Histories) -> Tensor:
        """The user after each token, given the vectors `videos` (B, S, d) of the tokens: (B, S, d)."""
        bits = (histories.actions[..., None] >> torch.arange(_ACTION_BITS, dtype=torch.uint8)) & 1
        done = self.actions(bits.float()) + self.completion(completion_bucket(histories.completion)) + self.gap(gap_bucket(histories.gap_s))
        return self.encoder(self.drop((videos + done) * math.sqrt(videos.shape[-1])))


class TwoTower(nn.Module):
    """Both towers. `vectors` are compared with `users` by a plain product."""

    def __init__(self, features: VideoFeatures, config: TwoTowerConfig | None = None) -> None:
        super().__init__()
        self.config = config or TwoTowerConfig()
        self.video_tower, self.user_tower = VideoTower(features, self.config), UserTower(self.config)

    def users(self, videos: Tensor, places: Tensor, histories: Histories) -> Tensor:
        """The users after each token: (B, S, d). Token (b, s) is the video with the vector `videos[places[b, s]]`, none at -1."""
        tokens = videos[places.clamp(min=0)] * (places >= 0)[..., None]
        return self.aligned(self.user_tower(tokens, histories))

    def aligned(self, vectors: Tensor) -> Tensor:
        """Vectors as they are compared; with a temperature each side is divided by its length and by √temperature."""
        return functional.normalize(vectors, dim=-1) / math.sqrt(self.config.temperature) if self.config.temperature else vectors


def completion_bucket(completion: Tensor) -> Tensor:
    """0 unknown, 1 … 10 the tenths of a watch, 11 up to twice, 12 more."""
    whole = torch.where(completion < 1, (completion * 10).floor() + 1, torch.where(completion < 2, 11.0, 12.0))
    return whole.nan_to_num(0.0).masked_fill(completion.isnan(), 0).clamp(0, _COMPLETIONS - 1).long()


def gap_bucket(gap_s: Tensor) -> Tensor:
    """0 unknown, 1 under a second, 2 under two, 3 under four …"""
    bucket = torch.log2(gap_s.clamp(min=0.5)).floor() + 2
    return bucket.nan_to_num(0.0).clamp(0, _GAPS - 1).long()


def _numbers(features: VideoFeatures) -> dict[str, Rows]:
    return {"author": features.author, "sound": features.sound, "tags": features.tags}


def _table(rows: int, width: int) -> nn.Embedding:
    table = nn.Embedding(int(rows), width)
    nn.init.normal_(table.weight, std=_SMALL)
    return table
