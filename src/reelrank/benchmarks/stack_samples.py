"""Where threads spend their time: looks at their stacks many times a second, and sorts what it sees into stages."""

import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Collection
from types import FrameType

from reelrank.features.side_by_side import SideBySide

Classify = Callable[[str, str], str | None]  # (module, qualified name of a function) -> the stage that it is, None if it is part of its caller's


class StackSamples(SideBySide):
    """Watches the threads of these names while the block runs. What it sees is what they were doing, waiting included."""

    def __init__(self, classify: Classify, threads: Collection[str], every_s: float = 0.005) -> None:
        super().__init__({"stack-samples": self._watch})
        self._classify = classify
        self._names = threads
        self._looks = 0
        self._every_s = every_s
        self._stages: Counter[str] = Counter()
        self._took_s = 0.0

    def seconds(self) -> dict[str, float]:
        """Of each stage, the longest first; what belongs to none is "other"."""
        return {stage: round(self._took_s * times / (self._looks or 1), 3) for stage, times in self._stages.most_common()}

    def _watch(self, ended: threading.Event) -> None:
        began = time.perf_counter()
        while not ended.wait(self._every_s):
            self._looks += 1
            watched = {thread.ident for thread in threading.enumerate() if thread.name in self._names}
            for ident, frame in sys._current_frames().items():  # pyright: ignore[reportPrivateUsage]
                if ident in watched:
                    self._stages[self._stage(frame)] += 1
        self._took_s = time.perf_counter() - began

    def _stage(self, frame: FrameType | None) -> str:
        while frame is not None:
            if (stage := self._classify(frame.f_globals.get("__name__", ""), frame.f_code.co_qualname)) is not None:
                return stage
            frame = frame.f_back
        return "other"
