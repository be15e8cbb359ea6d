"""A history that was kept is the history encoded anew, whatever happened to it meanwhile; and what is kept is bounded and of the version that serves."""

import gc
import weakref
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec
import numpy as np
import pytest
import torch

from reelrank.features.tokens import Action, Tokens
from reelrank.models.id_tables import Changes
from reelrank.models.sessions import EncodedHistory, RankerSession
from reelrank.ranking.ranker_session import KeptHistories
from reelrank.training.export import export
from reelrank.training.ranker_data import traits_of
from training.ranker_worlds import SMALL, VIDEOS, of_chance, with_any_weights, world

NOW, MIB, STALE_S = 1e9, 2**20, 30.0
DATA = world(of_chance, users=4)
TRAITS = traits_of(DATA)


@pytest.fixture(scope="module", params=[1, 2], ids=["one layer", "two layers"])
def session(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> RankerSession:
    """It reads the last 6 tokens and 3 that were meant from before those."""
    return loaded(tmp_path_factory.mktemp("ranker"), request.param)


def loaded(folder: Path, layers: int = 1) -> RankerSession:
    torch.manual_seed(0)
    export(with_any_weights(DATA, msgspec.structs.replace(SMALL, layers=layers, window=6, strong=3)), {}, folder)
    return RankerSession(folder)


def drawn(rng: np.random.Generator, count: int, since: float = NOW) -> Tokens:
    """So many tokens after a moment, a third of them meant."""
    actions = np.where(rng.random(count) < 0.3, int(Action.LIKE), int(Action.CLICK)).astype(np.uint8)
    at = since + np.cumsum(rng.integers(1, 90, count)).astype(np.float64)
    return Tokens(np.array([0, count]), rng.integers(0, VIDEOS, count), actions, rng.random(count).astype(np.float32), at, rng.integers(0, 3, count))


def at_places(tokens: Tokens, places: np.ndarray) -> Tokens:
    return Tokens(np.array([0, len(places)]), *(column[places] for column in tokens[1:]))


def together(one: Tokens, other: Tokens) -> Tokens:
    """Both, in the order of time."""
    columns = [np.concatenate(pair) for pair in zip(one[1:], other[1:], strict=True)]
    order = np.argsort(columns[3], kind="stable")
    return Tokens(np.array([0, len(order)]), *(column[order] for column in columns))


def what_happens_next(tokens: Tokens, rng: np.random.Generator) -> Tokens:
    """Nothing, new events, one that came late, one taken back, one that reads otherwise now, or an older moment is asked for."""
    count = len(tokens.video)
    match rng.integers(0, 8) if count else 7:
        case 0:
            return tokens
        case 1:
            return together(tokens, drawn(rng, 1, float(tokens.occurred_at[rng.integers(count)])))
        case 2:
            return at_places(tokens, np.delete(np.arange(count), rng.integers(count)))
        case 3:
            changed = tokens.actions.copy()
            changed[rng.integers(count)] ^= int(Action.LONG_VIEW)
            return tokens._replace(actions=changed)
        case 4:
            return at_places(tokens, np.arange(count - int(rng.integers(0, min(count, 3)))))
        case _:
            return together(tokens, drawn(rng, int(rng.integers(1, 4)), float(tokens.occurred_at[-1]) if count else NOW))


def same(one: EncodedHistory, other: EncodedHistory) -> bool:
    arrays = zip((one.keys, one.values, one.place, one.occurred_at), (other.keys, other.values, other.place, other.occurred_at), strict=True)
    return one.count == other.count and all(a.shape == b.shape and np.allclose(a, b, rtol=0, atol=1e-5) for a, b in arrays)


def kept(mib: float = 1.0) -> KeptHistories:
    return KeptHistories(int(mib * MIB), STALE_S)


@pytest.mark.parametrize("seed", range(4))
def test_whatever_happens_to_a_history_what_is_kept_is_what_is_encoded_from_nothing(session: RankerSession, seed: int) -> None:
    rng, histories, tokens = np.random.default_rng(seed), kept(), drawn(np.random.default_rng(seed), 0)
    for _ in range(60):
        tokens = what_happens_next(tokens, rng)
        found = histories.encode(session, "u", tokens, TRAITS, NOW)
        assert same(found, session.encode(tokens, TRAITS))
    assert histories.taken_over and histories.grown


def test_with_one_layer_only_what_is_new_is_encoded_however_full_the_history_is(tmp_path: Path) -> None:
    session, histories, rng = loaded(tmp_path), kept(), np.random.default_rng(1)
    tokens = drawn(rng, 40)
    assert histories.encode(session, "u", tokens, TRAITS, NOW).fresh == 9
    for _ in range(5):
        tokens = together(tokens, drawn(rng, 1, float(tokens.occurred_at[-1])))
        assert histories.encode(session, "u", tokens, TRAITS, NOW).fresh == 1
        assert histories.encode(session, "u", tokens, TRAITS, NOW).fresh == 0
    assert (histories.encoded, histories.grown, histories.taken_over) == (1, 5, 5)


def test_what_is_kept_of_one_user_is_nobody_elses(session: RankerSession) -> None:
    histories, rng = kept(), np.random.default_rng(2)
    one, other = drawn(rng, 8), drawn(rng, 8)
    histories.encode(session, "one", one, TRAITS, NOW)
    assert same(histories.encode(session, "other", other, TRAITS, NOW), session.encode(other, TRAITS))
    assert len(histories) == 2


def test_who_asked_longest_ago_is_forgotten_when_the_bytes_are_used_up(session: RankerSession) -> None:
    rng = np.random.default_rng(3)
    tokens = drawn(rng, 20)
    each = KeptHistories(MIB, STALE_S)
    each.encode(session, "u", tokens, TRAITS, NOW)
    histories = KeptHistories(3 * each.nbytes, STALE_S)
    for user in ("a", "b", "c", "a", "d"):
        histories.encode(session, user, tokens, TRAITS, NOW)
    assert len(histories) == 3 and histories.nbytes == 3 * each.nbytes
    histories.encode(session, "a", tokens, TRAITS, NOW)
    assert histories.taken_over == 2
    histories.encode(session, "b", tokens, TRAITS, NOW)
    assert histories.encoded == 5


def test_nothing_is_kept_where_that_is_switched_off(session: RankerSession) -> None:
    histories, tokens = KeptHistories(0, STALE_S), drawn(np.random.default_rng(4), 9)
    for _ in range(3):
        histories.encode(session, "u", tokens, TRAITS, NOW)
    assert (histories.encoded, histories.taken_over, len(histories), histories.nbytes) == (3, 0, 0, 0)


def test_another_loaded_version_takes_nothing_over_and_the_one_before_is_let_go(tmp_path: Path) -> None:
    histories, tokens = kept(), drawn(np.random.default_rng(5), 9)
    first, second = loaded(tmp_path), RankerSession(tmp_path)
    histories.encode(first, "u", tokens, TRAITS, NOW)
    histories.encode(first, "v", tokens, TRAITS, NOW)
    of_second = [histories.encode(second, "u", tokens, TRAITS, NOW) for _ in range(2)]
    assert [one.fresh for one in of_second] == [len(of_second[0]), 0]
    let_go = weakref.ref(first)
    del first
    gc.collect()
    assert let_go() is None


def test_rows_that_are_learned_reach_a_kept_history_in_time(tmp_path: Path) -> None:
    session, histories, tokens = loaded(tmp_path), kept(), drawn(np.random.default_rng(6), 9)
    histories.encode(session, "u", tokens, TRAITS, NOW)
    assert histories.encode(session, "u", tokens, TRAITS, NOW + 10 * STALE_S).fresh == 0  # nothing was learned
    video = tokens.video[-1:]
    with session.tables.live.held() as tables:
        row = tables["video"].rows_of(video)
    session.apply({"video": Changes(row, video, np.ones((1, SMALL.width), dtype=np.float32))})
    now = NOW + STALE_S
    assert histories.encode(session, "u", tokens, TRAITS, now).fresh == 0
    tokens = together(tokens, drawn(np.random.default_rng(7), 1, float(tokens.occurred_at[-1])))
    assert histories.encode(session, "u", tokens, TRAITS, now).fresh >= 1  # of what is new nothing is old
    assert same(histories.encode(session, "u", tokens, TRAITS, now + 1), session.encode(tokens, TRAITS))
    assert histories.encode(session, "u", tokens, TRAITS, now + 2).fresh == 0


def test_many_requests_of_one_user_at_once_are_all_answered_right(session: RankerSession) -> None:
    histories, rng = kept(), np.random.default_rng(8)
    every = drawn(rng, 30)
    lives = [at_places(every, np.arange(end)) for end in rng.integers(5, 31, 60)]
    with ThreadPoolExecutor(4) as threads:
        found = list(threads.map(lambda tokens: histories.encode(session, "u", tokens, TRAITS, NOW), lives))
    assert all(same(one, session.encode(tokens, TRAITS)) for one, tokens in zip(found, lives, strict=True))
    assert len(histories) == 1
