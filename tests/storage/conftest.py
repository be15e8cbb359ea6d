"""Real stores in a folder of their own, and child processes that can be killed."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from reelrank.benchmarks.local_postgresql import LocalPostgresql
from reelrank.benchmarks.local_server import ServerMissing
from storage.backends import Start


@pytest.fixture
def start() -> Iterator[Start]:
    """Starts Python programs with the given arguments; those still running at the end of the test are killed."""
    children: list[subprocess.Popen[str]] = []
    paths = os.pathsep.join(filter(None, [str(Path(__file__).parents[1]), os.environ.get("PYTHONPATH")]))

    def _start(program: str, *arguments: Path | str | int) -> "subprocess.Popen[str]":
        command = [sys.executable, "-W", "error", "-c", program, *map(str, arguments)]
        child = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=os.environ | {"PYTHONPATH": paths})
        children.append(child)
        return child

    yield _start
    for child in children:
        child.kill()
        child.communicate()


def a_server(folder: Path) -> LocalPostgresql:
    """A PostgreSQL that is not started yet; without one installed tests skip, and fail where they must not."""
    try:
        return LocalPostgresql(folder)
    except ServerMissing as problem:
        pytest.fail(str(problem)) if os.environ.get("CI") == "true" else pytest.skip(str(problem))


@pytest.fixture(scope="session")
def postgresql(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalPostgresql]:
    """A running PostgreSQL that all tests share; each takes a database of its own."""
    with a_server(tmp_path_factory.mktemp("postgresql")) as server:
        yield server


@pytest.fixture
def own_postgresql(tmp_path: Path) -> Iterator[LocalPostgresql]:
    """A running PostgreSQL that a test may stop and kill."""
    with a_server(tmp_path / "postgresql") as server:
        yield server
