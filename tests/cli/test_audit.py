"""The audit as a user types it."""

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from click.testing import CliRunner, Result

from conftest import NOW
from reelrank.cli import main
from reelrank.config import Settings
from reelrank.domain.clock import ManualClock
from reelrank.domain.event import Event, VideoPublished, Watch, decode_accepted, encode_accepted
from reelrank.domain.video import Video
from reelrank.events.validation import Batch, Decoded
from reelrank.feed import FeedRequest
from reelrank.storage.event_log import EVENTS, Record
from reelrank.wiring import open_reelrank


def skew(*words: str) -> Result:
    return CliRunner().invoke(main, ["audit", "skew", *words], env={"COLUMNS": "200"})


def numbers_of(done: Result) -> dict[str, Any]:
    return json.loads(done.stdout.splitlines()[-1])


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """An installation that has served two slates of six videos."""
    settings = Settings(data_dir=str(tmp_path / "data"))
    system = open_reelrank(settings, ManualClock(NOW))
    videos = [Video(video_id=f"v{number}", author_id=f"a{number}", duration_s=10, uploaded_at=NOW - 60) for number in range(6)]
    events: list[Event] = [VideoPublished(event_id=f"p{number}", video=video) for number, video in enumerate(videos)]
    events += [Watch(event_id=f"w{number}", user_id="ana", video_id=f"v{number}", watched_s=9.0) for number in range(3)]
    assert not system.collector.accept(Batch([Decoded(index, event) for index, event in enumerate(events)], [])).refused
    system.stream.catch_up()
    system.columns.refresh()
    for user_id in ("ben", "cleo"):
        system.feed.refresh()
        system.feed.recommend(FeedRequest(user_id=user_id, count=6), NOW)
        system.feed.flush()
    system.close()
    return settings


def test_an_installation_that_served_what_its_log_says_passes(settings: Settings) -> None:
    done = skew("--data-dir", settings.data_dir, "--json")
    numbers = numbers_of(done)
    assert done.exit_code == 0
    assert (numbers["rows"], numbers["differences"], numbers["slates"]) == (12, 0, 2)
    assert numbers["by_feature"] == numbers["skipped"] == {}
    assert numbers["seconds"] > 0


def test_one_feature_that_is_off_fails_and_is_named(settings: Settings) -> None:
    system = open_reelrank(settings)
    records = [record for partition in range(4) for record in system.log.read(EVENTS, partition, 0, 100)]
    accepted = next(one for record in records if getattr((one := decode_accepted(record.value)).event, "policy", "") == "reelrank")
    first, *others = accepted.event.videos
    off = msgspec.structs.replace(first, features=(first.features[0] + 1.0, *first.features[1:]))
    slate = msgspec.structs.replace(accepted.event, event_id="off", request_id="the slate that is off", videos=(off, *others))
    system.log.append(EVENTS, [Record(slate.key, encode_accepted(msgspec.structs.replace(accepted, event=slate)))])
    system.close()
    done = skew("--data-dir", settings.data_dir)
    assert done.exit_code == 1
    assert f"app_click_rate of {first.video_id} in the slate that is off for {slate.user_id}: served" in done.stdout
    assert numbers_of(skew("--data-dir", settings.data_dir, "--json"))["by_feature"] == {"app_click_rate": 1}


def test_slates_are_chosen_and_an_audit_of_none_says_so(settings: Settings) -> None:
    where = ("--data-dir", settings.data_dir)
    assert "nothing was served that can be compared" in skew(*where, "--policy", "kuairand-log").stdout
    assert numbers_of(skew(*where, "--since", "2025-06-15T15:06:41", "--json"))["rows"] == 0
    assert numbers_of(skew(*where, "--since", "2025-06-15T15:06:40", "--json"))["rows"] == 12
    assert numbers_of(skew(*where, "--limit", "1", "--json"))["rows"] == 6


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--day", "20220506"), "belong together"),
        (("--data", "kuairand=there"), "belong together"),
        (("--data", "clips=there", "--day", "20220506"), "give kuairand=PATH"),
        (("--data", "kuairand=there", "--day", "20220506", "--policy", "reelrank"), "about a deployment"),
    ],
)
def test_what_makes_no_sense_together_is_refused(words: tuple[str, ...], told: str) -> None:
    done = skew(*words)
    assert done.exit_code == 2 and told in done.stderr


def test_a_folder_without_an_installation_or_data_ends_with_the_reason(tmp_path: Path) -> None:
    done = skew("--data-dir", str(tmp_path))
    assert done.exit_code == 1 and "no installation" in done.stderr
    done = skew("--data", f"kuairand={tmp_path}", "--day", "20220506")
    assert done.exit_code == 1 and "give the folder that holds videos.parquet" in done.stderr and "Traceback" not in done.stderr
