"""Tests that a fingerprint names exactly these numbers."""

import subprocess
import sys

import msgspec
import pytest

from reelrank.domain.params import FeedParams, fingerprint


def test_the_same_numbers_have_the_same_fingerprint_in_every_process() -> None:
    program = "from reelrank.domain.params import FeedParams, fingerprint; print(fingerprint(FeedParams()))"
    other = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert other.stdout.strip() == fingerprint(FeedParams())


def test_the_order_of_quotas_makes_no_difference() -> None:
    assert fingerprint(FeedParams(quota={"a": 1, "b": 2})) == fingerprint(FeedParams(quota={"b": 2, "a": 1}))


@pytest.mark.parametrize("field", FeedParams.__struct_fields__)
def test_every_field_is_part_of_the_fingerprint(field: str) -> None:
    before = getattr(FeedParams(), field)
    after = {**before, "fresh": 7} if isinstance(before, dict) else (*before, 7) if isinstance(before, tuple) else before + 1
    assert fingerprint(msgspec.structs.replace(FeedParams(), **{field: after})) != fingerprint(FeedParams())


def test_params_that_were_written_down_and_read_again_are_the_same() -> None:
    assert fingerprint(msgspec.json.decode(msgspec.json.encode(FeedParams()), type=FeedParams)) == fingerprint(FeedParams())


def test_traffic_pools_begin_where_the_first_impressions_end() -> None:
    assert FeedParams(exploration_impressions=300, exploration_tiers=(1_000, 200)).exploration_edges == (300, 1_000)
