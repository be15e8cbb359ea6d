"""The ranker: a history is encoded once into keys and values, and every candidate looks at them and at no other candidate."""

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from reelrank.features.tokens import Action
from reelrank.models.ranker_inputs import AGES, COMPLETIONS, GAPS, NO_LAG, RANKS, SURFACES, RankerSettings
from reelrank.models.video_tables import NAMES, UNSEEN
from reelrank.models.watch_time import WatchTime

POSITIONS = 64  # positions that are told apart; 0 stands for any


class TokenTensors(NamedTuple):
    """b histories of up to s tokens, filled up at the end."""

    vectors: Tensor  # (b, s, d) of the videos
    actions: Tensor  # (b, s, 7)
    buckets: Tensor  # (b, s, 3) surface, completion, gap


class CandidateTensors(NamedTuple):
    """c candidates for each of b histories."""

    vectors: Tensor  # (b, c, d)
    surface: Tensor  # (b, c)
    dense: Tensor  # (b, c, F)
    ranks: Tensor  # (b, c or 1, s) buckets; NO_LAG hides a token
    ages: Tensor  # (b, c or 1, s) buckets


class Encoded(NamedTuple):
    """What candidates look at: keys and values of each layer."""

    keys: Tensor  # (l, b, h, s, d / h)
    values: Tensor  # (l, b, h, s, d / h)


class VideoVectors(nn.Module):
    """The learned rows behind `models.video_tables`: gathered outside of what is exported."""

    def __init__(self, rows: dict[str, int], content: int, width: int, spread: float = 0.0) -> None:
        super().__init__()
        self.tables = nn.ModuleDict({name: _rows(rows[name], width, spread) for name in NAMES})
        self.content = nn.Linear(content, width, bias=False) if content else None

    def forward(self, places: dict[str, Tensor], content: Tensor) -> Tensor:
        """`places` of (…), tags of (…, T), `content` (…, C) → (…, d)."""
        tagged = (places["tag"] != UNSEEN)[..., None]
        summed = (self.tables["tag"](places["tag"]) * tagged).sum(-2) / tagged.sum(-2).clamp(min=1)
        for name in NAMES:
            if name != "tag":
                summed = summed + self.tables[name](places[name])
        return summed if self.content is None else summed + self.content(content)


