"""Id tables against torch's sparse embedding, in small."""

from reelrank.benchmarks.table_speed import measure, sizes, steps_in_all


def test_the_table_is_measured_beside_torch_and_as_it_grows():
    done: list[int] = []
    told = measure(rows=20_000, steps=4, largest=10_000, examples=32, on_progress=done.append)
    assert sum(done) == steps_in_all(4, 10_000) == 8
    assert told["table_speedup"] > 0
    assert told["table_ms"]["step"]["p50"] < told["table_ms"]["look_up"]["p50"] + 2 * told["table_ms"]["update"]["max"]
    assert 0 < told["publish"]["rows"] <= 32 * 64
    assert list(told["growth"]) == ["10,000"]


def test_tables_grow_by_powers_of_ten():
    assert sizes(10_000_000) == [10_000, 100_000, 1_000_000, 10_000_000]
