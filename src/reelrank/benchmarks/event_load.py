"""Batches of events, encoded once, and the proof that the log holds what was acknowledged."""

from collections.abc import Sequence

import msgspec
import numpy as np

from reelrank.domain.event import Accepted, Context, Event, decode_accepted, encode_accepted
from reelrank.simulation.past import past_events
from reelrank.simulation.world import World
from reelrank.storage.event_log import EVENTS, EventLog, Record

_NUMBER = "########"  # stands in every event id for the number of its batch
_DISTINCT = 200  # batches that differ in more than their ids
_NETWORKS = ("wifi", "wifi", "5g", "4g")


class Batches:
    """What people of a world did, `size` events at a time, encoded once. Each number makes a batch with event ids of its own."""

    def __init__(self, world: World, seed: int, size: int) -> None:
        self.size = size
        rng = np.random.default_rng(seed)
        events = past_events(world, rng, world.now, events=round(1.3 * size * _DISTINCT), days=1.0)
        contexts = {person.user_id: _context(rng, person.place.name) for person in world.people}
        told = [msgspec.structs.replace(event, context=_joined(event, contexts)) for event in events[: size * _DISTINCT]]
        groups = [_named(told[start : start + size]) for start in range(0, len(told) - size + 1, size)]
        bodies = [msgspec.json.encode(group) for group in groups]
        self.body_bytes = sum(map(len, bodies)) / len(bodies)
        head = "POST /v1/events HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n"
        self._requests = [head.format(len(body)).encode() + body for body in bodies]
        self._records = [
            [Record(event.key, encode_accepted(Accepted(event, world.now, event.occurred_at or world.now))) for event in group] for group in groups
        ]

    def request(self, number: int) -> bytes:
        """The whole HTTP request of a batch."""
        return self._requests[number % len(self._requests)].replace(_NUMBER.encode(), b"%08x" % number)

    def expected(self) -> bytes:
        """What stands in the answer to a batch that was accepted whole."""
        return b'"accepted":%d,' % self.size

    def records(self, number: int) -> list[Record]:
        """The batch as the collector would append it; its event ids have no number."""
        return self._records[number % len(self._records)]


def not_in_log(log: EventLog, acknowledged: Sequence[int], size: int) -> int:
    """How many events of the acknowledged batches the log does not hold."""
    there = np.zeros((max(acknowledged, default=0) + 1, size), dtype=np.bool_)
    for partition in range(log.partitions):
        offset = 0
        while records := log.read(EVENTS, partition, offset, 5_000):
            offset = records[-1].offset + 1
            for record in records:
                number, dot, place = decode_accepted(record.value).event.event_id.partition(".")
                if dot and len(number) == len(_NUMBER) and number != _NUMBER and int(number, 16) < len(there):
                    there[int(number, 16), int(place)] = True
    return int(np.count_nonzero(~there[np.asarray(acknowledged, dtype=np.int64)]))


def _context(rng: np.random.Generator, place: str) -> Context:
    network = _NETWORKS[int(rng.integers(len(_NETWORKS)))]
    version = f"3.{int(rng.integers(9))}.{int(rng.integers(20))}"
    return Context(device="phone", app_version=version, place=place, network=network, bandwidth_kbps=int(rng.integers(500, 20_000)))


def _joined(event: Event, contexts: dict[str, Context]) -> Context:
    """Where and how the user watches, at the hour of the event."""
    given = event.context  # pyright: ignore[reportAttributeAccessIssue]
    return msgspec.structs.replace(contexts[event.key], local_hour=given.local_hour if given else None)


def _named(events: Sequence[Event]) -> list[Event]:
    return [msgspec.structs.replace(event, event_id=f"{_NUMBER}.{place}") for place, event in enumerate(events)]
