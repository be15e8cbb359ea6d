"""What all tests share: real deployments in temporary folders, and the real data where it is."""

import os
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import hypothesis
import msgspec
import pytest

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # before anything loads NumPy, as the verbs do

from features.slate_log import SlateLog, open_slate_log
from reelrank.benchmarks.local_server import free_port
from reelrank.config import Settings
from reelrank.domain.clock import Clock
from reelrank.serving.haproxy import ProxyMissing, find_haproxy
from reelrank.simulation.client import FeedClient
from reelrank.simulation.demo import LivingWorld
from reelrank.simulation.world import World
from reelrank.studies.peer_networks import PeerMissing, interpreter
from reelrank.supervisor import Supervisor, running
from reelrank.wiring import Reelrank, open_reelrank

hypothesis.settings.register_profile("untimed", deadline=None)  # how long one example takes says more of the machine than of the code
hypothesis.settings.load_profile("untimed")

NOW = 1_750_000_000.0  # the moment at which small worlds live


@pytest.fixture
def open_system(tmp_path: Path) -> Iterator[Callable[..., Reelrank]]:
    """Opens deployments below the test's own folder; they are closed after the test."""
    opened: list[Reelrank] = []

    def open_one(clock: Clock | None = None, name: str = "data", **settings: object) -> Reelrank:
        system = open_reelrank(msgspec.convert({"data_dir": str(tmp_path / name), **settings}, Settings), clock)
        opened.append(system)
        return system

    yield open_one
    for system in opened:
        system.close()


@pytest.fixture
def slates(tmp_path: Path) -> Iterator[SlateLog]:
    """A log for slates, closed after the test."""
    found = open_slate_log(tmp_path)
    yield found
    found.close()


@pytest.fixture(name="free_port")
def _free_port() -> int:
    """A port that nobody listens on."""
    return free_port()


@pytest.fixture
def haproxy() -> str:
    """HAProxy; without it tests skip, and fail where they must not."""
    try:
        return find_haproxy()
    except ProxyMissing as problem:
        pytest.fail(str(problem)) if os.environ.get("CI") == "true" else pytest.skip(f"{problem} (scripts/install-servers)")


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 4 MB."""
    folder = tmp_path / "small"
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(folder)], capture_output=True, text=True, check=False)
    if mounted.returncode != 0:
        reason = f"a small disk can't be mounted here: {mounted.stderr.strip()}"
        pytest.fail(reason) if os.environ.get("CI") == "true" else pytest.skip(reason)
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of the real data sets; without it tests skip, and fail where they must not."""
    folder = Path(os.environ.get("REELRANK_DATA") or Path(__file__).parents[2] / "shared" / "data")
    if not folder.is_dir():
        reason = f"no data sets at {folder}; set REELRANK_DATA to the folder that holds kuairand-pure and clips"
        pytest.fail(reason) if os.environ.get("CI") == "true" else pytest.skip(reason)
    return folder


@pytest.fixture
def peers() -> Path:
    """The Python that has torch-rechub; without it tests skip, and fail where they must not."""
    try:
        return interpreter()
    except PeerMissing as problem:
        pytest.fail(str(problem)) if os.environ.get("CI") == "true" else pytest.skip(str(problem))


class _Quiet:
    """Progress that nobody sees."""

    @contextmanager
    def task(self, label: str, total: int) -> Iterator[Callable[[int], None]]:
        yield lambda done: None


@pytest.fixture(scope="session")
def demo_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Supervisor]:
    """The demo as `reelrank up` runs it, smaller: every role a process, 44 videos with their films, some people's past."""
    folder = tmp_path_factory.mktemp("demo")
    settings = msgspec.convert({"data_dir": str(folder), "serving": {"port": free_port()}}, Settings)
    with running(settings) as supervisor, FeedClient(supervisor.url) as client:
        world = LivingWorld(World.from_seed(3, videos=44, users=200, now=float(int(time.time()))), client, folder / "media")
        world.open(_Quiet(), films=44)
        yield supervisor
