"""Online learning: every example once, predicted before it is learned, nothing lost or repeated by a kill, nothing poisonous learned."""

import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import numpy as np
import pytest

from reelrank.domain.example import CLOSED, CORRECTED
from reelrank.models.row_updates import decode_update
from reelrank.models.shifts import USER, user_keys
from reelrank.storage.event_log import MODEL_ROWS, StorageError
from reelrank.storage.event_log_embedded import EmbeddedEventLog
from reelrank.training.examples import HEADS
from reelrank.training.log_examples import RESERVED_ONE_IN, teaches
from reelrank.training.online import Online, Positions
from reelrank.training.online_config import LearnerConfig, OnlineConfig
from reelrank.training.online_learner import LostItself
from reelrank.training.quarantine import QuarantineConfig
from reelrank.training.unreadable import Unreadable
from training.damage import cut, emptied, pickled
from training.small_online import CONFIG, VIDEOS, SmallModel, append, example, same, seen, weights


@pytest.fixture
def log(tmp_path: Path) -> Iterator[EmbeddedEventLog]:
    made = EmbeddedEventLog(tmp_path / "log", 2, durable=False)
    yield made
    made.close()


def online(log: EmbeddedEventLog, folder: Path, config: OnlineConfig = CONFIG, base: str = "base", model: SmallModel | None = None) -> Online:
    return Online(log, seen, model or SmallModel(), base, Positions(), folder, config)


def caught_up(one: Online) -> Online:
    while one.step():
        pass
    return one


def test_it_learns_what_the_examples_say_and_predicts_before(log: EmbeddedEventLog, tmp_path: Path) -> None:
    append(log, [example(number) for number in range(100)])
    one = caught_up(online(log, tmp_path / "online"))
    assert one.progressive.lately("long_view").log_loss > 0.6  # no video was seen often before
    append(log, [example(number) for number in range(100, 5_000)])
    caught_up(one)
    hours = one.progressive.measured("long_view")
    assert one.learned == pytest.approx(5_000 * (1 - 1 / RESERVED_ONE_IN), rel=0.05)
    assert sum(hour.examples for hour in hours) < one.learned  # the last two days
    assert sum(hour.examples for hour in hours[1:-1]) == pytest.approx(46 * 95, rel=0.05)
    assert hours[-1].auc == 1.0
    assert one.progressive.measured("like") == []
    assert one.learner.batches == 7 + 307
    assert one.lag() == 0


def test_each_head_learns_each_impression_once(log: EmbeddedEventLog, tmp_path: Path) -> None:
    records = [example(number, kind, offset=3 * number + part) for number in range(60) for part, kind in enumerate(("watched", "closed", "corrected"))]
    append(log, records)
    append(log, records[30:90])  # a writer that had lost its partition and did not know it
    one = caught_up(online(log, tmp_path / "online"))
    teaching = sum(teaches(record) for record in records)
    assert one.learned == teaching
    assert one.progressive.lately("long_view").examples == one.progressive.lately("like").examples == teaching / 2
    assert not any(teaches(record) for record in records if record.kind == CORRECTED)


def test_reserved_slates_teach_nobody(log: EmbeddedEventLog, tmp_path: Path) -> None:
    records = [example(number) for number in range(1_000)]
    assert sum(not teaches(record) for record in records) == pytest.approx(1_000 / RESERVED_ONE_IN, rel=0.4)
    append(log, [record for record in records if not teaches(record)])
    assert caught_up(online(log, tmp_path / "online")).learned == 0


def test_touched_rows_are_sent_and_make_a_replica_equal(log: EmbeddedEventLog, tmp_path: Path) -> None:
    append(log, [example(number) for number in range(100)])
    one = online(log, tmp_path / "online")
    one.step()
    first = one.send_rows()
    caught_up(one)
    assert 0 < first <= 16 + 7
    assert one.send_rows() == VIDEOS + 7
    assert one.send_rows() == 0
    updates = [decode_update(record.value) for record in log.read(MODEL_ROWS, 0, 0, 100)]
    assert [update.sequence for update in updates] == [0, 1, 2]
    assert [update.begins for update in updates] == [True, False, False]
    assert {update.base for update in updates} == {"base"}
    found = {}
    for update in updates[1:]:
        found |= dict(zip(update.tables["video"].keys.tolist(), update.tables["video"].weights.tolist(), strict=True))
    videos = np.arange(VIDEOS)
    assert np.array_equal(np.array([found[video] for video in videos], dtype=np.float32), one.learner.model.tables["video"].look_up(videos))
    assert updates[-1].tables[USER].keys.tolist() == one.learner.model.tables[USER].index.keys[1:8].tolist()


