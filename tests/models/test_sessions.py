"""The session says what the network said when it was exported: of each candidate by itself, with a history that came at once or bit by bit."""

import subprocess
import sys
from pathlib import Path

import msgspec
import numpy as np
import pytest
import torch

from reelrank.features.tokens import Tokens
from reelrank.models.id_tables import Changes
from reelrank.models.ranker_inputs import RankerSettings, VideoTraits
from reelrank.models.sessions import Manifest, RankerSession, SessionError
from reelrank.models.shifts import USER, user_keys
from reelrank.training.calibration import Calibration
from reelrank.training.examples import TrainingSet
from reelrank.training.export import export
from reelrank.training.ranker_data import RankerData, traits_of
from reelrank.training.score_examples import score_examples
from training.ranker_worlds import SMALL, VIDEOS, of_one_taste, with_any_weights, world

NOW = 1e9 + 5 * 86_400


def exported(data: TrainingSet, folder: Path, settings: RankerSettings = SMALL) -> RankerSession:
    """A ranker whose every part says something, as it is served."""
    torch.manual_seed(0)
    trained = with_any_weights(data, settings)
    export(trained, {"click": Calibration(0.5, 0.1)}, folder)
    logits, seconds = RankerData(data, trained).predict_all()
    session = RankerSession(folder)
    for told, said in zip((logits, seconds), score_examples(session, data), strict=True):
        assert np.abs(told - said).max() <= 1e-4
    return session


@pytest.fixture(scope="module")
def data() -> TrainingSet:
    return world(of_one_taste, users=12)


@pytest.fixture(scope="module")
def session(data: TrainingSet, tmp_path_factory: pytest.TempPathFactory) -> RankerSession:
    return exported(data, tmp_path_factory.mktemp("ranker"))


def history_of(data: TrainingSet, user: int, since: int = 0, until: int | None = None) -> Tokens:
    """Some of the tokens of a user."""
    start, end = data.tokens.start[user : user + 2]
    span = slice(start + since, end if until is None else start + until)
    return Tokens(np.array([0, span.stop - span.start]), *(column[span] for column in data.tokens[1:]))


@pytest.mark.parametrize("settings", [{"layers": 2}, {"encoded": 3, "window": 5, "strong": 2}])
def test_other_networks_say_the_same_after_the_export(data, tmp_path, settings) -> None:
    exported(data, tmp_path, msgspec.structs.replace(SMALL, **settings))


def test_a_candidate_is_scored_as_if_it_were_alone(session, data) -> None:
    history, traits = session.encode(history_of(data, 3), traits_of(data)), traits_of(data)
    features, videos = np.asarray(data.examples.features[:VIDEOS]), np.arange(VIDEOS)
    together = session.score("nobody", history, videos, features, 1, NOW, traits)
    for video in (0, 7, VIDEOS - 1):
        alone = session.score("nobody", history, videos[video : video + 1], features[video : video + 1], 1, NOW, traits)
        for head, said in alone.items():
            assert said[0] == pytest.approx(together[head][video], abs=1e-4)


def test_one_user_is_scored_as_the_examples_are(session, data) -> None:
    traits, ends = traits_of(data), data.history_ends - data.tokens.start[data.examples.user]
    logits, seconds = score_examples(session, data)
    expected = session.predictions(logits, seconds)
    for at in (0, 50, len(data.examples) - 1):
        history = session.encode(history_of(data, int(data.examples.user[at]), until=int(ends[at])), traits)
        one = data.examples.take(np.array([at]))
        said = session.score("nobody", history, one.video, one.features, int(one.surface[0]), float(one.served_at[0]), traits)
        for head, value in said.items():
            assert value[0] == pytest.approx(expected[head][at], abs=1e-4)


def test_a_users_row_shifts_the_logits_of_that_users_candidates_alone(data, tmp_path) -> None:
    session, traits = exported(data, tmp_path), traits_of(data)
    before, _ = score_examples(session, data)
    session.apply({USER: Changes(np.array([5]), user_keys([data.user_ids[3]]), np.array([[0.5, -1.0]], dtype=np.float32))})
    after, _ = score_examples(session, data)
    assert np.allclose(after - before, np.where((data.examples.user == 3)[:, None], [0.5, -1.0], 0.0), atol=1e-5)
    one, history = np.asarray(data.examples.features[:1]), session.encode(history_of(data, 3), traits)
    told = {user: session.score(user, history, np.arange(1), one, 1, NOW, traits) for user in ("u3", "u4")}
    odds = {user: said["long_view"][0] / (1 - said["long_view"][0]) for user, said in told.items()}
    assert np.log(odds["u3"] / odds["u4"]) == pytest.approx(-1.0, abs=1e-4)


def test_nobodys_history_is_scored(session, data) -> None:
    traits = traits_of(data)
    nothing = session.encode(history_of(data, 0, until=0), traits)
    said = session.score("nobody", nothing, np.arange(5), np.asarray(data.examples.features[:5]), 0, NOW, traits)
    assert all(np.isfinite(values).all() and values.shape == (5,) for values in said.values())
    assert set(said) == {"click", "long_view", "watch_s"}


def test_chances_are_calibrated_and_seconds_are_not_negative(session, data) -> None:
    said = session.predictions(np.array([[2.0, 2.0]]), np.array([3.0]))
    assert said["click"][0] == pytest.approx(1 / (1 + np.exp(-1.1)))
    assert said["long_view"][0] == pytest.approx(1 / (1 + np.exp(-2.0)))
    assert (score_examples(session, data)[1] >= 0).all()


def test_a_video_that_is_newer_than_the_ranker_is_scored_by_what_is_known_of_it(session, data) -> None:
    old = traits_of(data)
    newer = VideoTraits(*(np.concatenate([column, column[:2]]) for column in old))  # two videos like the first two
    vectors = session.tables.vectors(np.array([0, VIDEOS, VIDEOS + 1]), newer)
    with session.tables.live.held() as tables:
        own, unseen = tables["video"].look_up(np.array([0, VIDEOS]))
    assert np.allclose(vectors[1], vectors[0] - own + unseen, atol=1e-5)
    assert not np.allclose(vectors[1], vectors[2])  # by another author, of another tag


def test_a_changed_row_changes_what_is_said_of_its_video_alone(data, tmp_path) -> None:
    session, traits = exported(data, tmp_path), traits_of(data)
    before = session.tables.vectors(np.arange(VIDEOS), traits)
    with session.tables.live.held() as tables:
        row = tables["video"].rows_of(np.array([4]))
    session.apply({"video": Changes(row, np.array([4]), np.ones((1, SMALL.width), dtype=np.float32))})
    changed = (session.tables.vectors(np.arange(VIDEOS), traits) != before).any(axis=1)
    assert np.flatnonzero(changed).tolist() == [4]


def test_an_artifact_of_other_features_is_refused(session, data, tmp_path) -> None:
    exported(data, tmp_path)
    manifest = msgspec.json.decode((tmp_path / "ranker.json").read_bytes(), type=Manifest)
    (tmp_path / "ranker.json").write_bytes(msgspec.json.encode(msgspec.structs.replace(manifest, features_version="another")))
    with pytest.raises(SessionError, match="features of version another"):
        RankerSession(tmp_path)


def test_serving_loads_no_torch() -> None:
    code = "import sys, reelrank.models.sessions; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
