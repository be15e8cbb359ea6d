"""A process that learns online and is killed at random again and again; torch is loaded once, every learner is a fork of it."""

import json
import os
import random
import signal
import sys
import time
from pathlib import Path

import msgspec
import torch

from reelrank.domain.example import CLOSED, WATCHED
from reelrank.storage.event_log_embedded import EmbeddedEventLog
from reelrank.training.online import Online, Positions
from training.small_online import CONFIG, SmallModel, append, example, same, seen

EXAMPLES = 3_000
STEPS = 8  # between two checkpoints


def learn(place: Path, name: str) -> Online:
    log = EmbeddedEventLog(place / "log", 2, durable=False)
    online = Online(log, seen, SmallModel(), "base", Positions(), place / name, CONFIG)
    steps = 0
    while online.step():
        steps += 1
        if steps % STEPS == 0:
            online.checkpoint()
    online.checkpoint()
    log.close()
    return online


def killed(place: Path, after_s: float) -> bool:
    """Whether a learner was still at work when it was killed."""
    child = os.fork()
    if child == 0:
        learn(place, "killed")
        os._exit(0)
    time.sleep(after_s)
    os.kill(child, signal.SIGKILL)
    return os.waitpid(child, 0)[1] != 0


if __name__ == "__main__":
    place, times, chance = Path(sys.argv[1]), int(sys.argv[2]), random.Random(0)
    torch.set_num_threads(1)
    log = EmbeddedEventLog(place / "log", 2, durable=False)
    append(log, [example(number, WATCHED if number % 3 else CLOSED, partition=number % 2) for number in range(EXAMPLES)])
    log.close()
    began = time.perf_counter()
    undisturbed = learn(place, "undisturbed")
    whole_s = time.perf_counter() - began
    at_work = sum(killed(place, chance.uniform(0.02, whole_s / 30)) for _ in range(times))  # it has much left to do at the last kill
    online = learn(place, "killed")
    equal = same(online, undisturbed) and msgspec.json.encode(online.progressive.hours) == msgspec.json.encode(undisturbed.progressive.hours)
    told = {"kills": times, "at_work": at_work, "same": equal, "learned": online.learned, "undisturbed": undisturbed.learned, "whole_s": whole_s}
    print(json.dumps(told))
