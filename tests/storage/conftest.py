"""Real stores in a folder of their own, real servers, and child processes that can be killed."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

import pytest

from reelrank.benchmarks.local_kafka import LocalKafka
from reelrank.benchmarks.local_postgresql import LocalPostgresql
from reelrank.benchmarks.local_redis import LocalRedis, LocalRedisCluster
from reelrank.benchmarks.local_server import ServerMissing
from storage.backends import KAFKA_SERVERS, Start

Server = TypeVar("Server")


@pytest.fixture
def start() -> Iterator[Start]:
    """Starts Python programs with the given arguments; those still running at the end of the test are killed."""
    children: list[subprocess.Popen[str]] = []
    paths = os.pathsep.join(filter(None, [str(Path(__file__).parents[1]), os.environ.get("PYTHONPATH")]))

    def _start(program: str, *arguments: Path | str | int) -> "subprocess.Popen[str]":
        command = [sys.executable, "-W", "error", "-c", program, *map(str, arguments)]
        child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=os.environ | {"PYTHONPATH": paths})
        children.append(child)
        return child

    yield _start
    for child in children:
        child.kill()
        child.communicate()


def made(kind: Callable[[Path], Server], folder: Path) -> Server:
    """A server that is not started yet; without one installed tests skip, and fail where they must not."""
    try:
        return kind(folder)
    except ServerMissing as problem:
        pytest.fail(str(problem)) if os.environ.get("CI") == "true" else pytest.skip(str(problem))


def started(server: LocalKafka) -> LocalKafka:
    """A broker that runs; without Kafka or Java tests skip, and fail where they must not."""
    try:
        server.start()
    except ServerMissing as problem:
        pytest.fail(str(problem)) if os.environ.get("CI") == "true" else pytest.skip(str(problem))
    return server


@pytest.fixture(scope="session")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalKafka]:
    """A running broker that all tests share; each takes topics of its own."""
    with started(LocalKafka(tmp_path_factory.mktemp("kafka"))) as broker:
        os.environ[KAFKA_SERVERS] = broker.servers
        yield broker
        del os.environ[KAFKA_SERVERS]


@pytest.fixture
def own_kafka(tmp_path: Path) -> Iterator[LocalKafka]:
    """A running broker that a test may stop and kill."""
    with started(LocalKafka(tmp_path / "kafka")) as broker:
        yield broker


@pytest.fixture(scope="session")
def postgresql(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalPostgresql]:
    """A running PostgreSQL that all tests share; each takes a database of its own."""
    with made(LocalPostgresql, tmp_path_factory.mktemp("postgresql")) as server:
        yield server


@pytest.fixture
def own_postgresql(tmp_path: Path) -> Iterator[LocalPostgresql]:
    """A running PostgreSQL that a test may stop and kill."""
    with made(LocalPostgresql, tmp_path / "postgresql") as server:
        yield server


@pytest.fixture(scope="session")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalRedis]:
    """A running Redis that all tests share; each takes a prefix of its own."""
    with made(LocalRedis, tmp_path_factory.mktemp("redis")) as server:
        yield server


@pytest.fixture(scope="session")
def redis_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalRedisCluster]:
    """A running Redis Cluster of three nodes that all tests share; each takes a prefix of its own."""
    with made(LocalRedisCluster, tmp_path_factory.mktemp("redis-cluster")) as servers:
        yield servers


@pytest.fixture
def own_redis(tmp_path: Path) -> Iterator[LocalRedis]:
    """A running Redis that a test may stop and kill."""
    with made(LocalRedis, tmp_path / "redis") as server:
        yield server


@pytest.fixture
def own_redis_cluster(tmp_path: Path) -> Iterator[LocalRedisCluster]:
    """A running Redis Cluster whose nodes a test may stop and kill."""
    with made(LocalRedisCluster, tmp_path / "redis-cluster") as servers:
        yield servers
