"""RowAdagrad: what it learns is what Adagrad would, it touches nothing else, and ids without collisions win where hashed ones can't."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from reelrank.features.row_index import NO_KEY
from reelrank.models.id_tables import IdTable, IdTableConfig
from reelrank.models.row_optimizer import RowAdagrad, merged

BATCH = st.lists(st.integers(0, 9), min_size=1, max_size=30)


def table_of(keys: int, **config: object) -> IdTable:
    table = IdTable(IdTableConfig(**{"admit_after": 1, "first_rows": 8, "spread": 0.3, **config}))
    table.admit(np.arange(keys), 0.0)
    return table


@given(st.lists(BATCH, max_size=5))
def test_rows_of_one_number_learn_as_torchs_adagrad_does(batches: list[list[int]]) -> None:
    table = table_of(10, width=1)
    dense = torch.nn.Parameter(torch.from_numpy(table.look_up(np.arange(10))))
    ours, theirs = RowAdagrad(table, 0.1, 1e-10), torch.optim.Adagrad([dense], 0.1, eps=1e-10)
    for batch in batches:
        aims = torch.arange(len(batch), dtype=torch.float32)[:, None]
        theirs.zero_grad()
        ((ours.gather(table.rows_of(np.array(batch))) - aims) ** 2).sum().backward()
        ((dense[torch.tensor(batch)] - aims) ** 2).sum().backward()
        ours.step()
        theirs.step()
    np.testing.assert_allclose(table.look_up(np.arange(10)), dense.detach().numpy(), atol=1e-5)


@given(BATCH, st.integers(1, 5))
def test_gradients_of_the_same_row_are_added(rows: list[int], width: int) -> None:
    gradients = torch.randn(len(rows), width, generator=torch.Generator().manual_seed(len(rows)))
    distinct, sums = merged(np.array(rows), gradients)
    assert distinct.tolist() == sorted(set(rows))
    expected = torch.zeros(10, width).index_add_(0, torch.tensor(rows), gradients)
    np.testing.assert_allclose(sums.numpy(), expected[torch.from_numpy(distinct)].numpy(), atol=1e-5)


def test_several_leaves_of_one_table_count_as_one_batch() -> None:
    together, apart = table_of(6, width=4), table_of(6, width=4)
    rows = together.rows_of(np.array([[1, 2], [2, 5]]))
    for table, leaves in ((together, [rows]), (apart, [rows[0], rows[1]])):
        optimizer = RowAdagrad(table)
        torch.cat([optimizer.gather(leaf).reshape(-1, 4) for leaf in leaves]).pow(2).sum().backward()
        optimizer.step()
    assert np.array_equal(together.weights, apart.weights) and np.array_equal(together.squares, apart.squares)


def test_only_the_rows_of_the_batch_change_and_say_so() -> None:
    table = table_of(10, width=4)
    before, mark, optimizer = table.weights.copy(), table.edition, RowAdagrad(table)
    rows = table.rows_of(np.array([3, 7, 3, 42, NO_KEY]))
    assert optimizer.gather(rows[:2]).grad is None  # takes no part in the loss
    optimizer.gather(rows).sum().backward()
    optimizer.step()
    changed = np.flatnonzero((table.weights != before).any(axis=1))
    assert changed.tolist() == sorted(set(rows[:2].tolist())) == table.changes_since(mark).rows.tolist()
    optimizer.step()  # nothing was gathered since
    assert len(table.changes_since(table.edition).rows) == 0


def test_the_unseen_share_a_row_that_learns_if_it_may_and_newcomers_start_from_it() -> None:
    table = table_of(2, width=3, learn_unseen=True, spread=1e-6)
    optimizer = RowAdagrad(table, learning_rate=0.5)
    for _ in range(60):
        (optimizer.gather(table.rows_of(np.array([77, 78, 0]))) - torch.tensor([[2.0], [2.0], [-1.0]])).pow(2).sum().backward()
        optimizer.step()
    np.testing.assert_allclose(table.look_up(np.array([123, 0])), [[2.0] * 3, [-1.0] * 3], atol=1e-3)
    table.admit(np.array([77]), 1.0)
    np.testing.assert_allclose(table.look_up(np.array([77])), [[2.0] * 3], atol=1e-3)


def test_what_was_learned_about_an_id_never_reaches_the_next_owner_of_its_row() -> None:
    table = table_of(3, width=2, expire_after_s=10.0)
    optimizer = RowAdagrad(table)
    row = table.rows_of(np.array([1]))
    leaf, mine = optimizer.gather(row), optimizer.gather(table.rows_of(np.array([2])))
    table.admit(np.array([2, 0]), 20.0)
    table.expire(20.0)  # 1 goes
    assert table.admit(np.array([55]), 20.0).tolist() == row.tolist()
    before = table.look_up(np.array([55, 2]))
    (leaf + mine).sum().backward()
    optimizer.step()
    after = table.look_up(np.array([55, 2]))
    assert np.array_equal(after[0], before[0]) and (after[1] < before[1]).all()
    assert table.squares[row] == 0


def test_a_gradient_that_is_not_finite_is_refused_before_anything_is_learned() -> None:
    table = table_of(4, width=2)
    before, optimizer = table.weights.copy(), RowAdagrad(table)
    (optimizer.gather(table.rows_of(np.array([1, 3]))) * torch.tensor([[1.0], [float("nan")]])).sum().backward()
    with pytest.raises(ValueError, match="gradients of 1 ids are not finite, the first is 3"):
        optimizer.step()
    assert np.array_equal(table.weights, before) and not table.squares.any()


@pytest.mark.parametrize(("own_rows", "least", "most"), [(True, 1.0, 1.0), (False, 0.5, 0.9)])
def test_ids_with_their_own_rows_learn_a_world_that_hashed_ids_cannot(own_rows: bool, least: float, most: float) -> None:
    """4,000 ids, each liked or not by the toss of a coin; 2,000 hashed rows make most of them share one with a stranger."""
    rng = np.random.default_rng(3)
    keys = np.unique(rng.integers(-(2**62), 2**62, 4_000))
    liked = rng.random(len(keys)) < 0.5
    asked = keys if own_rows else keys % 2_000
    table = IdTable(IdTableConfig(width=1, admit_after=1))
    optimizer = RowAdagrad(table, learning_rate=0.5)
    for now in range(12):
        order = rng.permutation(len(keys))
        for batch in np.split(order, 8):
            scores = optimizer.gather(table.admit(asked[batch], now))[:, 0]
            torch.nn.functional.binary_cross_entropy_with_logits(scores, torch.from_numpy(liked[batch]).float(), reduction="sum").backward()
            optimizer.step()
    right = ((table.look_up(asked)[:, 0] > 0) == liked).mean()
    assert least <= right <= most
