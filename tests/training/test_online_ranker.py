"""The ranker online: the network that learns and the session that serves say the same, before and after."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from reelrank.evaluation.prediction import auc
from reelrank.models.row_optimizer import RowAdagrad
from reelrank.models.sessions import RankerSession
from reelrank.models.shifts import USER, user_keys
from reelrank.training.examples import TrainingSet
from reelrank.training.online_config import LearnerConfig
from reelrank.training.online_learner import OnlineLearner
from reelrank.training.online_ranker import OnlineRanker
from reelrank.training.publish import FEATURES
from reelrank.training.score_examples import score_examples
from training.small_ranker import NOW, USERS, VIDEOS, published, world


@pytest.fixture(scope="module")
def past() -> TrainingSet:
    return world()


@pytest.fixture(scope="module")
def artifact(tmp_path_factory: pytest.TempPathFactory, past: TrainingSet) -> Path:
    folder = tmp_path_factory.mktemp("ranker") / "artifact"
    published(folder, past)
    return folder


def said(session: RankerSession, data: TrainingSet) -> np.ndarray:
    return score_examples(session, data)[0]


def some(data: TrainingSet, first: int, last: int) -> TrainingSet:
    return replace(data, examples=data.examples.take(np.arange(first, last)))


def test_who_learns_predicts_what_is_served(artifact: Path, past: TrainingSet) -> None:
    ranker = OnlineRanker.load(artifact, NOW)
    rows = {name: RowAdagrad(table) for name, table in ranker.tables.items()}
    answers = ranker.answer(past, rows)
    assert np.allclose(answers.logits.detach().numpy(), said(RankerSession(artifact), past), atol=1e-4)
    assert answers.losses.shape == (len(past.examples),)


def test_rows_that_are_sent_make_the_session_say_what_the_learner_says(artifact: Path, past: TrainingSet) -> None:
    learner = OnlineLearner(OnlineRanker.load(artifact, NOW), LearnerConfig(row_rate=0.05, dense_rate=0.0))
    session = RankerSession(artifact)
    before = said(session, past)
    for first in range(0, 300, 50):
        learner.learn(some(past, first, first + 50))
        session.apply(learner.changes())
    after = learner.model.answer(past, {name: RowAdagrad(table) for name, table in learner.model.tables.items()}).logits.detach().numpy()
    assert np.allclose(said(session, past), after, atol=1e-4)
    assert np.abs(after - before).max() > 0.01
    assert len(learner.model.tables[USER]) == USERS


def test_what_is_exported_says_what_the_learner_says_and_learning_goes_on_from_there(artifact: Path, past: TrainingSet, tmp_path: Path) -> None:
    learner = OnlineLearner(OnlineRanker.load(artifact, NOW), LearnerConfig(row_rate=0.05, dense_rate=1e-2))
    for first in range(0, 200, 50):
        learner.learn(some(past, first, first + 50))
    about = learner.model.export(tmp_path)
    assert FEATURES in about
    after = learner.model.answer(past, {name: RowAdagrad(table) for name, table in learner.model.tables.items()}).logits.detach().numpy()
    assert np.allclose(said(RankerSession(tmp_path), past), after, atol=1e-4)
    again = OnlineRanker.load(tmp_path, NOW)
    assert np.allclose(again.answer(past, {name: RowAdagrad(table) for name, table in again.tables.items()}).logits.detach().numpy(), after, atol=1e-5)


def test_what_has_no_rate_is_not_learned(artifact: Path, past: TrainingSet) -> None:
    learner = OnlineLearner(OnlineRanker.load(artifact, NOW), LearnerConfig(user_rate=0.1, row_rate=0.0, dense_rate=0.0))
    before = learner.model.predict(past)
    for first in range(0, 300, 50):
        learner.learn(some(past, first, first + 50))
    changed = learner.changes()
    assert set(changed) == {USER}
    shifts = learner.model.tables[USER].look_up(user_keys(past.user_ids.tolist()))
    assert np.allclose(learner.model.predict(past) - before, shifts[past.examples.user], atol=1e-5)
    nothing = OnlineLearner(OnlineRanker.load(artifact, NOW), LearnerConfig(user_rate=0.0, row_rate=0.0, dense_rate=0.0))
    nothing.learn(some(past, 0, 50))
    assert nothing.changes() == {} and np.array_equal(nothing.model.predict(past), before)


def test_users_who_have_not_come_for_long_lose_their_rows(artifact: Path, past: TrainingSet) -> None:
    ranker = OnlineRanker.load(artifact, NOW)
    learner = OnlineLearner(ranker, LearnerConfig())
    learner.learn(some(past, 0, 300))
    later = replace(past, examples=replace(past.examples, known_at=past.examples.known_at + 31 * 86_400))
    only = replace(later, examples=later.examples.take(np.flatnonzero(later.examples.user == 5)[:3]))
    learner.learn(only)
    rows = ranker.tables[USER].rows_of(user_keys(past.user_ids.tolist()))
    assert np.flatnonzero(rows).tolist() == [5]


def test_it_learns_that_the_world_has_changed(artifact: Path) -> None:
    news = world(2_000, seed=5, since=NOW + 1e6, liked=1)
    learner = OnlineLearner(OnlineRanker.load(artifact, NOW), LearnerConfig(row_rate=0.1, dense_rate=1e-3))
    logits = [learner.learn(some(news, first, first + 50)).logits for first in range(0, 2_000, 50)]
    column = learner.model.heads.index("click")
    happened = news.examples.label("click") > 0
    said_first, said_last = np.concatenate(logits)[:50, column], np.concatenate(logits)[-400:, column]
    assert auc(happened[:50], said_first.astype(float)) < 0.5
    assert auc(happened[-400:], said_last.astype(float)) > 0.8


def test_videos_authors_and_sounds_that_are_new_get_rows_of_their_own(artifact: Path, past: TrainingSet) -> None:
    wider = replace(
        past,
        traits=replace(past.traits, **{
            name: np.concatenate([column := getattr(past.traits, name), column[:5]])
            for name in ("sound", "tags", "duration_s", "uploaded_at", "content")
        }, author=np.concatenate([past.traits.author, np.full(5, 99)])),
        examples=replace(past.examples, video=np.where(np.arange(len(past.examples)) % 2, VIDEOS + past.examples.user % 5, past.examples.video)),
    )  # fmt: skip
    learner = OnlineLearner(OnlineRanker.load(artifact, NOW), LearnerConfig(row_rate=0.05))
    session = RankerSession(artifact)
    for first in range(0, 400, 50):
        learner.learn(some(wider, first, first + 50))
    tables = learner.model.tables
    assert (tables["video"].rows_of(np.arange(VIDEOS, VIDEOS + 5)) > 0).all()
    assert tables["author"].rows_of(np.array([99]))[0] > 0
    session.apply(learner.changes())
    rows = {name: RowAdagrad(table, 0.0) for name, table in tables.items()}
    last = some(wider, 400, 500)
    learner.learn(last)
    session.apply(learner.changes())
    assert np.allclose(said(session, last), learner.model.answer(last, rows).logits.detach().numpy(), atol=0.2)  # the dense weights are not there yet


def test_a_learner_that_observed_begins_with_small_steps(artifact: Path, past: TrainingSet) -> None:
    moved = {}
    for observes in (False, True):
        learner = OnlineLearner(OnlineRanker.load(artifact, NOW), LearnerConfig(row_rate=0.05))
        before = learner.model.tables["video"].weights.copy()
        if observes:
            for first in range(0, 600, 50):
                learner.observe(some(past, first, first + 50))
            assert np.array_equal(learner.model.tables["video"].weights, before)
        learner.learn(some(past, 0, 50))
        moved[observes] = np.abs(learner.model.tables["video"].weights - before).max()
    assert moved[True] < 0.7 * moved[False]
    assert len(past.user_ids) == USERS
