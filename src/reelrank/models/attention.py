"""A causal transformer over a history: what comes later never reaches what came before."""

import torch
from torch import Tensor, nn
from torch.nn import functional

_BUCKETS = 32  # of distance: 0 … 15 one by one, then in steps that double every 4


class Block(nn.Module):
    """Self-attention and a feed-forward net, each on normalised input and added to it (pre-norm)."""

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        if width % heads:
            raise ValueError(f"a width of {width} can't be shared by {heads} heads; take a multiple")
        self.heads, self.dropout = heads, dropout
        self.before_attention, self.before_mixing = nn.LayerNorm(width), nn.LayerNorm(width)
        self.project, self.join = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.mix = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Dropout(dropout), nn.Linear(4 * width, width))
        self.drop = nn.Dropout(dropout)

    def forward(self, tokens: Tensor, bias: Tensor) -> Tensor:
        """(B, S, d), (heads, S, S) -> (B, S, d)."""
        batch, length, width = tokens.shape
        projected = self.project(self.before_attention(tokens)).view(batch, length, 3, self.heads, width // self.heads)
        query, key, value = projected.permute(2, 0, 3, 1, 4)  # each (B, heads, S, d / heads)
        dropped = self.dropout if self.training else 0.0
        seen = functional.scaled_dot_product_attention(query, key, value, attn_mask=bias.to(query.dtype), dropout_p=dropped)
        tokens = tokens + self.drop(self.join(seen.transpose(1, 2).reshape(batch, length, width)))
        return tokens + self.drop(self.mix(self.before_mixing(tokens)))


class CausalEncoder(nn.Module):
    """Blocks whose attention knows how far back a token lies, never where it stands.

    Distances instead of places (as in T5, Raffel et al. 2020) let a history slide: what was encoded stays right when older
    tokens leave. Histories are padded at their end, so causality alone keeps the padding out.
    """

    def __init__(self, width: int, layers: int, heads: int, dropout: float) -> None:
        super().__init__()
        slopes = torch.linspace(0.5, 0.0, heads)  # heads begin between looking near and looking everywhere (as ALiBi's, Press et al. 2022)
        self.nearness = nn.Parameter(-slopes[:, None] * torch.arange(_BUCKETS))
        self.blocks = nn.ModuleList(Block(width, heads, dropout) for _ in range(layers))
        self.normalise = nn.LayerNorm(width)

    def forward(self, tokens: Tensor) -> Tensor:
        """(B, S, d) -> (B, S, d); the output at t depends on the tokens 0 … t only."""
        bias = self.causal_bias(tokens.shape[1])
        for block in self.blocks:
            tokens = block(tokens, bias)
        return self.normalise(tokens)

    def causal_bias(self, length: int) -> Tensor:
        """What is added to the attention of query t to key s: learned by distance, -inf for s > t. (heads, length, length)."""
        distance = torch.arange(length)[:, None] - torch.arange(length)[None, :]
        return self.nearness[:, _bucket(distance.clamp(min=0))].masked_fill(distance < 0, float("-inf"))


def _bucket(distance: Tensor) -> Tensor:
    far = 16 + 4 * torch.log2(distance.clamp(min=16) / 16)
    return torch.where(distance < 16, distance, far.long()).clamp(max=_BUCKETS - 1)
