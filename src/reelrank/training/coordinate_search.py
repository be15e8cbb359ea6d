"""Coordinate search: settings chosen one at a time on ladders of values, from a neutral start, by what a validation says."""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

Settings = dict[str, float]


class Found(NamedTuple):
    """Where a search ended."""

    settings: Settings
    value: float
    tried: int  # how many settings were measured


def climb(
    ladders: Mapping[str, Sequence[float]],
    start: Mapping[str, float],
    value: Callable[[Settings], float],
    passes: int = 4,
    reach: int = 2,
    on_progress: Callable[[int], None] | None = None,
) -> Found:
    """Moves one setting after the other to the best rung within `reach` of where it stands, until a whole pass moves nothing.

    A setting moves only if the value grows: of equals the earlier one stays, so that what does nothing stays neutral.
    `value` is asked once for each combination. `on_progress` hears 1 after each. Raises ValueError if a start is no
    rung of its ladder.
    """
    missing = [name for name in ladders if start.get(name) not in ladders[name]]
    if missing:
        raise ValueError(f"{missing[0]} starts at {start.get(missing[0])}, which is not on its ladder {tuple(ladders[missing[0]])}")
    known: dict[tuple[float, ...], float] = {}

    def measured(settings: Settings) -> float:
        key = tuple(settings[name] for name in ladders)
        if key not in known:
            known[key] = value(settings)
            if on_progress:
                on_progress(1)
        return known[key]

    best = {name: start[name] for name in ladders}
    for _ in range(passes):
        before = dict(best)
        for name in ladders:
            ladder, place = ladders[name], list(ladders[name]).index(best[name])
            near = [best | {name: rung} for rung in ladder[max(place - reach, 0) : place + reach + 1]]
            highest = max(near, key=measured)
            best = highest if measured(highest) > measured(best) else best
        if best == before:
            break
    return Found(best, measured(best), len(known))
