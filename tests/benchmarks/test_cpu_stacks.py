"""CPU time is put down to the functions that use it."""

import subprocess
import sys
import threading
import time

from reelrank.benchmarks.cpu_stacks import CpuStacks


def spin(cpu_s: float) -> None:
    until = time.thread_time() + cpu_s
    while time.thread_time() < until:
        pass


def rest(seconds: float) -> None:
    time.sleep(seconds)


def test_what_computes_is_seen_with_its_time_and_what_waits_is_not() -> None:
    with CpuStacks() as stacks:
        waiting = threading.Thread(target=rest, args=(0.3,), name="waiting")
        waiting.start()
        computing = threading.Thread(target=spin, args=(0.3,), name="computing")
        computing.start()
        computing.join()
        waiting.join()
    used = dict.fromkeys(("computing", "waiting"), 0.0)
    for (thread, stack), seconds in stacks.seconds().items():
        if thread in used and (__name__, {"computing": "spin", "waiting": "rest"}[thread]) in stack:
            used[thread] += seconds
    assert 0.25 < used["computing"] < 0.33
    assert used["waiting"] < 0.01


def test_a_stack_begins_with_the_outermost_function() -> None:
    with CpuStacks() as stacks:
        spin(0.1)
    used = {stack: seconds for (thread, stack), seconds in stacks.seconds().items() if thread == "MainThread"}
    stack = max(used, key=used.__getitem__)  # beside it, the end of the block is waited for
    assert stack[-1] == (__name__, "spin")
    assert stack[-2] == (__name__, "test_a_stack_begins_with_the_outermost_function")


_ENDED_AND_LISTED = """
import _thread, threading, time
from reelrank.benchmarks.cpu_stacks import CpuStacks

threading.stack_size(256 << 20)  # too much for the C library to keep when a thread ends: its memory is gone
for _ in range(5):
    _thread.start_new_thread(threading.current_thread, ())
time.sleep(0.2)
threading.stack_size(0)
assert threading.active_count() > 1
with CpuStacks() as stacks:
    until = time.thread_time() + 0.05
    while time.thread_time() < until:
        pass
assert any(thread == "MainThread" for thread, _ in stacks.seconds())
"""


def test_threads_that_have_ended_and_are_still_listed_are_passed_over() -> None:
    """Python lists whoever came from elsewhere and asked once who they are, and does not learn of their end. In a process of its own, which looking may end."""
    done = subprocess.run([sys.executable, "-c", _ENDED_AND_LISTED], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
