"""The parts of a request, and their table in a page."""

import inspect
from importlib import import_module
from pathlib import Path

import pytest

from reelrank.benchmarks.cpu_stacks import Stack
from reelrank.benchmarks.request_parts import BEGIN, END, PARTS, by_part, marked, write_table

FEED, RUN = ("reelrank.feed", "Feed.recommend"), ("reelrank.pipeline.runner", "_Round.run")
GATHER = ("reelrank.pipeline.runner", "gather")
NEAREST = ("reelrank.candidates.nearest", "NearestSource.propose")
SEARCH = ("reelrank.candidates.vector_index", "VectorIndex.nearest")


@pytest.mark.parametrize("part", PARTS, ids=lambda part: part.name)
def test_every_function_that_a_part_is_made_of_is_there(part: object) -> None:
    for module, name in getattr(part, "functions", ()):
        if module:
            owner = import_module(module)
            for attribute in filter(None, name.split(".")):
                owner = inspect.getattr_static(owner, attribute)


def test_time_belongs_to_the_innermost_part_of_its_stack() -> None:
    stacks: dict[Stack, float] = {(FEED, GATHER, RUN, NEAREST, SEARCH): 2.0, (FEED, GATHER, RUN): 1.0, (FEED,): 0.5, (("", "HTTP"), ("uvicorn", "run")): 0.25}
    found = {name: ms for name, ms in by_part(stacks).items() if ms}
    assert found == {"HTTP": 0.25, "source nearest": 2.0, "asking the sources, uniting": 1.0, "the rest": 0.5}


def test_the_table_takes_the_place_of_the_one_before_and_leaves_the_page_alone(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(f"# before\n\n{BEGIN}\nold\n{END}\n\nafter\n")
    ms = by_part({(FEED, NEAREST): 2.0, (FEED,): 1.0})
    for about in ("of today", "of tomorrow"):
        write_table(page, ms, about)
    text = page.read_text()
    assert text.startswith(f"# before\n\n{BEGIN}\nof tomorrow.\n")
    assert text.endswith(f"{END}\n\nafter\n")
    assert "of today" not in text
    assert "old" not in text
    assert "| source nearest | 2.00 |" in text
    assert "| **together** | **3.00** |" in text


def test_a_page_without_marks_has_no_place_for_a_table(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("nothing")
    assert not marked(page)
