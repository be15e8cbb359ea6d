"""The ranker laid out for serving: the same numbers as `ranker.Ranker` in evaluation, from fewer and larger steps.

Behind the attention everything lies features first, (features, candidates): experts, heads and thresholds are then runs of
rows that are cut, weighed and summed without being moved. What the candidates of a request share (the surface, and the
features of the user and the moment) goes through the first layer once instead of once for each of them.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from reelrank.models.ranker import Encoded, Layer, PiecewiseLinear, Ranker, TokenTensors


class ServedHistory(nn.Module):
    """What encodes tokens."""

    def __init__(self, ranker: Ranker) -> None:
        super().__init__()
        self.ranker = ranker

    def forward(self, vectors: Tensor, actions: Tensor, buckets: Tensor, ranks: Tensor, past_keys: Tensor, past_values: Tensor) -> Encoded:
        """As `Ranker.encode`."""
        return self.ranker.encode(TokenTensors(vectors, actions, buckets), ranks, Encoded(past_keys, past_values))


class ServedCandidates(nn.Module):
    """What scores candidates. The parameters of the ranker are rearranged, none is changed."""

    def __init__(self, ranker: Ranker, shared: Sequence[int]) -> None:
        """`shared` are the dense inputs that all candidates of a request have in common."""
        super().__init__()
        own = [column for column in range(ranker.features) if column not in set(shared)]
        d, experts, heads = ranker.settings.width, ranker.experts, len(ranker.heads)
        self.surfaces, self.heads, self.experts = ranker.meaning[0], heads, ranker.settings.experts
        self.looks = nn.ModuleList(_Look(layer) for layer in ranker.layers)
        self.own_bends, self.shared_bends = (None if ranker.encoded is None else _Bends(ranker.encoded, columns) for columns in (own, shared))
        of_own = [*range(2 * d), *range(3 * d, 4 * d), *_inputs_of(own, ranker)]
        of_shared = [*range(2 * d, 3 * d), *_inputs_of(shared, ranker)]
        gates = experts.gate.weight.unflatten(0, (heads + 1, -1)).transpose(0, 1).flatten(0, 1)  # (e * (heads + 1), inputs)
        gate_bias = experts.gate.bias.unflatten(0, (heads + 1, -1)).t().flatten()
        beside = torch.cat([gates, ranker.wide.weight])
        self.first_of_own, self.first_of_shared = (nn.Parameter(experts.first.weight[:, of].detach()) for of in (of_own, of_shared))
        self.beside_of_own, self.beside_of_shared = (nn.Parameter(beside[:, of].detach()) for of in (of_own, of_shared))
        self.first_bias = nn.Parameter(experts.first.bias.detach()[:, None])
        self.beside_bias = nn.Parameter(torch.cat([gate_bias, ranker.prior + ranker.position.weight[0]]).detach()[:, None])
        self.second, self.second_bias = (nn.Parameter(of.detach().transpose(1, 2).contiguous()) for of in (experts.second, experts.bias))
        watch = ranker.watch_time
        self.head, self.watch = nn.Parameter(ranker.head.detach()), nn.Parameter(watch.score.weight.detach().repeat(1, self.experts))
        falls = torch.ones(len(watch.thresholds_s), len(watch.thresholds_s)).tril()
        falls[:, 0] = 0
        self.falls, self.watch_bias = nn.Parameter(-falls), nn.Parameter(watch.score.bias.detach()[:, None])
        self.steps_s, self.least_s = nn.Parameter(watch.thresholds_s.diff()[None]), float(watch.thresholds_s[0])

    def forward(
        self, vectors: Tensor, surface: Tensor, shared: Tensor, own: Tensor, ranks: Tensor, ages: Tensor, keys: Tensor, values: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Logits (heads, b * c) and seconds (1, b * c) of c candidates for each of b histories, whose `keys` and `values` are (l, b, h, s, d / h).

        Of candidates `vectors` (b, c, d) and dense inputs `own` (F, b * c); of requests `surface` (b, 1), `shared` (F, b), and buckets
        `ranks` and `ages` (b, 1, s).
        """
        rows = surface.shape[0]
        shown = self.surfaces(surface)  # (b, 1, d)
        asking = (vectors + shown).flatten(0, 1)
        for look, key, value in zip(self.looks, keys, values, strict=True):
            asking = look(asking, key, value, ranks, ages)
        vectors = vectors.flatten(0, 1)
        candidates = torch.cat([torch.cat([vectors, asking, asking * vectors], -1).t(), _with_bends(own, self.own_bends)])  # (inputs, b * c)
        request = torch.cat([shown.flatten(0, 1).t(), _with_bends(shared, self.shared_bends)])  # (inputs, b)

        def both(of_candidates: Tensor, of_request: Tensor, bias: Tensor) -> Tensor:
            once = (of_request @ request + bias)[..., None]  # (…, b, 1)
            return ((of_candidates @ candidates).unflatten(-1, (rows, -1)) + once).flatten(-2)

        first = F.gelu(both(self.first_of_own, self.first_of_shared, self.first_bias)).unflatten(0, (self.experts, -1))  # (e, hidden, n)
        second = F.gelu(self.second @ first + self.second_bias)  # (e, hidden / 2, n)
        beside = both(self.beside_of_own, self.beside_of_shared, self.beside_bias)
        gates, wide = beside.split([self.experts * (self.heads + 1), self.heads])
        gates = gates.unflatten(0, (self.experts, -1))  # (e, heads + 1, n)
        gates = torch.exp(gates - gates.amax(0))
        gates = gates / gates.sum(0)
        logits = (gates[:, : self.heads] * (self.head @ second)).sum(0) + wide
        return logits, self._seconds(self.watch @ (gates[:, self.heads :] * second).flatten(0, 1))  # a product sums the experts, too

    def _seconds(self, score: Tensor) -> Tensor:
        """As `WatchTime.seconds` of what `WatchTime` makes of scores (k, n): (1, n)."""
        score = score + self.watch_bias
        fall = score.clamp(min=0) + torch.log(1 + torch.exp(-score.abs()))  # softplus, of parts that runtimes vectorise
        lasts = torch.sigmoid(score[:1] + self.falls @ fall)
        here, later = lasts[:-1], lasts[1:]
        share = ((here - 0.5) / (here - later).clamp(min=1e-6)).clamp(0, 1)
        return self.least_s * (lasts[:1] > 0.5) + self.steps_s @ share


