"""Real processes, really killed."""

import os
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from functools import partial
from pathlib import Path

import msgspec
import pytest

from reelrank.benchmarks.local_server import free_ports_in_a_row
from reelrank.config import RolesConfig, Settings, StorageConfig
from reelrank.features.side_by_side import SideBySide
from reelrank.simulation.client import FeedClient, FeedError
from reelrank.storage.event_log import EVENTS, Record
from reelrank.storage.event_log_embedded import EmbeddedEventLog
from reelrank.storage.online_store_embedded import EmbeddedOnlineStore
from reelrank.supervisor import RoleFailed, Supervisor, alone_on, held_by, is_ready, processes, replicas_of, running


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


def test_of_several_streams_each_folds_its_share_and_the_others_take_over_from_one_that_dies(tmp_path: Path, free_port: int):
    with running(settings(tmp_path, free_port), roles=("stream", "stream-2", "stream-3")) as supervisor:
        log = EmbeddedEventLog(tmp_path / "log", 4)
        store = EmbeddedOnlineStore(tmp_path / "online", 4)
        try:
            for killed in (None, "stream-2", "stream"):
                if killed is not None:
                    supervisor.kill(killed)
                begun = store.offsets()
                log.append(EVENTS, [Record("", b"not an event", partition) for partition in range(4)])
                until(lambda begun=begun: all(offset > before for offset, before in zip(store.offsets(), begun, strict=True)))
        finally:
            store.close()
            log.close()
        until(lambda: [supervisor.restarts(name) for name in ("stream", "stream-2", "stream-3")] == [1, 1, 0])


def test_a_role_that_ends_because_a_store_is_away_is_tried_again_soon(tmp_path: Path, free_port: int):
    away = msgspec.structs.replace(settings(tmp_path, free_port), storage=StorageConfig(catalog=f"postgresql://nobody:secret@127.0.0.1:{free_port}/none"))
    with running(away, roles=("stream",)) as supervisor:
        until(lambda: supervisor.restarts("stream") >= 4, within_s=60.0)
        assert "postgresql" in (tmp_path / "logs" / "stream.log").read_text().lower()
        began = time.monotonic()
        until(lambda: supervisor.restarts("stream") >= 6, within_s=60.0)
        assert time.monotonic() - began < 20.0  # and not five seconds between them


def test_a_feed_may_listen_on_the_other_loopback(tmp_path: Path, free_port: int):
    there = msgspec.convert({"data_dir": str(tmp_path), "serving": {"host": "::1", "port": free_port}}, Settings)
    with running(there, roles=("serve",)) as supervisor, FeedClient(supervisor.url) as client:
        assert client.feed("ana")["videos"] == []


def test_a_role_that_nobody_plays_is_named(tmp_path: Path, free_port: int):
    with pytest.raises(RoleFailed, match="no role 'dancer'"):
        Supervisor(settings(tmp_path, free_port), roles=("dancer",)).start()


def test_processes_are_as_many_as_configured():
    assert processes(RolesConfig()) == ["stream", "lake", "index", "train", "serve"]
    assert processes(RolesConfig(stream=3, index=0, counters=1)) == ["stream", "stream-2", "stream-3", "counters", "lake", "train", "serve"]


def test_replicas_have_ports_of_their_own_behind_the_public_one(tmp_path: Path):
    def ports(names: list[str], **serving: int) -> list[int]:
        return [one.port for one in replicas_of(msgspec.convert({"serving": serving}, Settings), names)]

    assert ports(["serve"], port=8000) == [8000]
    assert ports(["serve", "serve-2"], port=8000) == [8001, 8002]
    assert ports(["serve", "serve-2"], port=8000, replica_port=9000) == [9000, 9001]
    for impossible in ({"port": 0}, {"port": 65_534}, {"port": 8001, "replica_port": 8000}):
        with pytest.raises(RoleFailed, match=r"serving\.replica_port"):
            ports(["serve", "serve-2"], **impossible)


class _Asking(SideBySide):
    """Clients that ask for feeds and never try again; what did not go well is in `failures`."""

    def __init__(self, url: str, how_many: int = 4) -> None:
        super().__init__({f"client-{number}": partial(self._ask, number) for number in range(how_many)})
        self.url, self.answered, self.failures = url, 0, list[str]()

    def _ask(self, number: int, ended: threading.Event) -> None:
        with FeedClient(self.url, retries=0) as client:
            while not ended.wait(0.05):
                try:
                    client.feed(f"user-{number}-{self.answered % 7}")
                except FeedError as problem:
                    self.failures.append(str(problem))
                self.answered += 1


