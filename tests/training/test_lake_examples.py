"""Examples and histories from the lake: the same as in the log and in the online store, and nothing known before it arrived."""

import msgspec
import numpy as np
import pytest

from features.slate_log import visits
from features.slates import FEATURES, NOW, event, served, watched
from reelrank.domain.event import NOT_PERSONAL, Context, History, Like, Reset, Share, Skip
from reelrank.features.attributor import all_examples
from reelrank.features.definitions import WIDTH
from reelrank.features.tokens import Action, deeds_of, tokens_of
from reelrank.storage.event_log import EXAMPLES
from reelrank.training.examples import ExamplesError
from reelrank.training.lake_examples import LeftOut, from_lake
from reelrank.training.log_examples import teaches
from training.told_lake import ToldLake


def test_each_impression_is_one_example_as_its_last_record_has_it(told: ToldLake) -> None:
    told.tell([event_ for event_ in visits(0, 80)])
    found, left_out, *_ = from_lake(told.lake, told.world.columns)
    last = {one.example_id: one for one in all_examples(told.world.log, 0)}
    assert left_out == LeftOut()
    assert len(found.examples) == len(last)
    assert np.all(np.diff(found.examples.served_at) >= 0)
    assert found.examples.features.shape == (len(last), WIDTH)
    assert found.examples.features[0].tolist() == list(FEATURES)
    assert np.nansum(found.examples.label("like")) == sum(one.labels.like is True for one in last.values())
    assert np.nansum(found.examples.label("long_view")) == sum(one.labels.long_view is True for one in last.values())
    assert np.isnan(found.examples.label("click")).sum() == sum(one.labels.click is None for one in last.values())


def test_histories_are_those_of_the_online_store(told: ToldLake) -> None:
    told.tell([History(event_id="past", user_id="u1", occurred_at=NOW - 9.0, watched=("v0", "v3"), long_viewed=("v3", "v4"), liked=("v4",))])
    told.tell([event_ for event_ in visits(0, 60, users=4)])
    found, *_ = from_lake(told.lake, told.world.columns)
    stored = tokens_of(deeds_of(told.world.reader.users(found.user_ids.tolist())), told.world.columns.duration_s)
    assert found.tokens.start.tolist() == stored.start.tolist()
    order, other = (np.lexsort((one.completion, one.actions, one.video, one.owner)) for one in (found.tokens, stored))  # of likes the store keeps the last
    assert found.tokens.video[order].tolist() == stored.video[other].tolist()
    assert found.tokens.actions[order].tolist() == stored.actions[other].tolist()
    assert np.allclose(found.tokens.completion[order], stored.completion[other], atol=0.01, equal_nan=True)  # the store keeps tenths of a second


def test_what_arrives_late_is_part_of_no_history_before(told: ToldLake) -> None:
    told.tell([served("r1", "u"), watched("v0", 5.0, request="r1")], arrived_after_s=100.0)
    told.tell([served("r2", "u", at=50.0), event(Skip, "v1", 52.0, request="r2"), served("r3", "u", at=200.0), event(Skip, "v2", 203.0, request="r3")])
    found, *_ = from_lake(told.lake, told.world.columns)
    known = found.history_ends - found.tokens.start[found.examples.user]
    assert dict(zip((found.examples.served_at - NOW).tolist(), known.tolist(), strict=True)) == {0.0: 0, 50.0: 0, 200.0: 2}
    assert (found.examples.known_at - NOW).tolist() == [105.0, 52.0, 203.0]


def test_what_was_imported_was_known_when_it_happened(told: ToldLake) -> None:
    told.tell([served("r1", "u"), watched("v0", 5.0, request="r1"), served("r2", "u", at=50.0), watched("v1", 55.0, request="r2")], 9e5, imported=True)
    found, *_ = from_lake(told.lake, told.world.columns)
    assert (found.examples.known_at - NOW).tolist() == [5.0, 55.0]
    assert (found.history_ends - found.tokens.start[found.examples.user]).tolist() == [0, 1]


def test_what_was_sent_twice_is_one_token(told: ToldLake) -> None:
    told.tell([served(), watched(), watched(), event(Like, at=6.0, event_id="1"), event(Like, at=6.0, event_id="1"), event(Share, at=7.0)])
    found, *_ = from_lake(told.lake, told.world.columns)
    assert found.tokens.actions.tolist() == [Action.CLICK, Action.LIKE, Action.SHARE]


