"""A backlog folded by a process of its own, and the weight of full state."""

from reelrank.benchmarks.fold_rate import measure, steps
from reelrank.benchmarks.full_state import SEEN


def test_a_backlog_is_folded_whole_and_every_second_of_it_has_a_stage():
    done: list[int] = []
    told = measure(events=4_000, users=300, videos=100, full=200, on_progress=done.append)
    assert told["events"] == 4_000
    assert told["folded_events_per_s"] > 0
    assert told["profile"].get("other", 0.0) < 0.3 * sum(told["profile"].values())
    assert told["batches"]["users"]["written"] >= 300
    assert sum(done) == steps(4_000, 200, large=False)


def test_full_users_have_seen_what_they_should_and_take_about_what_their_records_take():
    told = measure(events=1_000, users=50, videos=100, full=300)["state"]
    assert told["users"]["seen"] == SEEN
    assert told["users"]["record"] < told["bytes_per_user"] < 2 * told["users"]["record"]
    assert told["videos"]["records"]["video"]["count"] == 300