def test_of_two_replicas_one_may_be_killed_while_everybody_is_answered_and_haproxy_comes_back_too(tmp_path: Path, haproxy: str):
    port = free_ports_in_a_row(3)
    patient = msgspec.convert({"data_dir": str(tmp_path), "serving": {"port": port, "max_wait_s": 5.0}}, Settings)
    with running(patient, roles=("serve", "serve-2")) as supervisor:
        assert supervisor.names == ("serve", "serve-2", "haproxy")
        with _Asking(supervisor.url) as asking:
            before = supervisor.pid("serve-2")
            supervisor.kill("serve-2")
            until(lambda: supervisor.pid("serve-2") != before and is_ready(supervisor.replica_urls[1]), within_s=60.0)
        assert asking.failures == [] and asking.answered > 10
        before = supervisor.pid("haproxy")
        supervisor.kill("haproxy")
        until(lambda: supervisor.pid("haproxy") != before and is_ready(supervisor.url))
    assert gone(supervisor.pid("haproxy"))


def test_a_restart_of_replicas_that_do_not_come_back_is_broken_off_when_all_is_to_stop(tmp_path: Path, free_port: int):
    stopping, waits = threading.Event(), threading.Event()

    def restart(_ended: threading.Event) -> None:
        Supervisor(settings(tmp_path, free_port), ["serve"]).restart_replicas(60.0, stopping)
        waits.set()

    with SideBySide({"restart": restart}):
        assert not waits.wait(0.2)
        stopping.set()
        assert waits.wait(5.0)


def test_a_replica_of_somebody_else_is_not_taken_for_ours(tmp_path: Path, haproxy: str):
    port = free_ports_in_a_row(3)
    with socket.create_server(("127.0.0.1", port + 2)), pytest.raises(RoleFailed, match=f"can't listen on 127.0.0.1:{port + 2}"):
        Supervisor(settings(tmp_path, port), roles=("serve", "serve-2")).start()


def test_who_holds_a_folder_is_known_to_others(tmp_path: Path):
    assert held_by(tmp_path) is None
    with alone_on(tmp_path):
        assert held_by(tmp_path) == os.getpid()
    assert held_by(tmp_path) is None


def test_a_feed_that_can_not_come_up_says_why(tmp_path: Path, free_port: int):
    with running(settings(tmp_path / "one", free_port), roles=("serve",)):
        second = Supervisor(settings(tmp_path / "two", free_port), roles=("serve",))
        with pytest.raises(RoleFailed, match=str(free_port)):
            second.start(ready_within_s=15.0)


def test_a_data_folder_that_can_not_be_written_to_is_named(tmp_path: Path, free_port: int):
    (tmp_path / "file").touch()
    with pytest.raises(RoleFailed, match="can't start in the data folder"):
        Supervisor(settings(tmp_path / "file", free_port)).start()
    with pytest.raises(RoleFailed, match="can't start in the data folder"), alone_on(tmp_path / "file"):
        pass


def test_a_folder_is_one_processes_alone_until_that_ends(tmp_path: Path):
    program = """
import sys, time
from pathlib import Path
from reelrank.supervisor import alone_on
with alone_on(Path(sys.argv[1])):
    print(flush=True)
    time.sleep(600)
"""
    with subprocess.Popen([sys.executable, "-c", program, str(tmp_path / "data")], stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None and holder.stdout.readline()
        with pytest.raises(RoleFailed, match=rf"{tmp_path}/data is in use by process {holder.pid}; end that, or choose another"), alone_on(tmp_path / "data"):
            pass
        with alone_on(tmp_path / "other"):
            pass
        holder.kill()
    for _ in range(2):
        with alone_on(tmp_path / "data"):
            assert (tmp_path / "data" / "up.lock").read_text() == str(os.getpid())


def test_a_long_log_is_put_away_while_its_process_goes_on_writing(tmp_path: Path, free_port: int):
    log, old = tmp_path / "logs" / "serve.log", tmp_path / "logs" / "serve.log.1"

    def complain() -> None:
        with socket.create_connection(("127.0.0.1", free_port)) as wire:
            wire.sendall(b"this is no HTTP\r\n\r\n")
            assert wire.recv(1_000)

    with running(settings(tmp_path, free_port), roles=("serve",)) as supervisor:
        serving = supervisor.pid("serve")
        for _ in range(2):  # the second time there is something to replace
            complain()
            until(lambda: log.stat().st_size > 0)
            told = log.read_bytes()
            assert told.startswith(b"Invalid HTTP request")  # and not behind a hole where the rest was
            with log.open("ab") as end:
                end.write(b"x" * (16 << 20))
            until(lambda: log.stat().st_size == 0)
            assert old.read_bytes() == told + b"x" * (16 << 20)
        assert supervisor.pid("serve") == serving


def test_a_role_that_cant_be_started_for_a_while_is_started_later(tmp_path: Path, free_port: int):
    with running(settings(tmp_path, free_port), roles=("stream",)) as supervisor:
        logs = (tmp_path / "logs").rename(tmp_path / "away")
        (tmp_path / "logs").write_bytes(b"")
        before = supervisor.pid("stream")
        supervisor.kill("stream")
        time.sleep(0.5)
        assert supervisor.pid("stream") == before
        (tmp_path / "logs").unlink()
        logs.rename(tmp_path / "logs")
        until(lambda: supervisor.pid("stream") != before)
