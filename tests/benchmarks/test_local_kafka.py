"""A broker of one's own: where it is found, and that it is gone when whoever started it is."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from reelrank.benchmarks.local_kafka import kafka_home, lives
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
    while lives(broker):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_process_is_gone_with_its_last_thread_and_not_with_its_first() -> None:
    program = """
import ctypes, os, threading, time
from pathlib import Path
def end_last():
    while Path(f"/proc/{os.getpid()}/stat").read_text().rpartition(")")[2].split()[0] != "Z":
        time.sleep(0.01)
    print("alone", flush=True)
    input()
    os._exit(0)
threading.Thread(target=end_last).start()
ctypes.CDLL(None).pthread_exit(None)
"""
    with subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None and process.stdout is not None
        assert process.stdout.readline() == "alone\n"
        assert lives(process.pid)
        process.stdin.write("\n")
        process.stdin.flush()
        assert os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT) is not None  # it is there to be collected
        assert not lives(process.pid)
    assert not lives(process.pid)
