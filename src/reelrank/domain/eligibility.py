"""Where and for whom a video may be shown: regions, ages and languages, compared the same way everywhere."""

from collections.abc import Iterable, Sequence


def normal_region(region: str) -> str:
    """A region as it is compared: PT, US-CA."""
    return region.upper()


def normal_language(language: str) -> str:
    """A language as it is compared: who understands pt-BR is taken to understand pt."""
    return language.partition("-")[0].partition("_")[0].lower()


def allowed_in(region: str, regions: Sequence[str], not_in: Iterable[str]) -> bool:
    """Whether a video with these lists may be shown in a region (all normalised), "" where nobody knows which.

    A list that names a country means all of its parts. Who may be anywhere is shown only what may be shown everywhere.
    """
    if not region:
        return not regions and not any(True for _ in not_in)
    here = {region, region.partition("-")[0]}
    return here.isdisjoint(not_in) and (not regions or not here.isdisjoint(regions))