class Layer(nn.Module):
    """One look at a history, then a thought about it; the first half is attention with biases for rank and age."""

    def __init__(self, settings: RankerSettings) -> None:
        super().__init__()
        d, self.heads = settings.width, settings.attention_heads
        self.ask, self.key, self.value, self.out = (nn.Linear(d, d) for _ in range(4))
        self.asking, self.read, self.thinking = (nn.LayerNorm(d) for _ in range(3))
        self.nothing = nn.Parameter(torch.zeros(2, self.heads, 1, d // self.heads))  # key and value of an empty history
        self.rank, self.age = nn.Embedding(RANKS, self.heads), nn.Embedding(AGES, self.heads)
        self.think = nn.Sequential(nn.Linear(d, 2 * d), nn.GELU(), nn.Dropout(settings.dropout), nn.Linear(2 * d, d))
        self.drop = nn.Dropout(settings.dropout)
        nn.init.zeros_(self.rank.weight)
        nn.init.zeros_(self.age.weight)

    def encode(self, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """(b, s, d) → keys and values, each (b, h, s, d / h)."""
        tokens = self.read(tokens)
        return self._split(self.key(tokens)), self._split(self.value(tokens))

    def forward(self, asking: Tensor, keys: Tensor, values: Tensor, ranks: Tensor, ages: Tensor) -> Tensor:
        """What (b, c, d) see in keys and values (b, h, s, d / h), `ranks` and `ages` (b, c or 1, s) → (b, c, d)."""
        bias = F.pad(self.lags(ranks, ages), (1, 0))  # (b, h, c or 1, 1 + s), nothing is always there
        keys, values = self.with_nothing(keys, values)
        asked = self._split(self.ask(self.asking(asking)))
        weights = torch.softmax(asked @ keys.transpose(-1, -2) * asked.shape[-1] ** -0.5 + bias, -1)  # (b, h, c, 1 + s)
        seen = asking + self.drop(self.out((weights @ values).transpose(1, 2).flatten(2)))
        return seen + self.drop(self.think(self.thinking(seen)))

    def with_nothing(self, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """Keys and values (b, h, s, d / h) with those of an empty history in front: (b, h, 1 + s, d / h)."""
        first, second = (torch.cat([of.expand(to.shape[0], -1, -1, -1), to], 2) for of, to in zip(self.nothing, (keys, values), strict=True))
        return first, second

    def lags(self, ranks: Tensor, ages: Tensor) -> Tensor:
        """The biases of each token, minus infinity where it is hidden: (b, h, c or 1, s).

        One look-up in all pairs of a rank and an age, along the long side: ten times faster to learn than two rows of h a token.
        """
        hidden = (torch.arange(RANKS) == NO_LAG)[:, None, None]
        pairs = (self.rank.weight[:, None] + self.age.weight).masked_fill(hidden, float("-inf")).flatten(0, 1)  # (RANKS * AGES, h)
        return pairs.t().contiguous()[:, ranks * AGES + ages].transpose(0, 1)

    def _split(self, vectors: Tensor) -> Tensor:
        return vectors.unflatten(-1, (self.heads, -1)).transpose(1, 2)


class Experts(nn.Module):
    """Experts that all heads share, and for each head a gate that mixes them (MMoE, Ma et al. 2018)."""

    def __init__(self, inputs: int, heads: int, settings: RankerSettings) -> None:
        super().__init__()
        self.experts, hidden = settings.experts, settings.hidden
        self.first, self.second = nn.Linear(inputs, self.experts * hidden), nn.Parameter(torch.empty(self.experts, hidden, hidden // 2))
        self.bias = nn.Parameter(torch.zeros(self.experts, 1, hidden // 2))
        self.gate, self.heads = nn.Linear(inputs, heads * self.experts), heads
        self.drop = nn.Dropout(settings.dropout)
        nn.init.uniform_(self.second, -(hidden**-0.5), hidden**-0.5)
        nn.init.zeros_(self.gate.weight)

    def forward(self, inputs: Tensor) -> Tensor:
        """(n, inputs) → what each head is told: (n, heads, hidden / 2)."""
        first = self.drop(F.gelu(self.first(inputs))).unflatten(-1, (self.experts, -1)).transpose(0, 1)  # (e, n, hidden)
        second = self.drop(F.gelu(first @ self.second + self.bias)).transpose(0, 1)  # (n, e, hidden / 2)
        return torch.softmax(self.gate(inputs).unflatten(-1, (self.heads, self.experts)), -1) @ second


class PiecewiseLinear(nn.Module):
    """Each dense input as a few numbers that bend where its training quantiles lie (Gorishniy et al. 2022)."""

    def __init__(self, knots: Tensor, width: int) -> None:
        super().__init__()
        self.low, self.span = (nn.Buffer(part) for part in (knots[:, :-1], knots.diff(dim=1).clamp(min=1e-3)))
        self.weight = nn.Parameter(torch.randn(knots.shape[0], knots.shape[1] - 1, width) * 0.1)
        self.bias = nn.Parameter(torch.zeros(knots.shape[0], width))

    def forward(self, dense: Tensor) -> Tensor:
        """(n, F) → (n, F * width)."""
        inside = ((dense[..., None] - self.low) / self.span).clamp(0, 1)  # (n, F, bins)
        return torch.relu((inside.transpose(0, 1) @ self.weight).transpose(0, 1) + self.bias).flatten(1)


class Ranker(nn.Module):
    """Histories and candidates in, the logits of `heads` and a watch time out."""

    def __init__(self, settings: RankerSettings, heads: tuple[str, ...], knots: Tensor, thresholds_s: Tensor) -> None:
        """`knots` (F, bins + 1) are quantiles of the dense inputs, `thresholds_s` those of the watch time."""
        super().__init__()
        d, features = settings.width, knots.shape[0]
        self.settings, self.heads, self.features = settings, heads, features
        self.action = nn.Linear(len(Action), d)
        self.meaning = nn.ModuleList(_rows(size, d, settings.spread) for size in (SURFACES, COMPLETIONS, GAPS))
        self.layers = nn.ModuleList(Layer(settings) for _ in range(settings.layers))
        self.encoded = PiecewiseLinear(knots, settings.encoded) if settings.encoded else None
        inputs = 4 * d + features * (1 + settings.encoded)
        self.experts = Experts(inputs, len(heads) + 1, settings)
        self.wide = nn.Linear(inputs, len(heads), bias=False)  # past the experts: what a rare head learns first
        self.head = nn.Parameter(torch.zeros(len(heads), settings.hidden // 2))
        self.prior = nn.Parameter(torch.zeros(len(heads)))
        self.watch_time = WatchTime(settings.hidden // 2, thresholds_s)
        self.position = nn.Embedding(POSITIONS, len(heads))
        self.long_view = nn.Linear(2 * d, 1)  # of a token by those before it: what the history is learned from before there are examples
        self.drop = nn.Dropout(settings.dropout)
        nn.init.zeros_(self.position.weight)
        nn.init.zeros_(self.wide.weight)

    def encode(self, tokens: TokenTensors, ranks: Tensor, past: Encoded | None = None) -> Encoded:
        """Keys and values of new tokens. From the second layer on they look at what was there before and at those before them.

        `ranks` (b, s, past + s) are the buckets of how far back each token lies from each new one, NO_LAG from itself on.
        """
        now = tokens.vectors + self.action(tokens.actions)
        for column, table in enumerate(self.meaning):
            now = now + table(tokens.buckets[..., column])
        keys, values = [], []
        for depth, layer in enumerate(self.layers):
            assert isinstance(layer, Layer)
            key, value = layer.encode(now)
            keys.append(key)
            values.append(value)
            if depth + 1 < len(self.layers):
                if past is not None:
                    key, value = torch.cat([past.keys[depth], key], 2), torch.cat([past.values[depth], value], 2)
                now = layer(now, key, value, ranks, torch.zeros_like(ranks))
        return Encoded(torch.stack(keys), torch.stack(values))

    def look(self, vectors: Tensor, history: Encoded, ranks: Tensor, ages: Tensor) -> Tensor:
        """What candidates see in a history: (b, c, d)."""
        for layer, keys, values in zip(self.layers, history.keys, history.values, strict=True):
            vectors = layer(vectors, keys, values, ranks, ages)
        return vectors

    def forward(self, candidates: CandidateTensors, history: Encoded, position: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Logits (b, c, heads) and the watch time's (b, c, thresholds). Without `position` they are for any."""
        shown = self.meaning[0](candidates.surface)
        seen = self.look(candidates.vectors + shown, history, candidates.ranks, candidates.ages)
        dense = candidates.dense
        if self.training and self.settings.blur:
            dense = dense + self.settings.blur * torch.randn_like(dense)
        inputs = [self.drop(candidates.vectors), seen, self.drop(shown), seen * candidates.vectors, dense]
        flat = torch.cat(inputs, -1).flatten(0, 1)  # (b * c, inputs)
        if self.encoded is not None:
            flat = torch.cat([flat, self.encoded(dense.flatten(0, 1))], -1)
        told = self.experts(flat).unflatten(0, seen.shape[:2])  # (b, c, heads + 1, hidden / 2)
        bias = self.position(torch.zeros_like(candidates.surface) if position is None else position)
        logits = (told[..., :-1, :] * self.head).sum(-1) + self.wide(flat).unflatten(0, seen.shape[:2]) + self.prior + bias
        return logits, self.watch_time(told[..., -1, :])

    def long_view_of_tokens(self, vectors: Tensor, history: Encoded, ranks: Tensor) -> Tensor:
        """Logits (b, s) that a token was a long view, by the tokens before it."""
        seen = self.look(vectors, history, ranks, torch.zeros_like(ranks))
        return self.long_view(torch.cat([seen, seen * vectors], -1))[..., 0]


def _rows(count: int, width: int, spread: float) -> nn.Embedding:
    table = nn.Embedding(count, width)
    nn.init.normal_(table.weight, std=spread)
    return table
