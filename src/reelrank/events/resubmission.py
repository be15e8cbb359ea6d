"""Sends dead letters through the collector again, once what was wrong is mended."""

from collections.abc import Iterable
from typing import NamedTuple

import msgspec

from reelrank.events.collector import Collector
from reelrank.events.dead_letters import DeadLetter
from reelrank.events.rights import ALL_RIGHTS
from reelrank.events.validation import Batch, Decoded, decode_one

_AT_ONCE = 500


class Resubmitted(NamedTuple):
    """What came of sending dead letters again."""

    accepted: int
    refused: int


def resubmit(collector: Collector, letters: Iterable[DeadLetter]) -> Resubmitted:
    """Sends dead letters through the collector again; what is refused again stays where it is.

    An event without a time of its own happened when it first arrived. Sending a letter twice changes nothing.
    It may do what its sender might: what was refused for want of a right is refused again.
    """
    accepted = refused = 0
    waiting: list[Decoded] = []
    rights = ALL_RIGHTS

    def send() -> None:
        nonlocal accepted, refused
        receipt = collector.accept(Batch(waiting, []), keep_refused=False, rights=rights)
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
        if waiting and letter.rights != rights:
            send()
        rights = letter.rights
        waiting.append(Decoded(len(waiting), event))
        if len(waiting) == _AT_ONCE:
            send()
    if waiting:
        send()
    return Resubmitted(accepted, refused)
