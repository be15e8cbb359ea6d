"""Jobs side by side, each in a thread of its own: they end together, whatever ends the first."""

import threading
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Self

Job = Callable[[threading.Event], None]  # works until the event is set


class SideBySide:
    """Does its jobs, by the names of their threads, as long as a `with` block takes. What breaks one ends all, and is raised after the block."""

    def __init__(self, jobs: Mapping[str, Job]) -> None:
        self.ended = threading.Event()
        self._failed: list[BaseException] = []
        self._threads = [threading.Thread(target=self._run, args=(job,), name=name) for name, job in jobs.items()]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None) -> None:
        self.ended.set()
        self.wait()
        if self._failed and kind is None:
            raise self._failed[0]

    def wait(self) -> None:
        """Returns when every job has ended by itself."""
        for thread in self._threads:
            thread.join()

    def _run(self, job: Job) -> None:
        try:
            job(self.ended)
        except BaseException as problem:
            self._failed.append(problem)
            self.ended.set()
