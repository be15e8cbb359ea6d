"""Towers that nobody had to train: each kind of video has a direction of its own, and a user stands where the last watch was."""

from collections.abc import Sequence

import numpy as np
import torch

from reelrank.models.two_tower import TwoTower, TwoTowerConfig, VideoFeatures


def planted_towers(kinds: Sequence[int], authors: Sequence[int] | None = None, known: Sequence[bool] | None = None) -> TwoTower:
    """Video i has the direction of `kinds[i]` by its id and, where `authors` are given, by its author's number, which is then the kind, too."""
    videos, width = len(kinds), 16
    nobody = VideoFeatures.unknown(videos)
    features = nobody if authors is None else VideoFeatures(np.array(authors), nobody.sound, nobody.tags, nobody.content)
    torch.manual_seed(0)
    towers = TwoTower(features, TwoTowerConfig(width=width, layers=0, heads=1, dropout=0.0))
    directions = torch.linalg.qr(torch.randn(width, width))[0]
    with torch.no_grad():
        towers.video_tower.ids.weight.copy_(directions[torch.tensor(kinds)] + 0.05 * torch.randn(videos, width))
        if authors is not None:
            table = towers.video_tower.tables["author"].weight
            table[1:] = directions[torch.arange(len(table) - 1)]  # pyright: ignore
    if known is not None:
        towers.video_tower.describe(features, np.array(known))
    return towers.eval()