def test_it_goes_on_at_its_checkpoint_as_if_nothing_had_been(log: EmbeddedEventLog, tmp_path: Path) -> None:
    append(log, [example(number, partition=number % 2) for number in range(400)])
    undisturbed = caught_up(online(log, tmp_path / "one"))
    for steps in (3, 1, 5, 2):
        broken = online(log, tmp_path / "two")
        for _ in range(steps):
            broken.step()
        broken.checkpoint()
        broken.step()  # and this is lost
    resumed = caught_up(online(log, tmp_path / "two"))
    assert resumed.resumed
    assert same(resumed, undisturbed)
    assert resumed.learned == undisturbed.learned
    assert resumed.progressive.lately("long_view") == undisturbed.progressive.lately("long_view")


def test_a_checkpoint_of_before_users_had_rows_is_gone_on_from(log: EmbeddedEventLog, tmp_path: Path) -> None:
    append(log, [example(number) for number in range(100)])
    first = caught_up(online(log, tmp_path / "online"))
    first.checkpoint()
    for kept in (tmp_path / "online" / "checkpoints").iterdir():
        shutil.rmtree(kept / USER)
    resumed = online(log, tmp_path / "online")
    tables = resumed.learner.model.tables
    assert resumed.learned == first.learned
    assert (len(tables["video"]), len(tables[USER])) == (VIDEOS, 0)


@pytest.mark.parametrize(
    ("file", "damage"),
    [
        *(("learner.pt", damage) for damage in (cut, emptied, pickled, Path.unlink)),
        *(("state.json", damage) for damage in (cut, Path.unlink)),
        *((f"video/{name}", Path.unlink) for name in ("weights.npy", "table.json")),
    ],
)
def test_a_damaged_checkpoint_is_told_and_the_one_before_it_is_gone_on_from(
    log: EmbeddedEventLog, tmp_path: Path, file: str, damage: Callable[[Path], object]
) -> None:
    append(log, [example(number) for number in range(100)])
    one = online(log, tmp_path / "online")
    for _ in range(2):
        one.step()
        one.checkpoint()
    older, newest = sorted((tmp_path / "online" / "checkpoints").iterdir())
    damage(newest / file)
    with pytest.raises(Unreadable, match=re.escape(str(newest / file.partition("/")[0]))):
        online(log, tmp_path / "online")
    resumed = online(log, tmp_path / "online")
    assert resumed.resumed
    assert 0 < resumed.learned < one.learned
    damage(older / file)
    with pytest.raises(Unreadable):
        online(log, tmp_path / "online")
    begun = online(log, tmp_path / "online")
    assert not begun.resumed
    assert same(caught_up(begun), caught_up(one))


def test_a_checkpoint_that_is_no_folder_is_let_go(log: EmbeddedEventLog, tmp_path: Path) -> None:
    online(log, tmp_path / "online")
    (newest,) = (tmp_path / "online" / "checkpoints").iterdir()
    shutil.rmtree(newest)
    newest.write_text("no folder")
    with pytest.raises(Unreadable, match="NotADirectoryError"):
        online(log, tmp_path / "online")
    online(log, tmp_path / "online").checkpoint()


def test_killed_twenty_times_it_ends_with_the_same_weights_bit_by_bit(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "training.killed_online", str(tmp_path), "20"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False, cwd=Path(__file__).parents[1])
    assert done.returncode == 0, done.stderr
    told = msgspec.json.decode(done.stdout.splitlines()[-1])
    assert told["kills"] == 20
    assert told["at_work"] >= 10
    assert told["same"]
    assert told["learned"] == told["undisturbed"]


def test_on_another_version_it_begins_anew_and_says_so(log: EmbeddedEventLog, tmp_path: Path) -> None:
    append(log, [example(number) for number in range(100)])
    first = caught_up(online(log, tmp_path / "online"))
    first.checkpoint()
    other = online(log, tmp_path / "online", base="other")
    assert not other.resumed
    assert other.learned == 0
    last = decode_update(log.read(MODEL_ROWS, 0, log.end(MODEL_ROWS, 0) - 1, 1)[0].value)
    assert (last.base, last.begins) == ("other", True)


def test_on_its_own_version_it_goes_on(log: EmbeddedEventLog, tmp_path: Path) -> None:
    append(log, [example(number) for number in range(100)])
    first = caught_up(online(log, tmp_path / "online"))
    first.rebase("next")
    resumed = online(log, tmp_path / "online", base="next")
    assert resumed.resumed
    assert same(first, resumed)


