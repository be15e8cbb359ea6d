"""Records of the log as arrays: what the lake says, each part of it once."""

import numpy as np
from msgspec.structs import replace

from features.slate_log import visits
from features.slates import NOW, event, served, watched
from reelrank.domain.event import Like, Skip
from reelrank.features.attributor import all_examples
from reelrank.training.examples import HEADS
from reelrank.training.lake_examples import from_lake
from reelrank.training.log_examples import LogExamples, is_reserved, reserved, teaches
from training.told_lake import ToldLake


def test_both_records_of_an_impression_together_say_what_the_lake_says(told: ToldLake) -> None:
    told.tell(visits(0, 60))
    records = [record for record in all_examples(told.world.log, 0) if record.kind != "corrected"]
    found, known = LogExamples(told.world.reader, told.world.columns)(records)
    lake, *_ = from_lake(told.lake, told.world.columns)
    assert sorted(known) == list(range(len(records)))
    assert np.all(np.diff(found.examples.served_at) >= 0)
    of_lake = {
        (lake.user_ids[user], at, video): row
        for row, (user, at, video) in enumerate(
            zip(*(column.tolist() for column in (lake.examples.user, lake.examples.served_at, lake.examples.video)), strict=True)
        )
    }
    taught = np.full(lake.examples.labels.shape, np.nan)
    for row in range(len(found.examples)):
        user = found.user_ids[found.examples.user[row]]
        other = of_lake[user, found.examples.served_at[row], found.examples.video[row]]
        assert np.array_equal(found.examples.features[row], lake.examples.features[other])
        assert found.examples.surface[row] == lake.examples.surface[other]
        new = ~np.isnan(found.examples.labels[row])
        assert np.isnan(taught[other, new]).all()  # no head learns an impression twice
        taught[other, new] = found.examples.labels[row, new]
    corrected = {record.example_id for record in all_examples(told.world.log, 0) if record.kind == "corrected"}
    different = (~np.isnan(taught) & (taught != lake.examples.labels)).any(axis=1)
    assert different.sum() <= len(corrected)


def test_histories_hold_what_was_known_when_it_was_served(told: ToldLake) -> None:
    told.tell([served("r1", "u"), watched("v0", 5.0, request="r1"), event(Like, "v0", 6.0, request="r1"), served("r2", "u", at=50.0)])
    told.tell([event(Skip, "v1", 53.0, request="r2")])
    records = list(all_examples(told.world.log, 0))
    found, _ = LogExamples(told.world.reader, told.world.columns)(records)
    ends = dict(zip((found.examples.served_at - NOW).tolist(), found.history_ends.tolist(), strict=True))
    assert ends == {0.0: 0, 50.0: 2}


def test_the_same_slates_are_reserved_wherever_examples_come_from(told: ToldLake) -> None:
    told.tell(visits(0, 200))
    lake, *_ = from_lake(told.lake, told.world.columns)
    records = [record for record in all_examples(told.world.log, 0) if record.kind == "watched"]
    from_log = {(record.slate.user_id, record.slate.served_at) for record in records if not teaches(record)}
    which = reserved(lake)
    watches = which & ~np.isnan(lake.examples.label("click"))
    of_lake = set(zip(lake.user_ids[lake.examples.user[watches]].tolist(), lake.examples.served_at[watches].tolist(), strict=True))
    assert of_lake == from_log != set()
    assert all(is_reserved(*slate) for slate in from_log)
    assert 0.01 < which.mean() < 0.12


def test_videos_that_nobody_knows_are_left_out(told: ToldLake) -> None:
    told.tell([served("r1", "u"), watched("v0", 5.0, request="r1"), watched("v1", 6.0, request="r1")])
    records = [
        record if record.place.video_id == "v1" else replace(record, place=replace(record.place, video_id="nobody knows it"))
        for record in all_examples(told.world.log, 0)
    ]
    found, known = LogExamples(told.world.reader, told.world.columns)(records)
    assert [records[place].place.video_id for place in known] == ["v1"]
    assert len(found.examples) == 1
    assert found.examples.labels.shape == (1, len(HEADS))
