"""What threads spend CPU time on: looks at their stacks about once a millisecond, and puts down to each what its thread has used since the look before."""

import sys
import threading
import time
from collections import Counter, deque
from contextlib import suppress
from itertools import accumulate, chain, islice, repeat
from types import FrameType
from typing import Any

from reelrank.features.side_by_side import SideBySide

Frame = tuple[str, str]  # (module, qualified name) of a function
Stack = tuple[Frame, ...]  # from the outermost function in

_SWITCH_S = 0.0001  # the thread that looks gets the interpreter so soon: else calls that let go of it would have the time of those before them as well


class CpuStacks(SideBySide):
    """Watches all threads of this process while the block runs. What waits uses nothing, and whatever else the machine does is not in the figures."""

    def __init__(self, every_s: float = 0.001) -> None:
        super().__init__({"cpu-stacks": self._watch})
        self._every_s = every_s
        self._used: Counter[tuple[str, tuple[int, ...]]] = Counter()  # nanoseconds of (thread, codes)
        self._frames: dict[int, tuple[object, Frame]] = {}  # a code that is kept has its number to itself
        self._stood: dict[int, int] = {}  # where the clock of each thread was at the last look, by what the kernel calls it

    def seconds(self) -> dict[tuple[str, Stack], float]:
        """Of each (name of a thread, stack)."""
        return {(name, tuple(self._frames[code][1] for code in codes)): used / 1e9 for (name, codes), used in self._used.items()}

    def _watch(self, ended: threading.Event) -> None:
        before = sys.getswitchinterval()
        sys.setswitchinterval(_SWITCH_S)
        try:
            self._look(count=False)
            while not ended.wait(self._every_s):
                self._look()
        finally:
            sys.setswitchinterval(before)

    def _look(self, count: bool = True) -> None:
        own = threading.get_ident()
        for thread in threading.enumerate():
            ident, native = thread.ident, thread.native_id
            if ident is None or native is None or ident == own:
                continue
            with suppress(OSError):  # it has ended; of some that have Python still thinks that they run
                stands = time.clock_gettime_ns(_clock_of(native))
                stood = self._stood.get(native, 0)
                self._stood[native] = stands
                if count and stands > stood and (stack := _stack_now(ident)):
                    self._used[thread.name, tuple(map(self._code, reversed(stack)))] += stands - stood

    def _code(self, frame: FrameType) -> int:
        code = frame.f_code
        if id(code) not in self._frames:
            self._frames[id(code)] = code, (frame.f_globals.get("__name__", ""), code.co_qualname)
        return id(code)


def _clock_of(native: int) -> int:
    """The clock of the CPU time of a thread, as Linux numbers it (CPUCLOCK_PERTHREAD and CPUCLOCK_SCHED of <linux/posix-timers.h>).

    `time.pthread_getcpuclockid` would look for that number in memory that a thread which has ended does not have any more.
    """
    return ~native << 3 | 6


def _stack_now(ident: int) -> list[FrameType]:
    """The frames of a thread, the innermost first.

    Nobody else may run from the first frame to the last: a generator that has yielded meanwhile leaves its frame with a caller that is no more, and
    what follows that reads memory of others. So the way out is made of iterators that no bytecode runs between.
    """
    innermost = map(dict[int, FrameType].get, islice(iter(sys._current_frames, None), 1), (ident,))  # pyright: ignore[reportPrivateUsage]
    outwards = accumulate(chain[Any](innermost, repeat("f_back")), getattr)
    frames = deque[FrameType | None]()
    with suppress(AttributeError):  # beyond the outermost frame is None, which has nothing further out
        frames.extend(outwards)  # here it happens, in one call
    return [frame for frame in frames if frame is not None]