def test_surfaces_have_the_numbers_of_the_catalogue(told: ToldLake) -> None:
    told.tell([served(), watched(context=Context(surface="search")), event(Skip, "v1", 9.0, context=Context(surface="nobody knows it"))])
    found, *_ = from_lake(told.lake, told.world.columns)
    surfaces = told.world.columns.surfaces
    assert found.examples.surface.tolist() == [surfaces["for_you"]] * 2
    assert found.tokens.surface.tolist() == [surfaces["search"], surfaces["nobody knows it"]]


def test_what_cannot_be_learned_from_is_left_out_and_counted(told: ToldLake, monkeypatch: pytest.MonkeyPatch) -> None:
    told.tell([served("r1", "u"), watched(request="r1", at=4.0), served("r2", "u", at=10.0), watched(request="r2", at=14.0)])
    broken = (np.nan, *FEATURES[1:])
    monkeypatch.setattr("features.slates.FEATURES", broken)
    told.tell([served("r3", "u", at=20.0), watched(request="r3", at=24.0)])
    found, left_out, *_ = from_lake(told.lake, told.world.columns, at_most=1)
    assert (left_out.not_finite, left_out.too_old) == (1, 1)
    assert str(left_out) == "1 not finite, 1 too old"
    assert (found.examples.served_at - NOW).tolist() == [10.0]
    assert len(found.tokens.video) == 3  # it was watched all the same
    monkeypatch.setattr("reelrank.training.lake_examples.FEATURES_VERSION", "next release")
    with pytest.raises(ExamplesError, match=r"holds no example to learn from; left out: 3 other features"):
        from_lake(told.lake, told.world.columns)


def test_only_what_was_served_since_is_learned_from(told: ToldLake) -> None:
    told.tell([served("r1", "u"), watched(request="r1"), served("r2", "u", at=50.0), watched(request="r2", at=55.0)])
    found, *_ = from_lake(told.lake, told.world.columns, since=NOW + 20)
    assert len(found.examples) == 1
    assert len(found.tokens.video) == 2


def test_it_says_how_much_of_the_log_it_holds(told: ToldLake) -> None:
    told.tell(visits(0, 40))
    found = from_lake(told.lake, told.world.columns, partitions=1)
    records = list(all_examples(told.world.log, 0))
    assert found.offsets == {0: told.world.log.end(EXAMPLES, 0)}
    assert found.origins == {0: records[-1].origin}


def test_what_was_before_a_reset_is_part_of_nothing(told: ToldLake) -> None:
    told.tell([History(event_id="past", user_id="u", occurred_at=NOW - 9.0, watched=("v3",))])
    told.tell([served("r1", "u"), watched("v0", 5.0, request="r1"), served("rw", "w"), watched("v0", 5.0, request="rw", user="w")])
    told.tell([Reset(event_id="x", user_id="u", occurred_at=NOW + 10)])
    told.tell([served("r2", "u", at=50.0), event(Skip, "v1", 52.0, request="r2"), served("r3", "u", at=200.0), event(Skip, "v2", 203.0, request="r3")])
    found, left_out, *_ = from_lake(told.lake, told.world.columns)
    assert left_out == LeftOut(before_reset=1)
    mine = found.user_ids[found.examples.user] == "u"
    assert (found.examples.served_at[mine] - NOW).tolist() == [50.0, 200.0]
    assert (found.history_ends - found.tokens.start[found.examples.user])[mine].tolist() == [0, 1]


def test_nothing_is_learned_from_slates_that_were_made_for_nobody_in_particular(told: ToldLake) -> None:
    anybody = msgspec.structs.replace(served("r2", "u", at=50.0), policy=NOT_PERSONAL)
    told.tell([served("r1", "u"), watched("v0", 5.0, request="r1"), anybody, watched("v1", 55.0, request="r2")])
    found, left_out, *_ = from_lake(told.lake, told.world.columns)
    assert left_out == LeftOut(not_personal=1)
    assert (found.examples.served_at - NOW).tolist() == [0.0]
    taught = [record for record in all_examples(told.world.log, 0) if teaches(record) or (record.slate is not None and record.slate.policy == NOT_PERSONAL)]
    assert not any(teaches(record) for record in taught if record.slate is not None and record.slate.policy == NOT_PERSONAL)
