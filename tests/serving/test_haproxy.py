"""HAProxy's configuration, looked at by HAProxy itself."""

import shutil
import subprocess
from pathlib import Path

import msgspec
import pytest

from reelrank.serving.haproxy import ProxyMissing, Replica, find_haproxy, haproxy_config, stats_socket_in
from reelrank.serving.services import ServingConfig

TWO = [Replica("serve", "127.0.0.1", 9001), Replica("serve-2", "::1", 9002)]


def test_haproxy_understands_what_is_written_for_it(haproxy: str, tmp_path: Path) -> None:
    written = tmp_path / "haproxy.cfg"
    written.write_text(haproxy_config(("::", 8000), TWO, ServingConfig(), tmp_path / "s"))
    done = subprocess.run([haproxy, "-c", "-f", str(written)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "[WARNING]" not in done.stderr


def test_no_secret_is_written_down() -> None:
    secret = "a-secret-of-more-than-thirty-two-characters"
    assert secret not in haproxy_config(("127.0.0.1", 8000), TWO, msgspec.structs.replace(ServingConfig(), secret=secret))


def test_where_the_path_is_too_long_for_a_socket_there_is_none() -> None:
    assert stats_socket_in(Path("/data")) == Path("/data/haproxy.sock")
    assert stats_socket_in(Path("/" + "long/" * 30)) is None
    assert stats_socket_in(Path("/a b")) is None


def test_without_haproxy_the_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda *_args, **_options: None)
    with pytest.raises(ProxyMissing, match="apt-get install haproxy"):
        find_haproxy()
