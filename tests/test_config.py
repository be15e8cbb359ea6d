from pathlib import Path

import pytest

from reelrank.config import ConfigError, Settings, as_environment, load


def test_without_a_file_and_variables_the_defaults_hold():
    assert load(None, {}) == Settings()


def test_the_environment_wins_over_the_file(tmp_path: Path):
    file = tmp_path / "reelrank.toml"
    file.write_text('data_dir = "somewhere"\n[serving]\nport = 9000\n[params]\nexploration = 0.2\n')
    settings = load(file, {"REELRANK_SERVING__PORT": "9100", "REELRANK_PARAMS__CAP_AUTHOR": "3"})
    assert (settings.data_dir, settings.serving.port, settings.params.exploration, settings.params.cap_author) == ("somewhere", 9100, 0.2, 3)


def test_a_setting_that_does_not_exist_is_named(tmp_path: Path):
    file = tmp_path / "reelrank.toml"
    file.write_text("[serving]\nprot = 9000\n")
    with pytest.raises(ConfigError, match=r"prot.*serving"):
        load(file, {})


def test_a_value_that_can_not_be_is_named():
    with pytest.raises(ConfigError, match=r"exploration"):
        load(None, {"REELRANK_PARAMS__EXPLORATION": "1.5"})


def test_a_missing_file_and_a_broken_one_are_told_apart(tmp_path: Path):
    with pytest.raises(ConfigError, match="no configuration at"):
        load(tmp_path / "nothing.toml", {})
    broken = tmp_path / "broken.toml"
    broken.write_text("port = = 1")
    with pytest.raises(ConfigError, match="is not TOML"):
        load(broken, {})


def test_a_child_process_gets_exactly_the_same_settings():
    settings = load(None, {"REELRANK_SERVING__PORT": "9100", "REELRANK_CLOCK_SHIFT_S": "-3.5"})
    assert load(None, as_environment(settings)) == settings


def test_variables_for_other_purposes_are_no_settings():
    assert load(None, {"REELRANK_DATA": "/somewhere", "REELRANK_SUPERVISED": "1", "HOME": "/root"}) == Settings()
