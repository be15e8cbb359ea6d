"""Where a thread spends its time: looks at its stack many times a second, and sorts what it sees into stages."""

import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from types import FrameType

Classify = Callable[[str, str], str | None]  # (module, qualified name of a function) -> the stage that it is, None if it is part of its caller's


class StackSamples:
    """Watches the thread that enters the block. What it sees is what the thread was doing, waiting included."""

    def __init__(self, classify: Classify, every_s: float = 0.005) -> None:
        self._classify = classify
        self._every_s = every_s
        self._stages: Counter[str] = Counter()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._watch, args=(threading.get_ident(),), name="stack-samples", daemon=True)

    def __enter__(self) -> "StackSamples":
        self._began = time.perf_counter()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        self._thread.join()
        self._took_s = time.perf_counter() - self._began

    def seconds(self) -> dict[str, float]:
        """Of each stage, the longest first; what belongs to none is "other"."""
        seen = self._stages.total() or 1
        return {stage: round(self._took_s * times / seen, 3) for stage, times in self._stages.most_common()}

    def _watch(self, thread: int) -> None:
        while not self._stopping.wait(self._every_s):
            frame: FrameType | None = sys._current_frames().get(thread)  # pyright: ignore[reportPrivateUsage]
            self._stages[self._stage(frame)] += 1

    def _stage(self, frame: FrameType | None) -> str:
        while frame is not None:
            if (stage := self._classify(frame.f_globals.get("__name__", ""), frame.f_code.co_qualname)) is not None:
                return stage
            frame = frame.f_back
        return "other"
