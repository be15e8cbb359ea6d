"""Publishing through gates, and back again: on artifacts whose worth is known."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from reelrank.domain.clock import ManualClock
from reelrank.evaluation.paired import auc_shares
from reelrank.storage.artifacts import PARENT, ArtifactStore
from reelrank.training.publish import FEATURES, PARITY, GateConfig, Judged, Unfit, Verdict, newest, predicted, publish
from training.damage import cut, emptied, flipped, pickled

USERS = np.repeat(np.arange(60), 20)
OUTCOMES = np.random.default_rng(0).random(len(USERS)) < 0.4


@pytest.fixture
def artifacts(tmp_path: Path) -> ArtifactStore:
    return ArtifactStore(tmp_path / "artifacts")


def candidate(folder: Path, signal: float, seed: int = 1) -> Path:
    """A model whose scores hold so much of the truth."""
    made = folder / f"candidate-{signal}-{seed}"
    made.mkdir(parents=True, exist_ok=True)
    np.save(made / "scores.npy", signal * OUTCOMES + np.random.default_rng(seed).normal(size=len(USERS)))
    return made


def judge(folder: Path) -> Judged:
    scores = predicted("scores", np.load(folder / "scores.npy"))
    return Judged(USERS, {"auc": auc_shares(OUTCOMES, scores)})


def published(artifacts: ArtifactStore, folder: Path, at: float, **more: object) -> Verdict:
    return publish(artifacts, "ranker", folder, judge, ManualClock(at), **more)


def test_the_first_sound_candidate_is_published(artifacts: ArtifactStore, tmp_path: Path) -> None:
    verdict = published(artifacts, candidate(tmp_path, 1.0), 1.0, about={"data_until": 7.0})
    current = artifacts.current("ranker")
    assert verdict.published
    assert current.manifest.version == verdict.version
    assert current.manifest.about["auc"] == verdict.metrics["auc"] > 0.7
    assert (current.manifest.about["data_until"], current.manifest.about[PARENT], current.manifest.about["held_out"]) == (7.0, "", len(USERS))
    assert np.array_equal(np.load(current.folder / "scores.npy"), np.load(candidate(tmp_path, 1.0) / "scores.npy"))


def test_a_better_candidate_takes_the_place_of_the_live_one(artifacts: ArtifactStore, tmp_path: Path) -> None:
    first = published(artifacts, candidate(tmp_path, 0.5), 1.0)
    second = published(artifacts, candidate(tmp_path, 2.0), 2.0)
    assert second.published
    assert second.against == first.version == artifacts.current("ranker").manifest.about[PARENT]
    assert second.differences["auc"].lo > 0


def test_a_worse_candidate_is_refused_with_numbers_and_the_live_version_stays(artifacts: ArtifactStore, tmp_path: Path) -> None:
    first = published(artifacts, candidate(tmp_path, 2.0), 1.0)
    verdict = published(artifacts, candidate(tmp_path, 0.5), 2.0)
    assert not verdict.published
    assert "auc is -0." in verdict.reasons[0]
    assert first.version in verdict.reasons[0]
    assert artifacts.current("ranker").manifest.version == first.version


def test_a_candidate_within_the_noise_is_published(artifacts: ArtifactStore, tmp_path: Path) -> None:
    published(artifacts, candidate(tmp_path, 1.0, seed=1), 1.0)
    verdict = published(artifacts, candidate(tmp_path, 1.0, seed=2), 2.0)
    assert verdict.published
    assert verdict.differences["auc"].lo < 0 < verdict.differences["auc"].hi


def test_what_is_merely_worse_can_be_published_anyway(artifacts: ArtifactStore, tmp_path: Path) -> None:
    published(artifacts, candidate(tmp_path, 2.0), 1.0)
    assert published(artifacts, candidate(tmp_path, 0.5), 2.0, anyway=True).published


def test_what_is_unsound_is_refused_whatever_it_is_worth(artifacts: ArtifactStore, tmp_path: Path) -> None:
    first = published(artifacts, candidate(tmp_path, 0.5), 1.0)
    good = candidate(tmp_path, 2.0)
    assert "features of version other" in published(artifacts, good, 2.0, about={FEATURES: "other"}, anyway=True).reasons[0]
    assert "differs from the network by 0.1" in published(artifacts, good, 2.0, about={PARITY: 0.1}, anyway=True).reasons[0]
    assert "differs from the network by nan" in published(artifacts, good, 2.0, about={PARITY: np.nan}, anyway=True).reasons[0]
    np.save(good / "weights.npy", np.array([1.0, np.nan, np.inf], dtype=np.float32))
    assert published(artifacts, good, 2.0, anyway=True).reasons == ("weights.npy holds 2 values that are no finite numbers",)
    (tmp_path / "empty").mkdir()
    assert "is empty" in published(artifacts, tmp_path / "empty", 2.0).reasons[0]
    assert artifacts.versions("ranker") == [first.version]


@pytest.mark.parametrize("damage", [cut, emptied, flipped, pickled])
def test_an_array_that_can_not_be_read_is_refused_by_its_name(artifacts: ArtifactStore, tmp_path: Path, damage: Callable[[Path], None]) -> None:
    good = candidate(tmp_path, 2.0)
    np.save(good / "more.npy", np.arange(10))
    damage(good / "more.npy")
    (reason,) = published(artifacts, good, 1.0).reasons
    assert f"{good / 'more.npy'} can't be read: " in reason


def test_what_is_only_called_an_array_is_refused(artifacts: ArtifactStore, tmp_path: Path) -> None:
    good = candidate(tmp_path, 2.0)
    (good / "folder.npy").mkdir()
    (good / "nowhere.npy").symlink_to(tmp_path / "not there")
    (good / "text.npy").write_text("hello")
    assert [reason.partition(" can't be read")[0] for reason in published(artifacts, good, 1.0).reasons] == [
        str(good / name) for name in ("folder.npy", "nowhere.npy", "text.npy")
    ]


def test_a_model_that_predicts_no_number_is_unfit(tmp_path: Path) -> None:
    with pytest.raises(Unfit, match="no finite click for 1 of 2"):
        predicted("click", np.array([0.5, np.nan]))


def test_a_live_version_that_cannot_be_judged_gives_way(artifacts: ArtifactStore, tmp_path: Path) -> None:
    artifacts.publish("ranker", 1.0, lambda folder: (folder / "of-an-earlier-release").touch())
    assert published(artifacts, candidate(tmp_path, 0.5), 2.0).published


def test_with_too_few_users_to_compare_what_is_live_stays(artifacts: ArtifactStore, tmp_path: Path) -> None:
    published(artifacts, candidate(tmp_path, 0.5), 1.0)
    verdict = published(artifacts, candidate(tmp_path, 2.0), 2.0, config=GateConfig(min_users=61))
    assert "60 users in 1200 held-out examples; 61 are needed" in verdict.reasons[0]


def test_what_becomes_live_while_a_candidate_is_judged_is_what_it_must_be_better_than(artifacts: ArtifactStore, tmp_path: Path) -> None:
    published(artifacts, candidate(tmp_path, 0.1), 1.0)
    others: list[Verdict] = []

    def meanwhile(folder: Path) -> Judged:
        if not others and folder.parent.parent == artifacts.root:  # the live version is looked at, and in another process somebody publishes
            others.append(published(artifacts, candidate(tmp_path, 3.0), 2.0))
        return judge(folder)

    verdict = publish(artifacts, "ranker", candidate(tmp_path, 1.0), meanwhile, ManualClock(3.0))
    assert others[0].published and not verdict.published
    assert verdict.against == others[0].version == artifacts.live("ranker")
    assert verdict.differences["auc"].hi < 0


def test_what_is_better_than_both_takes_the_place_of_the_one_that_overtook_it(artifacts: ArtifactStore, tmp_path: Path) -> None:
    first = published(artifacts, candidate(tmp_path, 0.1), 1.0)
    second = published(artifacts, candidate(tmp_path, 1.0), 2.0)

    def rolled_back(folder: Path) -> Judged:
        if artifacts.live("ranker") == second.version:
            artifacts.roll_back("ranker")
        return judge(folder)

    verdict = publish(artifacts, "ranker", candidate(tmp_path, 3.0), rolled_back, ManualClock(3.0))
    assert verdict.published and verdict.against == first.version == artifacts.current("ranker").manifest.about[PARENT]


def test_where_others_publish_all_the_while_it_gives_up_and_says_so(artifacts: ArtifactStore, tmp_path: Path) -> None:
    published(artifacts, candidate(tmp_path, 0.1), 1.0)

    def restless(folder: Path) -> Judged:
        if folder.parent.parent == artifacts.root:
            artifacts.publish("ranker", 2.0, lambda draft: np.save(draft / "scores.npy", np.load(folder / "scores.npy")))
        return judge(folder)

    verdict = publish(artifacts, "ranker", candidate(tmp_path, 3.0), restless, ManualClock(3.0))
    assert verdict.reasons == ("another version became live each of the 5 times that it was judged; publish it again",)


def test_a_version_is_as_old_as_its_publication_however_long_it_was_judged(artifacts: ArtifactStore, tmp_path: Path) -> None:
    clock = ManualClock(1.0)

    def slow(folder: Path) -> Judged:
        clock.advance_to(400.0)
        return judge(folder)

    verdict = publish(artifacts, "ranker", candidate(tmp_path, 1.0), slow, clock)
    assert artifacts.current("ranker").manifest.made_at == 400.0
    assert verdict.version.startswith("000000000400000-")


def test_the_newest_tenth_is_held_out(artifacts: ArtifactStore) -> None:
    assert newest(np.arange(100.0), GateConfig()) == 90.0
    assert newest(np.arange(100.0), GateConfig(held_out=4)) == 96.0
    assert newest(np.arange(3.0), GateConfig()) == np.inf
