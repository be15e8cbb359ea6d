"""Any program of ours with an eye on its stacks: `python -m reelrank.benchmarks.sampled_process FD MODULE ARGUMENTS…`.

A first line on stdin begins to look, a second ends it; what was seen goes to the file descriptor FD.
"""

import os
import runpy
import sys
import threading

import msgspec

from reelrank.benchmarks.cpu_stacks import CpuStacks, Stack


class Used(msgspec.Struct, frozen=True, array_like=True):
    """CPU time of a stack."""

    thread: str
    stack: Stack
    seconds: float


def _sample(answer_to: int) -> None:
    with open(answer_to, "wb") as answer:  # closed without an answer if looking fails: whoever waits for it knows then
        sys.stdin.readline()
        with CpuStacks() as stacks:
            sys.stdin.readline()
        answer.write(msgspec.json.encode([Used(thread, stack, seconds) for (thread, stack), seconds in stacks.seconds().items()]))


def main() -> None:
    """The program, and beside it the thread that looks."""
    answer_to, module, *arguments = sys.argv[1:]
    os.set_inheritable(int(answer_to), False)
    threading.Thread(target=_sample, args=(int(answer_to),), name="sampled", daemon=True).start()
    sys.argv = [module, *arguments]
    runpy.run_module(module, run_name="__main__")


if __name__ == "__main__":
    main()
