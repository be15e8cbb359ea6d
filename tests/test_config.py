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


def test_sources_that_the_quotas_do_not_name_keep_theirs_and_what_is_no_source_is_named(tmp_path: Path):
    file = tmp_path / "reelrank.toml"
    file.write_text("[params.quota]\nfresh = 7\ntrending = 0\n")
    quota = load(file, {"REELRANK_PARAMS__QUOTA__FOLLOWING": "9"}).params.quota
    assert quota == Settings().params.quota | {"fresh": 7, "trending": 0, "following": 9}
    file.write_text("[params.quota]\nfresch = 7\n")
    with pytest.raises(ConfigError, match=r"params.quota names fresch, which is no source; known: nearest, .*pinned, rest"):
        load(file, {})


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


@pytest.mark.parametrize("text", [b"port = = 1", b"\xff\xfe"])
def test_a_file_that_is_no_toml_is_named(tmp_path: Path, text: bytes):
    (tmp_path / "broken.toml").write_bytes(text)
    with pytest.raises(ConfigError, match=r"broken\.toml is not TOML"):
        load(tmp_path / "broken.toml", {})


def test_a_section_that_is_given_as_a_value_is_named():
    with pytest.raises(ConfigError, match="serving was given as a value"):
        load(None, {"REELRANK_SERVING": "x", "REELRANK_SERVING__PORT": "9000"})


@pytest.mark.parametrize(
    "name", ["SERVING__PORT", "SERVING__EVENT_THREADS", "SERVING__FEED_THREADS", "SERVING__MAX_BODY_BYTES", "SERVING__REFRESH_S", "FEED__SOURCE_THREADS"]
)
def test_a_number_that_would_stop_the_service_is_refused_at_the_start(name: str):
    with pytest.raises(ConfigError, match=name.partition("__")[2].lower()):
        load(None, {f"REELRANK_{name}": "-1"})


def test_a_child_process_gets_exactly_the_same_settings():
    settings = load(None, {"REELRANK_SERVING__PORT": "9100", "REELRANK_CLOCK_SHIFT_S": "-3.5"})
    assert load(None, as_environment(settings)) == settings


def test_variables_for_other_purposes_are_no_settings():
    assert load(None, {"REELRANK_DATA": "/somewhere", "REELRANK_SUPERVISED": "1", "HOME": "/root"}) == Settings()


def test_what_is_wrong_with_a_setting_never_shows_its_value() -> None:
    environment = {"REELRANK_STORAGE__CATALOG": "postgresql://u:S3CRET@h/db", "REELRANK_STORAGE__CATALOG__X": "1"}
    with pytest.raises(ConfigError) as found:
        load(environment=environment)
    assert "S3CRET" not in str(found.value)


@pytest.mark.parametrize(
    ("part", "url"),
    [("log", "kafka:u:S3CRET@127.0.0.1:1"), ("database", "postgresql://127.0.0.1:1/db?user=u&password=S3CRET"), ("store", "redis://u:S3CRET@h:x")],
)
def test_no_store_shows_its_password_in_an_error(part: str, url: str) -> None:
    from reelrank.storage.event_log import StorageError
    from reelrank.wiring import open_reelrank

    name = {"log": "EVENT_LOG", "database": "CATALOG", "store": "ONLINE_STORE"}[part]
    with pytest.raises((ConfigError, StorageError)) as found:
        getattr(open_reelrank(load(environment={f"REELRANK_STORAGE__{name}": url})), part)
    assert "S3CRET" not in str(found.value)
