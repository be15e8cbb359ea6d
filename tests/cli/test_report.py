"""What a measurement prints."""

import json

import pytest

from reelrank.cli.report import tell


def test_the_last_line_is_one_json_object_with_versions_and_machine(capsys: pytest.CaptureFixture[str]) -> None:
    tell("A title", {"events": 3, "auc": {"click": 0.7}}, as_json=True)
    told = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert told["events"] == 3
    assert told["auc"] == {"click": 0.7}
    assert told["machine"]["cpus"] >= 1
    assert {"reelrank", "numpy"} <= told["versions"].keys()


def test_people_get_a_table(capsys: pytest.CaptureFixture[str]) -> None:
    tell(
        "A title",
        {"events": 12_345, "auc": {"click": 0.7}, "by": {"day": {"x": None}}, "fine": True, "about": "words", "rate": 250.5, "skipped": {}},
        as_json=False,
    )
    shown = capsys.readouterr().out
    assert "A title" in shown
    assert "12,345" in shown
    assert "click 0.7" in shown
    assert "skipped" not in shown


def test_what_was_skipped_is_told_with_its_reason(capsys: pytest.CaptureFixture[str]) -> None:
    tell("A title", {"skipped": {"din": "no environment"}}, as_json=False)
    assert "din no environment" in capsys.readouterr().out
