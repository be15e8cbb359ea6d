"""The verbs as a user types them."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from conftest import NOW
from reelrank.config import Settings, as_environment
from reelrank.domain.clock import SystemClock
from reelrank.events.validation import decode_batch
from reelrank.wiring import open_reelrank

VIDEO = {"video_id": "late", "author_id": "a", "duration_s": 10.0, "uploaded_at": NOW}


VERBS = [
    "up",
    "serve",
    "stream",
    "lake",
    "index",
    "train",
    "restart",
    "models",
    "publish",
    "rollback",
    "keys",
    "dead-letters",
    "replay",
    "audit",
    "evaluate",
    "bench",
    "deploy",
    "doctor",
]  # as the loop turns


def reelrank(*words: str, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "reelrank.cli", *words], capture_output=True, text=True, timeout=60, env={**os.environ, **(env or {})})


def test_help_names_the_verbs_in_the_order_of_the_loop():
    text = reelrank("--help").stdout
    places = [text.index(f"\n  {verb} ") for verb in VERBS]
    assert places == sorted(places)


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_explains_itself(verb: str):
    done = reelrank(verb, "--help")
    assert done.returncode == 0 and "Usage:" in done.stdout


def test_an_unknown_verb_is_refused():
    done = reelrank("dance")
    assert done.returncode == 2 and "dance" in done.stderr


def test_doctor_finds_this_installation_whole(tmp_path: Path):
    done = reelrank("doctor", "--json", env={"REELRANK_DATA_DIR": str(tmp_path), "REELRANK_DATA": ""})
    findings = json.loads(done.stdout.splitlines()[-1])
    by_name = {finding["name"]: finding for finding in findings["findings"]}
    assert done.returncode == 0 and findings["ok"]
    assert by_name["lmdb"]["found"] and by_name["data folder"]["found"] == str(tmp_path)
    assert not by_name["data sets"]["ok"] and "REELRANK_DATA" in by_name["data sets"]["advice"]


def test_a_wrong_setting_ends_with_its_name_and_no_traceback():
    done = reelrank("doctor", env={"REELRANK_SERVING__PORT": "many"})
    assert done.returncode == 1
    assert "port" in done.stderr and "Traceback" not in done.stderr


def test_a_dead_letter_can_be_looked_at_and_sent_again_once_its_cause_is_mended(tmp_path: Path):
    settings = Settings(data_dir=str(tmp_path))
    system = open_reelrank(settings, SystemClock())
    body = json.dumps([{"type": "like", "event_id": "early", "user_id": "u", "video_id": "late"}]).encode()
    assert system.collector.accept(decode_batch(body)).refused[0].event_id == "early"

    env = as_environment(settings)
    (letter,) = json.loads(reelrank("dead-letters", "list", "--json", env=env).stdout.splitlines()[-1])["dead_letters"]
    assert letter["event_id"] == "early" and "not in the catalogue" in letter["reason"]

    publish = json.dumps([{"type": "video_published", "event_id": "p", "video": VIDEO}]).encode()
    assert system.collector.accept(decode_batch(publish)).accepted == 1
    assert json.loads(reelrank("dead-letters", "resubmit", "--json", env=env).stdout.splitlines()[-1])["accepted"] == 1
    reelrank("dead-letters", "resubmit", env=env)  # a second time changes nothing
    system.stream.catch_up()
    assert system.reader.user("u").liked.tolist() == [0]
    system.close()


def test_letters_are_not_looked_for_where_nothing_is_installed(tmp_path: Path):
    (tmp_path / "demo" / "log").mkdir(parents=True)
    done = reelrank("dead-letters", "list", env={"REELRANK_DATA_DIR": str(tmp_path)})
    assert done.returncode == 1 and str(tmp_path / "demo") in done.stderr
    assert not (tmp_path / "log").exists()
