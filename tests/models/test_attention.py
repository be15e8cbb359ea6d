"""Tests of the causal encoder: nothing of the future, nothing of the padding, and distances instead of places."""

import pytest
import torch

from reelrank.models.attention import CausalEncoder


def encoder(layers: int = 2) -> CausalEncoder:
    torch.manual_seed(0)
    made = CausalEncoder(width=16, layers=layers, heads=2, dropout=0.5).eval()
    with torch.no_grad():
        made.nearness.normal_()
    return made


def test_what_comes_later_changes_nothing_before_it() -> None:
    tokens = torch.randn(3, 10, 16)
    changed = tokens.clone()
    changed[:, 6:] = torch.randn(3, 4, 16)
    with torch.inference_mode():
        before, after = encoder()(tokens), encoder()(changed)
    torch.testing.assert_close(before[:, :6], after[:, :6])
    assert (before[:, 6:] - after[:, 6:]).abs().amax(dim=(0, 2)).min() > 1e-3


def test_every_token_of_the_past_has_a_say() -> None:
    tokens = torch.randn(1, 8, 16, requires_grad=True)
    encoder(layers=1)(tokens)[0, -1].norm().backward()
    assert tokens.grad is not None
    assert (tokens.grad.norm(dim=2) > 0).all()


def test_padding_at_the_end_changes_nothing() -> None:
    tokens = torch.randn(2, 5, 16)
    longer = torch.cat([tokens, torch.zeros(2, 40, 16)], dim=1)
    with torch.inference_mode():
        torch.testing.assert_close(encoder()(longer)[:, :5], encoder()(tokens))


def test_the_same_tokens_later_in_time_are_read_the_same() -> None:
    """One layer over equal tokens: what is read depends on how far back they lie, not on where they stand."""
    tokens = torch.randn(1, 1, 16).expand(1, 30, 16)
    with torch.inference_mode():
        read = encoder(layers=1)(tokens)
    torch.testing.assert_close(read[0, 20], read[0, 29])


def test_a_width_that_the_heads_cannot_share_is_refused() -> None:
    with pytest.raises(ValueError, match="10 can't be shared by 4 heads"):
        CausalEncoder(width=10, layers=1, heads=4, dropout=0.0)
