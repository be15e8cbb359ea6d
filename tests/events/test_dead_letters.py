"""Dead letters: kept with their reason, read back, and sent again."""

from pathlib import Path

import msgspec

from events.desk import NOW, Desk
from reelrank.events.dead_letters import DeadLetters, read_all
from reelrank.events.validation import Refused
from reelrank.storage.event_log import DEAD_LETTERS
from reelrank.storage.event_log_embedded import EmbeddedEventLog


def refused(count: int, raw: bytes = b"{}") -> list[Refused]:
    return [Refused(place, f"e-{place}", "because", "content", raw) for place in range(count)]


def test_all_letters_are_read_whatever_their_number(tmp_path: Path) -> None:
    log = EmbeddedEventLog(tmp_path)
    DeadLetters(log).record(refused(1_234), NOW)
    assert len(list(read_all(log))) == 1_234
    assert len(list(read_all(log, limit=7))) == 7
    assert sum(len(list(read_all(log, partition))) for partition in range(log.partitions)) == 1_234
    assert len(list(read_all(log, partition=1))) == log.end(DEAD_LETTERS, 1)
    log.close()


def test_of_a_large_event_only_the_beginning_is_kept(tmp_path: Path) -> None:
    log = EmbeddedEventLog(tmp_path)
    DeadLetters(log, max_bytes=10).record(refused(1, b"x" * 11) + refused(1, b"y" * 10), NOW)
    assert sorted((letter.raw, letter.cut) for letter in read_all(log)) == [(b"x" * 10, True), (b"y" * 10, False)]
    log.close()


def test_a_letter_keeps_the_bytes_that_came(desk: Desk) -> None:
    raw = msgspec.json.encode({"type": "like", "event_id": "e-1", "extra": "👩‍👧 שלום"})
    desk.send(msgspec.Raw(raw))  # pyright: ignore[reportArgumentType]
    assert [letter.raw for letter in desk.letters()] == [raw]
