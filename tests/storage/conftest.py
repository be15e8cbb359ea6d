"""Real stores in a folder of their own, and child processes that can be killed."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from reelrank.benchmarks.local_kafka import LocalKafka
from reelrank.benchmarks.local_server import ServerMissing
from storage.backends import KAFKA_SERVERS, Start


@pytest.fixture(scope="session")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalKafka]:
    """The broker of this test session, for tests that leave it running."""
    with _installed(LocalKafka(tmp_path_factory.mktemp("kafka"))) as broker:
        os.environ[KAFKA_SERVERS] = broker.servers
        yield broker
        del os.environ[KAFKA_SERVERS]


@pytest.fixture
def own_kafka(tmp_path: Path) -> Iterator[LocalKafka]:
    """A broker that a test may kill."""
    with _installed(LocalKafka(tmp_path / "kafka")) as broker:
        yield broker


def _installed(server: LocalKafka) -> LocalKafka:
    """The server, started; without it tests skip, and fail where they must not."""
    try:
        server.start()
    except ServerMissing as problem:
        pytest.fail(str(problem)) if os.environ.get("CI") == "true" else pytest.skip(str(problem))
    return server


@pytest.fixture
def start() -> Iterator[Start]:
    """Starts Python programs with the given arguments; those still running at the end of the test are killed."""
    children: list[subprocess.Popen[str]] = []

    def _start(program: str, *arguments: Path | str | int) -> "subprocess.Popen[str]":
        command = [sys.executable, "-W", "error", "-c", program, *map(str, arguments)]
        paths = os.pathsep.join(filter(None, [str(Path(__file__).parents[1]), os.environ.get("PYTHONPATH")]))
        child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=os.environ | {"PYTHONPATH": paths})
        children.append(child)
        return child

    yield _start
    for child in children:
        child.kill()
        child.communicate()
