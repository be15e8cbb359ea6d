"""Where batches wait for the collector: those that wait together are written together."""

import asyncio
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Executor
from typing import NamedTuple

from reelrank.events.collector import Prepared, Receipt
from reelrank.events.rights import ALL_RIGHTS, Rights

_TOGETHER = 64
_TOGETHER_BYTES = 4_000_000  # once a group has so many, what else waits is for the next one: bounds memory and the time to the first answer


class _Waiting(NamedTuple):
    body: bytes
    compressed: bool
    rights: Rights
    answer: "asyncio.Future[Receipt]"


class EventQueue:
    """Hands batches to threads of `executor`, in their order. One thread reads batches while the others wait for the disk.

    `prepare` reads one body and says how many bytes it had, unpacked; `commit` makes several durable at once.
    """

    def __init__(
        self,
        prepare: Callable[[bytes, bool, Rights], tuple[Prepared, int]],
        commit: Callable[[list[Prepared]], list[Receipt]],
        executor: Executor,
        threads: int,
    ) -> None:
        self._prepare = prepare
        self._commit = commit
        self._executor = executor
        self._threads = threads
        self._waiting: deque[_Waiting] = deque()
        self._lock = threading.Lock()  # of what waits and of how many threads are at it
        self._at_it = 0
        self._turn = threading.Lock()  # to read batches: they would only take the interpreter from each other

    async def put(self, body: bytes, compressed: bool, rights: Rights = ALL_RIGHTS) -> Receipt:
        """Returns once the batch is durable. Raises what `prepare` or `commit` does."""
        answer: asyncio.Future[Receipt] = asyncio.get_running_loop().create_future()
        with self._lock:
            self._waiting.append(_Waiting(body, compressed, rights, answer))
            one_more = self._at_it < self._threads
            self._at_it += one_more
        if one_more:
            self._executor.submit(self._work)
        return await answer

    def _work(self) -> None:
        while True:
            results: list[tuple[asyncio.Future[Receipt], Receipt | BaseException]] = []
            with self._turn:
                group = self._prepared(results)
            if group:
                results += self._committed(group)
            if results:
                results[0][0].get_loop().call_soon_threadsafe(_tell, results)
                continue
            with self._lock:  # so that nobody puts something in between looking and leaving
                if not self._waiting:
                    self._at_it -= 1
                    return

    def _prepared(self, failed: list[tuple["asyncio.Future[Receipt]", Receipt | BaseException]]) -> list[tuple["asyncio.Future[Receipt]", Prepared]]:
        """The next batches that can be read; the others go to `failed`, with the reason."""
        group: list[tuple[asyncio.Future[Receipt], Prepared]] = []
        size = 0
        while len(group) < _TOGETHER and size < _TOGETHER_BYTES:
            with self._lock:
                if not self._waiting:
                    break
                body, compressed, rights, answer = self._waiting.popleft()
            try:
                prepared, read = self._prepare(body, compressed, rights)
            except BaseException as problem:
                failed.append((answer, problem))
            else:
                group.append((answer, prepared))
                size += read
        return group

    def _committed(self, group: list[tuple["asyncio.Future[Receipt]", Prepared]]) -> list[tuple["asyncio.Future[Receipt]", Receipt | BaseException]]:
        answers = [answer for answer, _ in group]
        try:
            return list(zip(answers, self._commit([prepared for _, prepared in group]), strict=True))
        except BaseException as problem:  # whatever it was: nobody who waits may wait for ever
            return [(answer, problem) for answer in answers]


def _tell(results: list[tuple["asyncio.Future[Receipt]", Receipt | BaseException]]) -> None:
    for answer, result in results:
        if answer.done():  # whoever waited for it has gone
            continue
        if isinstance(result, BaseException):
            answer.set_exception(result)
        else:
            answer.set_result(result)
