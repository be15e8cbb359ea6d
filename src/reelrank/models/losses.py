"""What a retrieval model is trained on: the full softmax over a catalogue, or a sampled one that corrects for its sampling."""

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

_ROWS = 128  # users scored at a time: their logits stay in the processor's cache


def full_softmax(users: Tensor, videos: Tensor, targets: Tensor) -> Tensor:
    """The mean cross-entropy of the target among all videos: (n, d), (m, d), (n,) -> ().

    Equal to `cross_entropy(users @ videos.T, targets)`, but a block of rows at a time, with its gradient taken while
    the logits are still at hand: three times as fast on a CPU, and the (n, m) logits never exist.
    """
    return _FullSoftmax.apply(users, videos, targets)  # type: ignore[no-any-return]


def sampled_softmax(
    users: Tensor, positives: Tensor, negatives: Tensor, log_expected: Tensor, log_expected_positives: Tensor, same: Tensor | None = None
) -> Tensor:
    """The mean cross-entropy of each user's positive among the batch's shared negatives, corrected for how often each was drawn.

    `users`, `positives` (n, d); `negatives` (s, d); `log_expected` (s,) and `log_expected_positives` (n,) are the logarithms of
    how often a video is expected among the negatives (logQ: Bengio & Senécal 2008; Yi et al. 2019): without it popular
    videos, which are drawn more often, would be pushed down. `same` (n, s) marks negatives that are the user's own
    positive; they are left out.
    """
    own = (users * positives).sum(dim=1) - log_expected_positives  # (n,)
    others = users @ negatives.T - log_expected  # (n, s)
    if same is not None:
        others = others.masked_fill(same, float("-inf"))
    return functional.cross_entropy(torch.cat([own[:, None], others], dim=1), torch.zeros(len(users), dtype=torch.long))


class _FullSoftmax(torch.autograd.Function):
    """Computes both gradients on the way forward."""

    @staticmethod
    def forward(ctx: Any, users: Tensor, videos: Tensor, targets: Tensor) -> Tensor:
        kind = _fast_kind()
        catalogue = videos.to(kind)
        to_users, to_videos = torch.empty_like(users), torch.zeros_like(videos)
        total = users.new_zeros(())
        for start in range(0, len(users), _ROWS):
            block, target = users[start : start + _ROWS].to(kind), targets[start : start + _ROWS, None]
            logits = (block @ catalogue.T).float()  # (rows, m)
            highest, own = logits.amax(dim=1, keepdim=True), logits.gather(1, target)
            chances = logits.sub_(highest).exp_()
            sums = chances.sum(dim=1, keepdim=True)
            total += (sums.log() + highest - own).sum()
            surplus = chances.div_(sums).scatter_add_(1, target, torch.full_like(own, -1.0)).to(kind)
            to_users[start : start + _ROWS] = surplus @ catalogue
            to_videos += surplus.T @ block
        ctx.save_for_backward(to_users.div_(len(users)), to_videos.div_(len(users)))
        return total / len(users)

    @staticmethod
    def backward(ctx: Any, *outer: Tensor) -> tuple[Tensor, Tensor, None]:
        to_users, to_videos = ctx.saved_tensors
        return outer[0] * to_users, outer[0] * to_videos, None


def _fast_kind() -> torch.dtype:
    """bfloat16 where the processor multiplies it natively (then twice as fast), else float32."""
    return torch.bfloat16 if torch.cpu._is_avx512_bf16_supported() else torch.float32
