"""What the ranker is wrong about: each outcome by itself, the order within a user's day, and the history."""

import torch
from torch import Tensor
from torch.nn import functional as F

_ONE_SITTING_S = 12 * 3600.0  # examples further apart are not compared


def outcome_loss(logits: Tensor, labels: Tensor, weights: Tensor) -> Tensor:
    """Log loss of (n, heads), summed over the heads by their `weights` (heads,); nan labels say nothing."""
    known = torch.isfinite(labels)
    each = F.binary_cross_entropy_with_logits(logits, torch.nan_to_num(labels), reduction="none") * known
    return weights @ (each.sum(0) / known.sum(0).clamp(min=1))


def head_weights(labels: Tensor, lift: float) -> Tensor:
    """What each head's loss counts for (heads,), by its labels (n, heads): the less a constant loses, the more.

    A like in fifty moves the loss of its head by a seventh of what a coin would. With `lift` 0 that stays so, with 1 all heads count alike.
    """
    rate = labels.nanmean(0).clamp(1e-4, 1 - 1e-4)
    lost = -(rate * rate.log() + (1 - rate) * (1 - rate).log())  # by a constant
    return (lost / lost.max()) ** -lift


def order_loss(logits: Tensor, labels: Tensor, served_at: Tensor) -> Tensor:
    """How badly what happened to a user is told from what did not: (b, c, heads), rows of one user each, `served_at` (b, c).

    A pair of examples of the same user and about the same day counts for a head when it happened in one and not in the
    other (after JRC, Sheng et al. 2023): what AUC within groups is about.
    """
    near = (served_at[:, :, None] - served_at[:, None, :]).abs() < _ONE_SITTING_S
    pairs = (labels[:, :, None] > labels[:, None, :]) & near[..., None]  # nan is never greater
    wrong = F.softplus(logits[:, None, :] - logits[:, :, None]) * pairs
    return (wrong.sum((0, 1, 2)) / pairs.sum((0, 1, 2)).clamp(min=1)).sum()


def history_loss(logits: Tensor, long_view: Tensor, there: Tensor) -> Tensor:
    """Log loss of (b, s) logits that a token was a long view, over the tokens that are there."""
    return F.binary_cross_entropy_with_logits(logits[there], long_view[there])
