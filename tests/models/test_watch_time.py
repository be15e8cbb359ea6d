"""The watch time that is predicted is the middle of what is likely."""

import numpy as np
import pytest
import torch

from reelrank.models.watch_time import WatchTime, thresholds


def test_thresholds_lie_where_watches_end() -> None:
    found = thresholds(np.array([0.0, np.nan, *range(1, 101)], dtype=np.float32), 12)
    assert found[0] == 1 and len(found) == 12 and (np.diff(found) > 0).all()
    assert found[-1] == pytest.approx(99, abs=1)


def test_without_watches_there_are_thresholds_all_the_same() -> None:
    assert len(thresholds(np.zeros(5, dtype=np.float32), 4)) == 4


def test_the_median_lies_between_the_thresholds_that_half_outlast() -> None:
    head = WatchTime(1, torch.tensor([1.0, 2.0, 4.0, 8.0]))
    logits = torch.logit(torch.tensor([[0.9, 0.7, 0.3, 0.1], [0.2, 0.1, 0.1, 0.1], [0.99, 0.98, 0.97, 0.96]]))
    assert head.seconds(logits).tolist() == pytest.approx([3.0, 0.0, 8.0])


def test_a_long_tail_does_not_move_what_is_learned() -> None:
    torch.manual_seed(0)
    watched_s = torch.cat([torch.full((90,), 3.0), torch.full((10,), 1000.0)])
    head = WatchTime(1, torch.tensor([1.0, 2.0, 4.0, 8.0, 500.0]))
    optimizer = torch.optim.Adam(head.parameters(), lr=0.2)
    for _ in range(200):
        optimizer.zero_grad()
        head.loss(head(torch.ones(100, 1)), watched_s).backward()
        optimizer.step()
    logits = head(torch.ones(1, 1))
    assert 2 <= head.seconds(logits).item() <= 4
    assert (logits.diff(dim=-1) <= 0).all()  # nothing lasts longer than longer
