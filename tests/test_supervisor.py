"""Real processes, really killed."""

import os
import time
import urllib.error
import urllib.request
from pathlib import Path

import msgspec
import pytest

from reelrank.config import Settings
from reelrank.supervisor import RoleFailed, Supervisor, is_ready, running


def settings(folder: Path, port: int) -> Settings:
    return msgspec.convert({"data_dir": str(folder), "serving": {"port": port}}, Settings)


def until(holds: object, within_s: float = 20.0) -> None:
    deadline = time.monotonic() + within_s
    while not holds():  # pyright: ignore[reportCallIssue]
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)


def gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


def test_roles_that_are_killed_come_back_and_stopping_leaves_nothing_behind(tmp_path: Path, free_port: int):
    with running(settings(tmp_path, free_port)) as supervisor:
        for role in ("serve", "stream"):
            before = supervisor.pid(role)
            supervisor.kill(role)
            until(lambda role=role, before=before: supervisor.pid(role) != before)
            assert supervisor.restarts(role) == 1
        until(lambda: is_ready(supervisor.url))
        pids = [supervisor.pid(role) for role in ("serve", "stream", "index")]
    assert all(gone(pid) for pid in pids)
    with pytest.raises(urllib.error.URLError):
        urllib.request.urlopen(supervisor.url, timeout=2)


def test_a_feed_that_can_not_come_up_says_why(tmp_path: Path, free_port: int):
    with running(settings(tmp_path / "one", free_port), roles=("serve",)):
        second = Supervisor(settings(tmp_path / "two", free_port), roles=("serve",))
        with pytest.raises(RoleFailed, match=str(free_port)):
            second.start(ready_within_s=15.0)


def test_a_data_folder_that_can_not_be_written_to_is_named(tmp_path: Path, free_port: int):
    (tmp_path / "file").touch()
    with pytest.raises(RoleFailed, match="can't start in the data folder"):
        Supervisor(settings(tmp_path / "file", free_port)).start()
