"""Regions and languages, compared."""

import pytest

from reelrank.domain.eligibility import allowed_in, normal_language, normal_region


@pytest.mark.parametrize(
    ("region", "regions", "not_in", "allowed"),
    [
        ("PT", (), (), True),
        ("", (), (), True),
        ("", ("PT",), (), False),  # who may be anywhere
        ("", (), ("US",), False),
        ("PT", ("PT", "ES"), (), True),
        ("FR", ("PT", "ES"), (), False),
        ("US-CA", ("US",), (), True),  # a country means its parts
        ("US", ("US-CA",), (), False),
        ("US-CA", (), ("US",), False),
        ("US-NY", ("US",), ("US-CA",), True),
        ("US-CA", ("US",), ("US-CA",), False),
    ],
)
def test_a_list_of_countries_means_all_of_their_parts_and_who_is_nowhere_gets_what_is_for_everywhere(
    region: str, regions: tuple[str, ...], not_in: tuple[str, ...], allowed: bool
) -> None:
    assert allowed_in(region, regions, not_in) is allowed


def test_case_and_variants_make_no_difference() -> None:
    assert normal_region("us-ca") == "US-CA"
    assert {normal_language(one) for one in ("pt", "PT-BR", "pt_PT")} == {"pt"}
