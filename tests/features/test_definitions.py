"""Tests of the definition table."""

from reelrank.features.definitions import COLUMN, FEATURES, WIDTH


def test_every_feature_has_a_name_of_its_own_and_says_what_it_is() -> None:
    assert len({feature.name for feature in FEATURES}) == len(FEATURES) == WIDTH
    assert all(len(feature.about) > 10 for feature in FEATURES)


def test_columns_are_in_the_order_of_the_table() -> None:
    assert [COLUMN[feature.name] for feature in FEATURES] == list(range(WIDTH))
