"""What the processes of a measurement use: CPU time and memory, as the system tells."""

import os
import threading
import time
from contextlib import suppress
from pathlib import Path

import numpy as np

from reelrank.features.side_by_side import SideBySide

_TICKS_PER_S = os.sysconf("SC_CLK_TCK")


def cpu_s(pid: int) -> float:
    """The CPU seconds that a process has used so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS_PER_S


def memory_mib(pid: int) -> tuple[float, float]:
    """(own, resident) memory of a process. Pages of memory-mapped files are not its own: the kernel takes them back whenever it needs them."""
    lines = (line.partition(":") for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    kib = {name: int(value.split()[0]) for name, _, value in lines if name in {"RssAnon", "RssShmem", "VmRSS"}}
    return (kib["RssAnon"] + kib["RssShmem"]) / 1024, kib["VmRSS"] / 1024


def run_ms(pid: int) -> float:
    """The milliseconds that the threads of a process have been on a CPU so far, to the nanosecond as the scheduler counts them."""
    spent = 0
    for task in Path(f"/proc/{pid}/task").iterdir():
        with suppress(OSError):  # a thread that has just ended
            spent += int((task / "schedstat").read_text().split()[0])
    return spent / 1e6


def proportional_mib(pid: int) -> float:
    """The memory of a process in which a page that n processes share counts 1 / n: what several take together is the sum."""
    lines = (line.partition(":") for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:])
    return next(int(value.split()[0]) / 1024 for name, _, value in lines if name == "Pss")


class MemoryWatch(SideBySide):
    """Looks at a process's memory a few times a second while the block runs."""

    def __init__(self, pid: int, every_s: float = 0.25) -> None:
        super().__init__({"memory-watch": self._watch})
        self._pid = pid
        self._every_s = every_s
        self._own: list[float] = []
        self._resident: list[float] = []

    @property
    def peak_mib(self) -> float:
        """The most memory of its own that was seen."""
        return round(max(self._own), 1)

    @property
    def peak_resident_mib(self) -> float:
        """The most memory that was seen, pages of mapped files included."""
        return round(max(self._resident), 1)

    @property
    def growth_mib(self) -> float:
        """How much more memory of its own the process had in the second half than in the first, in the middle of each."""
        half = len(self._own) // 2
        return round(float(np.median(self._own[half:]) - np.median(self._own[: half or 1])), 1)

    def _watch(self, ended: threading.Event) -> None:
        while True:
            own, resident = memory_mib(self._pid)
            self._own.append(own)
            self._resident.append(resident)
            if ended.wait(self._every_s):
                return


class CpuShare:
    """CPU time a process used per second of real time, since this was made; 1.0 is one core."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._used, self._began = cpu_s(pid), time.perf_counter()

    def so_far(self) -> float:
        """The share up to now."""
        return round((cpu_s(self._pid) - self._used) / (time.perf_counter() - self._began), 2)
