"""What measurements on servers need."""

import os
from pathlib import Path

import pytest

from reelrank.benchmarks.local_kafka import kafka_home
from reelrank.benchmarks.local_postgresql import LocalPostgresql
from reelrank.benchmarks.local_redis import LocalRedis
from reelrank.benchmarks.local_server import ServerMissing


@pytest.fixture
def servers(tmp_path: Path) -> None:
    """Kafka, Redis and PostgreSQL are installed; else tests skip, and fail where they must not."""
    try:
        kafka_home()
        LocalRedis(tmp_path / "redis")
        LocalPostgresql(tmp_path / "postgresql")
    except ServerMissing as problem:
        pytest.fail(str(problem)) if os.environ.get("CI") == "true" else pytest.skip(str(problem))