def test_what_is_poisonous_is_counted_written_down_and_not_learned(log: EmbeddedEventLog, tmp_path: Path) -> None:
    good = [example(number) for number in range(64)]
    broken_features = np.full(len(good[0].place.features) // 4, np.nan, dtype="<f4").tobytes()
    poison = [
        example(100, place=msgspec.structs.replace(good[0].place, features=broken_features)),
        example(101, watched_s=float("inf")),
        example(102, watched_s=-1.0),
        example(103, place=msgspec.structs.replace(good[0].place, features_version="older")),
    ]
    flood = [example(1_000 + number, CLOSED, user="bot") for number in range(10_000)]
    append(log, [*good, *poison, *flood])
    config = msgspec.structs.replace(CONFIG, quarantine=QuarantineConfig(most_per_user=50, window_s=1e6))
    one = caught_up(online(log, tmp_path / "online", config))
    counts = one.quarantine.state.counts
    assert (counts["not_finite"], counts["impossible"], counts["other_features"]) == (2, 1, 1) or sum(teaches(record) for record in poison) < 4
    assert counts["flood"] == sum(teaches(record) for record in flood) - 50
    assert one.learned == sum(teaches(record) for record in good) + 50
    letters = [msgspec.json.decode(line) for line in (tmp_path / "online" / "quarantine.jsonl").read_bytes().splitlines()]
    assert len(letters) == sum(counts.values())
    assert letters[-1]["reason"].startswith("flood: outcome ")
    assert letters[-1]["user_id"] == "bot"
    assert all(np.isfinite(part).all() for part in weights(one))


def test_ten_thousand_likes_of_one_user_move_that_users_row_alone(log: EmbeddedEventLog, tmp_path: Path) -> None:
    config = msgspec.structs.replace(CONFIG, learner=LearnerConfig(user_rate=0.1, row_rate=0.0, dense_rate=0.0))
    append(log, [example(number, CLOSED) for number in range(200)])
    one = caught_up(online(log, tmp_path / "online", config))
    users, bot = one.learner.model.tables[USER], user_keys(["bot"])
    before, dense = users.look_up(everyone := user_keys([f"u{number}" for number in range(7)])), weights(one)[-2].copy()
    append(log, [example(2 * number, CLOSED, user="bot") for number in range(100, 10_100)])  # even videos: all of them liked
    caught_up(one)
    assert np.array_equal(users.look_up(everyone), before) and before.any(axis=1).all()
    assert 0 < users.look_up(bot)[0, HEADS.index("like")] < 5  # the window lets some of a flood through, and steps grow shorter
    assert len(one.learner.model.tables["video"]) == 0 and np.array_equal(weights(one)[-2], dense)
    assert set(one.learner.changes()) == {USER}


def test_a_batch_whose_loss_explodes_is_left_out_and_too_many_end_it(log: EmbeddedEventLog, tmp_path: Path) -> None:
    config = msgspec.structs.replace(CONFIG, learner=LearnerConfig(row_rate=0.1, gives_up_after=3))
    append(log, [example(number) for number in range(16 * 30)])
    one = caught_up(online(log, tmp_path / "online", config))
    before = [part.copy() for part in weights(one)]
    with np.errstate(over="ignore"):
        one.learner.model.tables["video"].weights[1:] *= 1e4
    append(log, [example(number) for number in range(480, 480 + 16 * 3)])
    one.step()
    one.step()
    assert one.quarantine.state.counts["exploded"] > 20
    with pytest.raises(LostItself, match="3 batches in a row made no sense"):
        one.step()
    assert np.array_equal(weights(one)[-2], before[-2])


def test_while_the_log_is_away_nothing_is_lost(log: EmbeddedEventLog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    append(log, [example(number) for number in range(100)])
    undisturbed = caught_up(online(log, tmp_path / "one"))
    one = online(log, tmp_path / "two")
    read = log.read

    def away(*_: object) -> None:
        raise StorageError("the log is away")

    for _ in range(7):
        monkeypatch.setattr(log, "read", away)
        with pytest.raises(StorageError):
            one.step()
        monkeypatch.setattr(log, "read", read)
        monkeypatch.setattr(one, "_seen", away)  # and then the online store
        with pytest.raises(StorageError):
            one.step()
        one.checkpoint()
        monkeypatch.setattr(one, "_seen", seen)
        one.step()
    assert same(one, undisturbed)
    assert one.quarantine.state == undisturbed.quarantine.state
