"""A flame graph: boxes as wide as time, and text that fits into them."""

from typing import NamedTuple
from xml.etree import ElementTree

import pytest

from reelrank.benchmarks.cpu_stacks import Stack
from reelrank.benchmarks.flame_graph import flame_graph

SVG = "{http://www.w3.org/2000/svg}"
READ = ("reelrank.features.reader", "FeatureReader.read")
PROPOSE = ("reelrank.candidates.nearest", "NearestSource.propose")
UNIQUE = ("numpy.lib", "unique")
LESS = ("reelrank.feed", "less<than>")


class Box(NamedTuple):
    x: float
    y: float
    width: float
    kind: str
    text: str


def boxes(ms: dict[Stack, float]) -> dict[str, Box]:
    """What is drawn, by what its boxes say when they are pointed at."""
    drawn = ElementTree.fromstring(flame_graph(ms, "one request & more"))
    found: dict[str, Box] = {}
    for group in drawn.iter(f"{SVG}g"):
        title, box, text = group.find(f"{SVG}title"), group.find(f"{SVG}rect"), group.find(f"{SVG}text")
        assert title is not None
        assert box is not None
        x, y, width = (float(box.attrib[name]) for name in ("x", "y", "width"))
        found[title.text or ""] = Box(x, y, width, box.attrib["class"], "" if text is None else text.text or "")
    return found


def test_a_box_is_as_wide_as_its_time_and_lies_below_what_called_it() -> None:
    found = boxes({(READ,): 1.0, (READ, UNIQUE): 2.0, (PROPOSE,): 1.0})
    whole, read, unique = (
        found["request: 4.00 ms, 100.0%"],
        found["reelrank.features.reader.FeatureReader.read: 3.00 ms, 75.0%"],
        found["numpy.lib.unique: 2.00 ms, 50.0%"],
    )
    propose = found["reelrank.candidates.nearest.NearestSource.propose: 1.00 ms, 25.0%"]
    assert read.width == pytest.approx(0.75 * whole.width, abs=1)
    assert unique.width == pytest.approx(0.5 * whole.width, abs=1)
    assert whole.y < read.y < unique.y
    assert propose.y == read.y
    assert propose.x >= read.x + read.width
    assert [box.kind for box in (read, unique, propose)] == ["features", "libraries", "candidates"]


def test_a_name_is_shortened_until_it_fits() -> None:
    many: dict[Stack, float] = {(PROPOSE, ("reelrank.features.reader", f"Reader.method_{number}")): 1.3**number for number in range(40)}
    found = boxes(many)
    assert all(len(box.text) * 6.7 <= box.width for box in found.values())
    texts = [box.text for box in found.values()]
    assert "Reader.method_39 " in " ".join(texts)
    assert any(text.endswith("…") for text in texts)
    assert "" in texts


def test_a_name_that_says_only_what_a_contract_says_gives_way_to_whose_it_is() -> None:
    found = boxes({(READ,): 9.0, (PROPOSE,): 1.3})
    assert {"NearestSource"} < {box.text for box in found.values()}


def test_names_are_escaped() -> None:
    assert "reelrank.feed.less<than>: 1.00 ms, 100.0%" in boxes({(LESS,): 1.0})


def test_nothing_is_no_picture() -> None:
    with pytest.raises(ValueError, match="nothing to draw"):
        flame_graph({}, "nothing")
