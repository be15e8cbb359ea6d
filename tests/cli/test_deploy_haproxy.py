"""`reelrank deploy haproxy`: what is printed is a configuration of the replicas that were named, or of those that the settings make."""

import subprocess
from pathlib import Path

import pytest
from click.testing import CliRunner

from reelrank.cli import main


def deployed(*words: str) -> tuple[int, str]:
    done = CliRunner().invoke(main, ["deploy", "haproxy", *words])
    return done.exit_code, done.output


def test_the_replicas_that_are_named_are_in_it_and_haproxy_understands_it(tmp_path: Path, haproxy: str) -> None:
    file = tmp_path / "haproxy.cfg"
    assert deployed("--replica", "10.0.0.1:8000", "--replica", "[fd00::2]:8000", "--bind", "0.0.0.0:80", "--output", str(file))[0] == 0
    written = file.read_text()
    assert "bind 0.0.0.0:80" in written
    assert "server replica-1 10.0.0.1:8000" in written and "server replica-2 [fd00::2]:8000" in written
    assert subprocess.run([haproxy, "-c", "-f", str(file)], capture_output=True, check=False).returncode == 0


def test_without_names_they_are_those_that_the_settings_make(tmp_path: Path) -> None:
    settings = tmp_path / "reelrank.toml"
    settings.write_text("[roles]\nserve = 3\n[serving]\nport = 9000\n")
    code, printed = deployed("--config", str(settings))
    assert code == 0
    assert "bind 127.0.0.1:9000" in printed
    assert all(f"server {name} 127.0.0.1:{port}" in printed for name, port in (("serve", 9001), ("serve-2", 9002), ("serve-3", 9003)))


@pytest.mark.parametrize(("words", "why"), [((), "set roles.serve to 2 or more"), (("--replica", "nowhere"), "'nowhere' is no HOST:PORT")])
def test_what_can_not_be_says_why(words: tuple[str, ...], why: str) -> None:
    code, printed = deployed(*words)
    assert code != 0
    assert why in printed
