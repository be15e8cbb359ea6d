"""`reelrank train ranker`, killed at random again and again once there is a checkpoint; torch is loaded once, every training is a fork of it."""

import json
import os
import random
import shutil
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

import matplotlib.figure  # noqa: F401  what a training loads on its way is loaded once, too
import scipy.optimize  # noqa: F401
import tensorboardX  # noqa: F401
import torch
import torch._dynamo

from features.slates import NOW
from reelrank.cli import main
from reelrank.config import Settings, StorageConfig, as_environment
from reelrank.domain.event import History
from reelrank.features.attribution import AttributionConfig
from reelrank.models.ranker_inputs import RankerSettings
from reelrank.storage.artifacts import ArtifactStore
from reelrank.training import train_ranker
from reelrank.training.online_config import TrainConfig
from reelrank.training.publish import GateConfig

RANKER = RankerSettings(
    width=8, attention_heads=2, window=12, strong=4, experts=2, hidden=8, thresholds=6, bins=4, admit_after=2,
    pretrain_epochs=1, epochs=3, batch_rows=1, learning_rate=2e-2, dropout=0.2, averaging=0.9,
)  # fmt: skip


def settings_of(folder: Path) -> Settings:
    train = TrainConfig(ranker=RANKER, min_examples=100, days=100_000.0, gate=GateConfig(min_users=2))
    attribution = AttributionConfig(window_s=60, remember_s=300)
    return Settings(data_dir=str(folder), storage=StorageConfig(partitions=2), train=train, attribution=attribution)


def fill(folder: Path) -> None:
    """An installation whose lake holds what came of some visits, and what the visitors had watched before: it is learned from in a phase of its own."""
    from features.slate_log import open_slate_log, visits  # not before the fork: what reads and writes lakes has threads
    from reelrank.wiring import open_reelrank

    slates = open_slate_log(folder)
    watched, long_viewed = tuple(f"v{number}" for number in range(8)), ("v1", "v3", "v6")
    slates.append(*(History(event_id=f"past-{user}", user_id=f"u{user}", occurred_at=NOW, watched=watched, long_viewed=long_viewed) for user in range(20)))
    slates.append(*visits(0, 300))
    slates.close()
    system = open_reelrank(settings_of(folder))
    system.lake_role.catch_up()
    system.close()


def train(folder: Path) -> None:
    os.environ |= as_environment(settings_of(folder))
    main(["train", "ranker", "--data-dir", str(folder)], standalone_mode=False)


def started(what: Callable[[Path], None], folder: Path) -> int:
    assert os.listdir("/proc/self/task") == [str(os.getpid())], "a fork does not take other threads along, and may wait for them for ever"
    child = os.fork()
    if child == 0:
        status = 1
        try:
            os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
            what(folder)
            status = 0
        finally:
            os._exit(status)
    return child


def ended(child: int) -> int:
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def killed(folder: Path, after: int) -> bool:
    """Whether a training was still at work when it was killed, some moment after so many checkpoints."""
    child, seen = started(train, folder), {checkpoint.stat().st_mtime_ns for checkpoint in checkpoints(folder)}
    before = len(seen)
    while len(seen) < before + after:
        if os.waitpid(child, os.WNOHANG)[0]:
            return False
        seen |= {checkpoint.stat().st_mtime_ns for checkpoint in checkpoints(folder)}
        time.sleep(0.002)
    time.sleep(random.uniform(0.0, 0.02))
    os.kill(child, signal.SIGKILL)
    return ended(child) == -signal.SIGKILL


def checkpoints(folder: Path) -> list[Path]:
    return list((folder / "runs" / "ranker").glob("*/*/checkpoint.pt"))


if __name__ == "__main__":
    place, times = Path(sys.argv[1]), int(sys.argv[2])
    torch.set_num_threads(1)
    train_ranker._CHECKPOINT_STEPS = 3
    (place / "undisturbed").mkdir()
    assert ended(started(fill, place / "undisturbed")) == 0
    shutil.copytree(place / "undisturbed", place / "killed")
    assert ended(started(train, place / "undisturbed")) == 0
    at_work = sum(killed(place / "killed", random.randint(1, 20)) for _ in range(times))  # of about sixty
    runs = len(list((place / "killed" / "runs" / "ranker").iterdir()))
    assert ended(started(train, place / "killed")) == 0
    one, other = (ArtifactStore(place / name / "artifacts").current("ranker") for name in ("undisturbed", "killed"))
    assert one is not None and other is not None
    differ = [name for name in one.manifest.files | other.manifest.files if one.manifest.files.get(name) != other.manifest.files.get(name)]
    print(json.dumps({"at_work": at_work, "runs": runs, "differ": differ, "files": len(one.manifest.files)}))
