"""Tests of the losses against torch's own cross-entropy, and of what the correction for sampling is for."""

import pytest
import torch
from torch.nn import functional

from reelrank.models import losses
from reelrank.models.losses import full_softmax, sampled_softmax


@pytest.mark.parametrize(("kind", "tolerance"), [(torch.float32, 1e-6), (torch.bfloat16, 2e-3)])
def test_the_full_softmax_is_cross_entropy_with_its_gradients(monkeypatch: pytest.MonkeyPatch, kind: torch.dtype, tolerance: float) -> None:
    monkeypatch.setattr(losses, "_fast_kind", lambda: kind)
    torch.manual_seed(0)
    users, videos, targets = torch.randn(300, 8, requires_grad=True), torch.randn(50, 8, requires_grad=True), torch.randint(50, (300,))
    ours = full_softmax(users, videos, targets)
    mine = torch.autograd.grad(3 * ours, (users, videos))
    theirs = functional.cross_entropy(users @ videos.T, targets)
    expected = torch.autograd.grad(3 * theirs, (users, videos))
    torch.testing.assert_close(ours, theirs, atol=10 * tolerance, rtol=10 * tolerance)
    for gradient, wanted in zip(mine, expected, strict=True):
        torch.testing.assert_close(gradient, wanted, atol=tolerance, rtol=10 * tolerance)


def fitted(correct: bool) -> torch.Tensor:
    """The scores that a sampled softmax learns where video 0 is as likely as each of 1 … 9, but is drawn 50 times as often."""
    torch.manual_seed(0)
    drawn = torch.tensor([50.0] + [1.0] * 9)
    scores = torch.zeros(10, requires_grad=True)
    optimizer = torch.optim.Adam([scores], lr=0.03)
    for _ in range(300):
        positives, negatives = torch.randint(10, (256,)), torch.multinomial(drawn, 128, replacement=True)
        chances = torch.log(drawn / drawn.sum() * 128) if correct else torch.zeros(10)
        same = positives[:, None] == negatives
        loss = sampled_softmax(torch.ones(256, 1), scores[positives, None], scores[negatives, None], chances[negatives], chances[positives], same)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return scores.detach() - scores.detach()[1:].mean()


def test_what_is_drawn_more_often_is_not_pushed_down() -> None:
    assert fitted(correct=True)[0].abs() < 0.3
    assert fitted(correct=False)[0] < -1.0
