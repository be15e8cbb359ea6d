import math
import time
from pathlib import Path

from conftest import NOW
from reelrank.domain.event import Served, ServedVideo, decode_accepted
from reelrank.ranking.served_log import ServedLog, new_request_id, parse_request_id
from reelrank.storage.event_log import EVENTS, Record, StorageError, partition_of
from reelrank.storage.event_log_embedded import EmbeddedEventLog


def served(number: int) -> Served:
    return Served(event_id=f"e{number}", user_id="u", policy="test", videos=(ServedVideo(video_id="v"),))


def test_a_request_id_says_where_the_log_holds_the_slate():
    request_id = new_request_id("somebody", NOW, 4, b"secret")
    assert parse_request_id(request_id) == (partition_of("somebody", 4), NOW)


def test_request_ids_of_one_moment_differ():
    assert len({new_request_id("u", NOW, 4, b"secret") for _ in range(1_000)}) == 1_000


def test_what_is_asked_for_again_has_the_same_name_for_the_same_user_at_the_same_moment_alone():
    def name(user_id: str = "u", now: float = NOW, secret: bytes = b"secret", asked_as: str = "x") -> str:
        return new_request_id(user_id, now, 1, secret, asked_as)

    assert name() == name()
    others = {name(user_id="v"), name(now=NOW + 0.001), name(secret=b"other"), name(asked_as="y"), name(asked_as="")}
    assert len(others - {name()}) == 5
    assert parse_request_id(name()) == (0, NOW)


def test_what_is_no_request_id_is_told_apart():
    for text in ("", "x", "1-2-3", "zz-1-000000000000", "1--000000000000", "1-2-00000000000g/../", "1-2-0000000000٣0"):
        assert parse_request_id(text) is None or text.startswith("1-2")


def test_every_slate_is_in_the_log_after_closing_in_order(tmp_path: Path):
    log = EmbeddedEventLog(tmp_path, partitions=1)
    served_log = ServedLog(log)
    for number in range(1_200):
        served_log.record(served(number), NOW)
    served_log.close()
    stored = [decode_accepted(record.value).event.event_id for record in log.read(EVENTS, 0, 0, 2_000)]
    assert stored == [f"e{number}" for number in range(1_200)]
    assert served_log.dropped == 0
    log.close()


class _SlowLog(EmbeddedEventLog):
    """A log whose disk comes back only after a while."""

    failures = 2.0

    def append(self, topic: str, records: list[Record]) -> list[tuple[int, int]]:  # pyright: ignore[reportIncompatibleMethodOverride]
        if self.failures:
            self.failures -= 1
            raise StorageError("the disk is away")
        return super().append(topic, records)


def test_recording_never_waits_for_the_log_and_slates_survive_its_absence(tmp_path: Path):
    log = _SlowLog(tmp_path, partitions=1)
    served_log = ServedLog(log)
    began = time.perf_counter()
    served_log.record(served(0), NOW)
    assert time.perf_counter() - began < 0.5
    served_log.close()
    assert log.end(EVENTS, 0) == 1
    log.close()


def test_while_the_log_is_away_slates_wait_as_long_as_there_is_room_and_the_rest_is_counted(tmp_path: Path):
    log = _SlowLog(tmp_path, partitions=1)
    log.failures = math.inf
    served_log = ServedLog(log, room=20)
    for number in range(100):
        served_log.record(served(number), NOW)
    assert served_log.waiting + served_log.dropped == 100
    assert 20 <= served_log.waiting <= 40  # in the queue, and on their way
    waiting = served_log.waiting
    log.failures = 0
    served_log.flush()
    assert served_log.waiting == 0
    assert log.end(EVENTS, 0) == waiting
    served_log.close()
    log.close()


def test_closing_gives_up_on_a_log_that_stays_away_and_counts_what_was_lost(tmp_path: Path):
    log = _SlowLog(tmp_path, partitions=1)
    log.failures = math.inf
    served_log = ServedLog(log)
    for number in range(7):
        served_log.record(served(number), NOW)
    began = time.perf_counter()
    served_log.close(within_s=0.3)
    assert time.perf_counter() - began < 3
    assert served_log.dropped == 7
    log.close()