class _Look(nn.Module):
    """`ranker.Layer` for one moment: the bias of a token is one more number of its key, and each question has a one for it."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        assert isinstance(layer, Layer)
        self.layer = layer
        scale = layer.nothing.shape[-1] ** -0.5
        asks, bias = (of.detach().unflatten(0, (layer.heads, -1)) * scale for of in (layer.ask.weight, layer.ask.bias))
        self.ask, self.ask_bias = nn.Parameter(F.pad(asks, (0, 0, 0, 1)).flatten(0, 1)), nn.Parameter(F.pad(bias, (0, 1), value=1.0).flatten())

    def forward(self, asking: Tensor, keys: Tensor, values: Tensor, ranks: Tensor, ages: Tensor) -> Tensor:
        """What (b * c, d) see in keys and values (b, h, s, d / h): (b * c, d)."""
        layer, rows = self.layer, keys.shape[0]
        keys, values = layer.with_nothing(keys, values)
        keys = torch.cat([keys, F.pad(layer.lags(ranks, ages), (1, 0)).transpose(-1, -2)], -1)  # (b, h, 1 + s, d / h + 1)
        asked = F.linear(layer.asking(asking), self.ask, self.ask_bias).view(rows, -1, layer.heads, keys.shape[-1]).transpose(1, 2)
        weights = torch.softmax(asked @ keys.transpose(-1, -2), -1)  # (b, h, c, 1 + s)
        seen = asking + layer.out((weights @ values).transpose(1, 2).flatten(2).flatten(0, 1))
        return seen + layer.think(layer.thinking(seen))


class _Bends(nn.Module):
    """`ranker.PiecewiseLinear` of some inputs, features first."""

    def __init__(self, encoded: PiecewiseLinear, columns: Sequence[int]) -> None:
        super().__init__()
        at = torch.tensor(columns, dtype=torch.int64)
        self.low, self.per_span = nn.Parameter(encoded.low[at][..., None]), nn.Parameter(1 / encoded.span[at][..., None])
        self.weight, self.bias = nn.Parameter(encoded.weight.detach()[at].transpose(1, 2).contiguous()), nn.Parameter(encoded.bias.detach()[at][..., None])

    def forward(self, dense: Tensor) -> Tensor:
        """(F, n) → (F * width, n)."""
        inside = ((dense[:, None] - self.low) * self.per_span).clamp(0, 1)  # (F, bins, n)
        return torch.relu(self.weight @ inside + self.bias).flatten(0, 1)


def _with_bends(dense: Tensor, bends: _Bends | None) -> Tensor:
    return dense if bends is None else torch.cat([dense, bends(dense)])


def _inputs_of(columns: Sequence[int], ranker: Ranker) -> list[int]:
    """Where some dense inputs, and what is made of them, lie among the inputs of the experts."""
    begin, width = 4 * ranker.settings.width, ranker.settings.encoded
    bent = begin + ranker.features
    return [begin + column for column in columns] + [bent + column * width + place for column in columns for place in range(width)]
