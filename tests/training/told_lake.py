"""A small world whose log was attributed and copied to a lake."""

from collections.abc import Iterable
from pathlib import Path

from features.folded_world import World
from reelrank.domain.clock import ManualClock
from reelrank.domain.event import Accepted, Event, encode_accepted
from reelrank.events.lake_writer import LakeWriter
from reelrank.features.attribution import AttributionConfig
from reelrank.features.attributor import Attributor
from reelrank.storage.event_log import EVENTS, Record
from reelrank.storage.lake import Lake


class ToldLake:
    """A world, and the lake that its log is copied to."""

    def __init__(self, folder: Path) -> None:
        self.world = World(folder)
        self.lake = Lake(str(folder / "lake"))
        self._attributor = Attributor(self.world.log, self.world.columns, AttributionConfig(window_s=60, remember_s=300))
        self._writer = LakeWriter(self.world.log, self.lake, ManualClock(0.0))

    def tell(self, events: Iterable[Event], arrived_after_s: float = 0.0, imported: bool = False) -> None:
        """Puts events into the log, each so long after it happened, and everything that follows from them into the lake."""
        accepted = [Accepted(one, one.occurred_at + arrived_after_s, one.occurred_at, imported=imported) for one in events if one.occurred_at is not None]
        self.world.log.append(EVENTS, [Record(one.event.key, encode_accepted(one)) for one in accepted])
        self.world.stream.catch_up()
        self._attributor.catch_up()
        self._writer.catch_up()
