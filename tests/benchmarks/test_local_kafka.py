"""A broker of one's own: where it is found, and that it is gone when whoever started it is."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from reelrank.benchmarks.local_kafka import kafka_home
from reelrank.benchmarks.local_server import ServerMissing

SCRIPT = Path(__file__).parents[2] / "scripts" / "kafka"


def test_a_folder_without_a_broker_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KAFKA_HOME", str(tmp_path))
    with pytest.raises(ServerMissing, match=f"no Kafka broker at {tmp_path}; set KAFKA_HOME"):
        kafka_home()
    done = subprocess.run([SCRIPT, "home"], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert f"no broker at {tmp_path}; set KAFKA_HOME" in done.stderr


def test_the_script_and_the_benchmarks_find_the_same_broker() -> None:
    try:
        home = kafka_home()
    except ServerMissing as problem:
        pytest.fail(str(problem)) if os.environ.get("CI") == "true" else pytest.skip(str(problem))
    assert subprocess.run([SCRIPT, "home"], capture_output=True, text=True, check=True).stdout == f"{home}\n"


def test_a_broker_does_not_outlive_who_started_it(tmp_path: Path) -> None:
    try:
        kafka_home()
    except ServerMissing as problem:
        pytest.fail(str(problem)) if os.environ.get("CI") == "true" else pytest.skip(str(problem))
    program = """
import sys, time
from pathlib import Path
from reelrank.benchmarks.local_kafka import LocalKafka
with LocalKafka(Path(sys.argv[1])):
    print("runs", flush=True)
    time.sleep(600)
"""
    with subprocess.Popen([sys.executable, "-c", program, str(tmp_path)], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        assert parent.stdout.readline() == "runs\n"
        broker = int((tmp_path / "broker.pid").read_text())
        os.kill(broker, 0)
        parent.send_signal(signal.SIGKILL)
    deadline = time.monotonic() + 30
    while _runs(broker):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def _runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False
