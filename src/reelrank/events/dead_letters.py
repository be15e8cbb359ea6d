"""Dead letters: what was refused, with the reason."""

from collections.abc import Iterable, Iterator

import msgspec

from reelrank.events.rights import ALL_RIGHTS, Rights
from reelrank.events.validation import Refused
from reelrank.storage.event_log import DEAD_LETTERS, EventLog, Record

_AT_ONCE = 500


class DeadLetter(msgspec.Struct, frozen=True, array_like=True):
    """One refused event as it came; `cut` if it was too large to be kept whole."""

    received_at: float
    event_id: str
    reason: str
    raw: bytes
    cut: bool = False
    rights: Rights = ALL_RIGHTS  # of who sent it: sent again it may not do more


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(DeadLetter).decode


class DeadLetters:
    """Writes refused events to their own topic, at most `max_bytes` of each."""

    def __init__(self, log: EventLog, max_bytes: int = 65_536) -> None:
        self._log = log
        self._max_bytes = max_bytes

    def record(self, refused: Iterable[Refused], received_at: float, rights: Rights = ALL_RIGHTS) -> None:
        """Keeps them durably. Raises StorageError if that can't be done."""
        most = self._max_bytes
        letters = [DeadLetter(received_at, one.event_id, one.reason, one.raw[:most], cut=len(one.raw) > most, rights=rights) for one in refused]
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
