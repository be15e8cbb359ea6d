"""LightGCN: embeddings of users and videos that are averaged along the edges of their graph (He et al. 2020)."""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import block_array, csr_array, diags_array
from torch import Tensor, nn

from reelrank.models.edges import canonical, size


class LightGcn(nn.Module):
    """Vectors of users and videos: the mean over layers of what lies 0, 1, … edges away, each edge weighing amount / √(degree · degree).

    With content a video begins as its own vector plus a linear map of its features; one that nobody watched is the latter alone.
    """

    def __init__(self, watched: csr_array, width: int, layers: int, content: NDArray[np.float32] | None = None) -> None:
        """`watched` is (users, videos), amounts above 0; `content` (videos, d)."""
        super().__init__()
        users, videos = size(watched)
        self._sizes, self._layers = [users, videos], layers
        self._graph = adjacency(watched)
        self.own = nn.Parameter(torch.randn(users + videos, width) * width**-0.5)
        self._content = None if content is None else torch.from_numpy(content)
        self._met = torch.from_numpy((np.asarray(watched.sum(axis=0)).ravel() > 0).astype(np.float32))[:, None]
        self.from_content = None if content is None else nn.Linear(content.shape[1], width, bias=False)

    def forward(self) -> tuple[Tensor, Tensor]:
        """Vectors of all users (u, width) and all videos (v, width)."""
        layer = self.own
        if self.from_content is not None and self._content is not None:
            users, videos = layer.split(self._sizes)
            layer = torch.cat([users, self._met * videos + self.from_content(self._content)])
        total = layer
        for _ in range(self._layers):
            layer = _Propagate.apply(self._graph, layer)
            total = total + layer
        users, videos = (total / (self._layers + 1)).split(self._sizes)
        return users, videos


def adjacency(watched: csr_array) -> csr_array:
    """The graph of users, then videos, with degrees taken out of both ends: symmetric, (users + videos, users + videos)."""
    both = csr_array(block_array([[None, watched], [watched.T, None]], format="csr"))
    inverse = diags_array(np.maximum(np.asarray(both.sum(axis=1)).ravel(), 1e-9) ** -0.5)
    return canonical(inverse @ both @ inverse)


class _Propagate(torch.autograd.Function):
    """A symmetric sparse matrix times dense columns: its gradient is the same product, so that no transpose is ever made."""

    @staticmethod
    def forward(ctx: Any, graph: csr_array, columns: Tensor) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        ctx.graph = graph
        return torch.from_numpy(graph @ columns.numpy())

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[None, Tensor]:  # pyright: ignore[reportIncompatibleMethodOverride]
        return None, torch.from_numpy(ctx.graph @ gradient.numpy())
