"""Batches that wait together are read one by one and written at once."""

import asyncio
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest

from reelrank.events.collector import Prepared, Receipt
from reelrank.events.rights import Rights
from reelrank.events.validation import UnreadableBody
from reelrank.serving.event_queue import EventQueue
from reelrank.storage.event_log import StorageError


class _Desk:
    """What a queue hands its batches to. A batch is a number of events as text; the first write waits until it is told to go on."""

    def __init__(self) -> None:
        self.groups: list[int] = []
        self.writing, self.go_on = threading.Event(), threading.Event()
        self.go_on.set()
        self.away = False

    def prepare(self, body: bytes, compressed: bool, rights: Rights) -> tuple[Prepared, int]:
        if not body.isdigit():
            raise UnreadableBody(f"{body!r} is no number")
        return Prepared(float(body), [], [], int(body)), len(body)

    def commit(self, batches: Sequence[Prepared]) -> list[Receipt]:
        self.groups.append(len(batches))
        self.writing.set()
        assert self.go_on.wait(20)
        if self.away:
            raise StorageError("the log is away")
        return [Receipt(0, batch.repeated, ()) for batch in batches]


@pytest.mark.parametrize("threads", [1, 3])
def test_what_arrives_while_the_disk_is_busy_is_written_together_and_each_gets_its_own_answer(threads: int) -> None:
    desk = _Desk()

    async def put_all() -> list[Receipt | BaseException]:
        with ThreadPoolExecutor(threads) as executor:
            queue = EventQueue(desk.prepare, desk.commit, executor, threads)
            desk.go_on.clear()
            first = [asyncio.create_task(queue.put(b"%d" % number, False)) for number in range(threads)]
            await asyncio.to_thread(desk.writing.wait, 20)
            while sum(desk.groups) < threads:
                await asyncio.sleep(0.01)
            later = [asyncio.create_task(queue.put(b"%d" % number, False)) for number in range(threads, 30)]
            await asyncio.sleep(0.05)
            desk.go_on.set()
            return await asyncio.gather(*first, *later, return_exceptions=True)

    receipts = asyncio.run(put_all())
    assert [receipt.repeated for receipt in receipts if isinstance(receipt, Receipt)] == list(range(30))
    assert sum(desk.groups) == 30
    assert len(desk.groups) <= 2 * threads


def test_a_batch_that_can_not_be_read_fails_alone() -> None:
    desk = _Desk()

    async def put_all() -> list[Receipt | BaseException]:
        with ThreadPoolExecutor(2) as executor:
            queue = EventQueue(desk.prepare, desk.commit, executor, 2)
            return await asyncio.gather(*(queue.put(body, False) for body in (b"1", b"x", b"2", b"y")), return_exceptions=True)

    answers = asyncio.run(put_all())
    assert [type(answer) for answer in answers] == [Receipt, UnreadableBody, Receipt, UnreadableBody]


def test_when_the_log_is_away_everybody_is_told_and_the_queue_goes_on_afterwards() -> None:
    desk = _Desk()

    async def put_all() -> tuple[list[Receipt | BaseException], Receipt]:
        with ThreadPoolExecutor(2) as executor:
            queue = EventQueue(desk.prepare, desk.commit, executor, 2)
            desk.away = True
            failed = await asyncio.gather(*(queue.put(b"%d" % number, False) for number in range(9)), return_exceptions=True)
            desk.away = False
            return failed, await queue.put(b"5", False)

    failed, receipt = asyncio.run(put_all())
    assert {type(answer) for answer in failed} == {StorageError}
    assert receipt.repeated == 5


def test_many_batches_from_many_threads_of_the_queue_are_all_answered() -> None:
    desk = _Desk()

    async def put_all() -> list[Receipt]:
        with ThreadPoolExecutor(4) as executor:
            queue = EventQueue(desk.prepare, desk.commit, executor, 4)
            return list(await asyncio.gather(*(queue.put(b"%d" % number, False) for number in range(2_000))))

    assert [receipt.repeated for receipt in asyncio.run(put_all())] == list(range(2_000))
    assert max(desk.groups) > 1
