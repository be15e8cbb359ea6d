"""Judging rankers: whoever serves and whoever learns on must both be able to read one, and say the same."""

import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
import torch

from reelrank.training.examples import TrainingSet
from reelrank.training.judge_ranker import RankerJudge, parity
from reelrank.training.publish import Unfit
from reelrank.training.unreadable import Unreadable
from training.damage import cut, emptied, flipped, pickled
from training.small_ranker import published, world


@pytest.fixture(scope="module")
def seen() -> TrainingSet:
    return world()


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory, seen: TrainingSet) -> Path:
    folder = tmp_path_factory.mktemp("ranker") / "sound"
    published(folder, seen)
    return folder


@pytest.fixture
def ranker(sound: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(sound, tmp_path / "ranker"))


def manifest(ranker: Path, **other: Any) -> None:
    told = msgspec.json.decode((ranker / "ranker.json").read_bytes())
    told["settings"] |= other.pop("settings", {})
    (ranker / "ranker.json").write_bytes(msgspec.json.encode(told | other))


@pytest.mark.parametrize("file", ["network.pt", "dense.npz", "ranker.json", "rows-video.npy", "places-video.npy", "content.npy", "keys-user.npy"])
@pytest.mark.parametrize("damage", [cut, emptied, pickled, Path.unlink])
def test_a_damaged_file_is_named(ranker: Path, seen: TrainingSet, file: str, damage: Callable[[Path], object]) -> None:
    damage(ranker / file)
    with pytest.raises(Unreadable, match=re.escape(file)):
        parity(ranker, seen)


def test_users_rows_are_missing_only_where_their_keys_are_too(ranker: Path, seen: TrainingSet) -> None:
    (ranker / "rows-user.npy").unlink()
    with pytest.raises(Unreadable, match="rows-user"):
        parity(ranker, seen)
    (ranker / "keys-user.npy").unlink()
    assert parity(ranker, seen) < 1e-4  # it is from before users had rows


@pytest.mark.parametrize("graph", ["history.onnx", "candidates.onnx"])
def test_a_damaged_graph_can_not_be_read(ranker: Path, seen: TrainingSet, graph: str) -> None:
    cut(ranker / graph)
    with pytest.raises(Unreadable, match=graph):
        parity(ranker, seen)


@pytest.mark.parametrize(
    ("other", "told"),
    [
        ({"features": []}, "lists other features"),
        ({"heads": ["click", "long_view", "unheard_of"]}, "does not know: unheard_of"),
        ({"format": 99}, "has format 99"),
        ({"settings": {"window": 0}}, "window"),
        ({"settings": {"layers": 9}}, "network.pt"),
    ],
)
def test_a_manifest_that_nothing_can_be_learned_by_is_refused(ranker: Path, seen: TrainingSet, other: dict[str, Any], told: str) -> None:
    manifest(ranker, **other)
    with pytest.raises(Unreadable, match=told):
        parity(ranker, seen)


@pytest.mark.parametrize("place", [-3, 1_000_000, 0.5])
def test_a_place_where_no_row_lies_is_refused(ranker: Path, seen: TrainingSet, place: float) -> None:
    places = np.load(ranker / "places-video.npy")
    np.save(ranker / "places-video.npy", np.full_like(places, place, dtype=np.array(place).dtype))
    with pytest.raises(Unreadable, match=r"places-video\.npy"):
        parity(ranker, seen)


def test_a_network_of_other_weights_is_far_from_what_was_exported(ranker: Path, seen: TrainingSet) -> None:
    assert parity(ranker, seen) < 1e-4
    weights = torch.load(ranker / "network.pt", weights_only=True)
    torch.save({name: weight * 2 for name, weight in weights.items()}, ranker / "network.pt")
    assert parity(ranker, seen) > 1e-2
    torch.save({"a": torch.zeros(1)}, ranker / "network.pt")
    with pytest.raises(Unreadable, match=r"network\.pt"):
        parity(ranker, seen)


def test_flipped_bits_are_noticed(ranker: Path, seen: TrainingSet) -> None:
    flipped(ranker / "network.pt")
    with pytest.raises(Unreadable, match=r"network\.pt can't be read: .*checksum"):
        parity(ranker, seen)


def test_a_ranker_with_a_head_that_nobody_knows_is_unfit(ranker: Path, seen: TrainingSet) -> None:
    manifest(ranker, heads=["unheard_of", "long_view", "like"])
    with pytest.raises(Unfit, match="unheard_of"):
        RankerJudge(seen)(ranker)
