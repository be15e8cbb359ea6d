"""Watch time as the chances that it lasts longer than each of many thresholds; what is predicted is its median."""

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from reelrank.domain.arrays import Floats

_FALL = -1.7  # of the logit from one threshold to the next, before training: softplus of this


class WatchTime(nn.Module):
    """Discretised at quantiles (after CREAD, Sun et al. 2024) and read at the middle: a long tail moves a mean, not a median."""

    def __init__(self, width: int, thresholds_s: Tensor) -> None:
        """`thresholds_s` (k,) ascending."""
        super().__init__()
        self.thresholds_s = nn.Buffer(thresholds_s)
        self.score = nn.Linear(width, len(thresholds_s))
        with torch.no_grad():
            self.score.bias.fill_(_FALL)
            self.score.bias[0] = 3.0

    def forward(self, told: Tensor) -> Tensor:
        """(…, width) → logits of lasting longer, which never rise with the threshold: (…, k)."""
        score = self.score(told)
        return score[..., :1] - F.pad(torch.cumsum(F.softplus(score[..., 1:]), -1), (1, 0))

    def loss(self, logits: Tensor, watched_s: Tensor) -> Tensor:
        """Of (n, k) against (n,) seconds."""
        return F.binary_cross_entropy_with_logits(logits, (watched_s[:, None] > self.thresholds_s).to(logits.dtype))

    def seconds(self, logits: Tensor) -> Tensor:
        """The medians of (…, k): (…,)."""
        lasts = torch.sigmoid(logits)
        here, later = lasts[..., :-1], lasts[..., 1:]
        share = ((here - 0.5) / (here - later).clamp(min=1e-6)).clamp(0, 1)  # of each interval that lies below the median
        return self.thresholds_s[0] * (lasts[..., 0] > 0.5) + (share * (self.thresholds_s[1:] - self.thresholds_s[:-1])).sum(-1)


def thresholds(watched_s: Floats, count: int) -> Floats:
    """Thresholds at quantiles of the watches (n,) that lasted, at most `count`: ascending."""
    lasted = watched_s[np.isfinite(watched_s) & (watched_s > 0)]
    return np.unique(np.quantile(lasted, np.linspace(0.0, 0.99, count)).astype(np.float32)) if len(lasted) else np.arange(1.0, count + 1, dtype=np.float32)
