"""Dead letters: what was refused, with the reason; read them, mend the cause, send them again."""

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from reelrank.events.validation import Batch, Decoded, Refused, decode_one
from reelrank.storage.event_log import DEAD_LETTERS, EventLog, Record

if TYPE_CHECKING:
    from reelrank.events.collector import Collector

_AT_ONCE = 500


class DeadLetter(msgspec.Struct, frozen=True, array_like=True):
    """One refused event as it came; `cut` if it was too large to be kept whole."""

    received_at: float
    event_id: str
    reason: str
    raw: bytes
    cut: bool = False


class Resubmitted(NamedTuple):
    """What came of sending dead letters again."""

    accepted: int
    refused: int


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(DeadLetter).decode


class DeadLetters:
    """Writes refused events to their own topic, at most `max_bytes` of each."""

    def __init__(self, log: EventLog, max_bytes: int = 65_536) -> None:
        self._log = log
        self._max_bytes = max_bytes

    def record(self, refused: Iterable[Refused], received_at: float) -> None:
        """Keeps them durably. Raises StorageError if that can't be done."""
        letters = [DeadLetter(received_at, one.event_id, one.reason, one.raw[: self._max_bytes], cut=len(one.raw) > self._max_bytes) for one in refused]
        self._log.append(DEAD_LETTERS, [Record(letter.event_id, _encode(letter)) for letter in letters])


def read_all(log: EventLog, partition: int | None = None, limit: int | None = None) -> Iterator[DeadLetter]:
    """Dead letters in the order in which they came to their partition: of one partition or of all, at most `limit`."""
    given = 0
    for chosen in range(log.partitions) if partition is None else (partition,):
        offset, end = 0, log.end(DEAD_LETTERS, chosen)  # what is refused from now on is for the next time
        while offset < end and (records := log.read(DEAD_LETTERS, chosen, offset, min(_AT_ONCE, end - offset))):
            offset = records[-1].offset + 1
            for record in records:
                if given == limit:
                    return
                given += 1
                yield _decode(record.value)


def resubmit(collector: "Collector", letters: Iterable[DeadLetter]) -> Resubmitted:
    """Sends dead letters through the collector again; what is refused again stays where it is.

    An event without a time of its own happened when it first arrived. Sending a letter twice changes nothing.
    """
    accepted = refused = 0
    waiting: list[Decoded] = []

    def send() -> None:
        nonlocal accepted, refused
        receipt = collector.accept(Batch(waiting, []), keep_refused=False)
        accepted, refused = accepted + receipt.accepted, refused + len(receipt.refused)
        waiting.clear()

    for letter in letters:
        try:
            event = decode_one(letter.raw)
        except ValueError:
            refused += 1
            continue
        if event.occurred_at is None:
            event = msgspec.structs.replace(event, occurred_at=letter.received_at)
        waiting.append(Decoded(len(waiting), event))
        if len(waiting) == _AT_ONCE:
            send()
    if waiting:
        send()
    return Resubmitted(accepted, refused)
