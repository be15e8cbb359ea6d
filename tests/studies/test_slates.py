"""The study of slates from end to end, on two circles of people and in a small world."""

from pathlib import Path

import msgspec
import pytest

from reelrank.domain.params import FeedParams
from reelrank.studies.slate_plots import draw
from reelrank.studies.slate_visits import Visits, visits
from reelrank.studies.slates import COUNT, KINDS, kuairand, turned
from studies.made_log import DAYS

SMALL = Visits(people=12, seeds=(3,), videos=120, users=60, past=2_000)


def test_the_same_candidates_make_other_slates_under_other_params(log_folder: Path, tmp_path: Path) -> None:
    certain = FeedParams(exploration=0.0)
    points = [*turned(certain, "diversity", (0.0, 1.0)), *turned(certain, "diversity", (0.0, 1.0), "dpp"), *turned(certain, "cap_sound", (1,))]
    told: list[int] = []
    found = kuairand(log_folder, DAYS[-1], DAYS[-1], points, told.append)
    off, mmr, dpp_off, dpp, capped = found["points"]
    assert found["users"] > 10 and sum(told) == 3 * 40 * 4 + found["users"] + len(points)
    assert {**dpp_off, "kind": "mmr"} == off
    assert off[f"recall_at_{COUNT}"] > 0.4
    assert min(dpp["intra_list_diversity"], mmr["intra_list_diversity"], capped["intra_list_diversity"]) >= off["intra_list_diversity"]
    again = draw({"kuairand": found}, tmp_path)
    assert again[0].read_text().count("diversity") > 2


def test_equal_visits_give_equal_numbers_and_diversity_spares_people_repetition() -> None:
    plain = FeedParams(exploration=0.0, diversity=0.0, cap_author=99, cap_tag=99, cap_sound=99, visit_cap_author=99)
    told: list[int] = []
    off = visits(SMALL, plain, KINDS["mmr"], told.append)
    assert off == visits(SMALL, plain, KINDS["mmr"])
    assert sum(told) == SMALL.people
    assert visits(SMALL, msgspec.structs.replace(plain, diversity=2.0), KINDS["mmr"])["intra_list_diversity"] > off["intra_list_diversity"]


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_of_diversity_is_measured_at_its_own_strengths(kind: str) -> None:
    assert [point.params.diversity for point in turned(FeedParams(), "diversity", (0.0, 2.0), kind)] == [0.0, 2.0]
