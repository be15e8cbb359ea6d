"""The ranker as it is laid out for serving says what the ranker says, of every shape."""

import msgspec
import pytest
import torch
from torch import Tensor

from reelrank.features.definitions import SHARED
from reelrank.models.ranker import CandidateTensors, Encoded, Ranker
from reelrank.models.ranker_inputs import AGES, RANKS, RankerSettings
from reelrank.models.served_ranker import ServedCandidates
from training.ranker_worlds import SMALL, of_chance, with_any_weights, world

DATA = world(of_chance, users=2)


def served(settings: RankerSettings) -> tuple[Ranker, ServedCandidates]:
    torch.manual_seed(0)
    ranker = with_any_weights(DATA, settings).ranker.eval()
    return ranker, ServedCandidates(ranker, SHARED).eval()


def asked_of(ranker: Ranker, rows: int, candidates: int, tokens: int) -> tuple[Tensor, ...]:
    """Candidates for so many users, as they are served."""
    d, heads = ranker.settings.width, ranker.settings.attention_heads
    lags = [torch.randint(1, buckets, (rows, 1, tokens)) for buckets in (RANKS, AGES)]
    history = torch.randn(2, ranker.settings.layers, rows, heads, tokens, d // heads)
    shared, own = torch.randn(len(SHARED), rows), torch.randn(ranker.features - len(SHARED), rows * candidates)
    return torch.randn(rows, candidates, d), torch.randint(0, 9, (rows, 1)), shared, own, *lags, *history


@pytest.mark.parametrize("change", [{}, {"layers": 2}, {"encoded": 0}, {"experts": 1, "attention_heads": 1, "thresholds": 3}])
@pytest.mark.parametrize("tokens", [0, 6])
@torch.no_grad()
def test_it_says_what_the_ranker_says(change: dict[str, int], tokens: int) -> None:
    ranker, scoring = served(msgspec.structs.replace(SMALL, **change))
    vectors, surface, shared, own, ranks, ages, keys, values = asked = asked_of(ranker, 3, 5, tokens)
    dense = torch.empty(3, 5, ranker.features)
    dense[..., SHARED] = shared.t()[:, None]
    dense[..., [column for column in range(ranker.features) if column not in SHARED]] = own.t().unflatten(0, (3, 5))
    told, lasts = ranker(CandidateTensors(vectors, surface.expand(3, 5), dense, ranks, ages), Encoded(keys, values))
    logits, seconds = scoring(*asked)
    assert torch.allclose(logits.t().unflatten(0, (3, 5)), told, atol=1e-4)
    assert torch.allclose(seconds[0].view(3, 5), ranker.watch_time.seconds(lasts), atol=1e-3)
