"""Real stores in a folder of their own, and child processes that can be killed."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TypeVar

import pytest

from reelrank.benchmarks.local_redis import LocalRedis, LocalRedisCluster
from reelrank.benchmarks.local_server import ServerMissing
from storage.backends import Start

Servers = TypeVar("Servers", LocalRedis, LocalRedisCluster)


@pytest.fixture
def start() -> Iterator[Start]:
    """Starts Python programs with the given arguments; those still running at the end of the test are killed."""
    children: list[subprocess.Popen[str]] = []

    def _start(program: str, *arguments: Path | str | int) -> "subprocess.Popen[str]":
        command = [sys.executable, "-W", "error", "-c", program, *map(str, arguments)]
        child = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[1])})
        children.append(child)
        return child

    yield _start
    for child in children:
        child.kill()
        child.communicate()


def _made(kind: type[Servers], folder: Path) -> Servers:
    """Not started yet; without Redis installed tests skip, and fail where they must not."""
    try:
        return kind(folder)
    except ServerMissing as problem:
        pytest.fail(str(problem)) if os.environ.get("CI") == "true" else pytest.skip(str(problem))


@pytest.fixture(scope="session")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalRedis]:
    """A running Redis that all tests share; each takes a prefix of its own."""
    with _made(LocalRedis, tmp_path_factory.mktemp("redis")) as server:
        yield server


@pytest.fixture(scope="session")
def redis_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalRedisCluster]:
    """A running Redis Cluster of three nodes that all tests share; each takes a prefix of its own."""
    with _made(LocalRedisCluster, tmp_path_factory.mktemp("redis-cluster")) as servers:
        yield servers


@pytest.fixture
def own_redis(tmp_path: Path) -> Iterator[LocalRedis]:
    """A running Redis that a test may stop and kill."""
    with _made(LocalRedis, tmp_path / "redis") as server:
        yield server


@pytest.fixture
def own_redis_cluster(tmp_path: Path) -> Iterator[LocalRedisCluster]:
    """A running Redis Cluster whose nodes a test may stop and kill."""
    with _made(LocalRedisCluster, tmp_path / "redis-cluster") as servers:
        yield servers
