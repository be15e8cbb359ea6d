"""Tests of Redis of one's own: it keeps its data and its port, and ends with whoever started it."""

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
import redis

from reelrank.benchmarks.local_redis import LocalRedis, LocalRedisCluster
from reelrank.benchmarks.local_server import ServerMissing

ENDING = ["stop", "kill"]
_AT_ONCE = ("appendfsync", "always")  # with "everysec" a slow disk lets Redis put off what it writes, and a kill loses that


@pytest.fixture(autouse=True)
def _installed() -> None:
    if shutil.which("redis-server") is None:
        pytest.fail("no Redis") if os.environ.get("CI") == "true" else pytest.skip("no Redis on this machine: scripts/install-servers")


@pytest.mark.parametrize("end", ENDING)
def test_a_server_that_ended_starts_again_with_its_data_at_its_port(tmp_path: Path, end: str) -> None:
    with LocalRedis(tmp_path / "redis") as server:
        url = server.url
        with server.client() as inside:
            inside.config_set(*_AT_ONCE)
            inside.set("kept", "yes")
        getattr(server, end)()
        with server.client() as inside, pytest.raises(redis.ConnectionError):
            inside.ping()
        server.start()
        assert server.url == url
        with server.client() as inside:
            assert inside.get("kept") == b"yes"


@pytest.mark.parametrize("end", ENDING)
def test_a_cluster_that_ended_is_a_cluster_again(tmp_path: Path, end: str) -> None:
    with LocalRedisCluster(tmp_path / "cluster") as cluster:
        with redis.RedisCluster(host="127.0.0.1", port=cluster.nodes[0].port, password=cluster.password) as inside:
            inside.config_set(*_AT_ONCE, target_nodes=redis.RedisCluster.ALL_NODES)
            for number in range(30):
                inside.set(f"key-{number}", number)
        getattr(cluster, end)()
        cluster.start()
        with redis.RedisCluster(host="127.0.0.1", port=cluster.nodes[2].port, password=cluster.password) as inside:
            assert [int(inside.get(f"key-{number}")) for number in range(30)] == list(range(30))


def test_without_the_password_nobody_gets_in(tmp_path: Path) -> None:
    with LocalRedis(tmp_path / "redis") as server:
        with redis.Redis(port=server.port, protocol=2) as stranger, pytest.raises(redis.AuthenticationError):
            stranger.ping()
        command = Path(f"/proc/{server._process.pid}/cmdline").read_bytes().decode()
        assert server.password not in command


def test_a_server_ends_with_the_process_that_started_it(tmp_path: Path) -> None:
    program = """
import sys, time
from pathlib import Path
from reelrank.benchmarks.local_redis import LocalRedis
server = LocalRedis(Path(sys.argv[1]))
server.start()
print(server.port, server.password, flush=True)
time.sleep(60)
"""
    child = subprocess.Popen([sys.executable, "-c", program, tmp_path / "redis"], stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    port, password = child.stdout.readline().split()
    with redis.Redis(port=int(port), password=password, protocol=2) as inside:
        assert inside.ping()
        child.kill()
        child.communicate()
        deadline = time.monotonic() + 10
        with pytest.raises(redis.ConnectionError):
            while time.monotonic() < deadline:
                inside.ping()
                time.sleep(0.02)


def test_a_machine_without_redis_says_how_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ServerMissing, match=r"scripts/install-servers gets it, or: apt-get install redis-server"):
        LocalRedis(tmp_path / "redis")
