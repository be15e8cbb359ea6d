"""Which installation a verb works on."""

from pathlib import Path

import click
import pytest

from reelrank.cli.deployment import installation
from reelrank.config import Settings
from reelrank.wiring import Reelrank


def test_the_folder_of_an_installation_on_servers_says_where_they_are(tmp_path: Path) -> None:
    (tmp_path / "servers.toml").write_text('[storage]\nevent_log = "kafka:nowhere:1"\ncatalog = "postgresql://nowhere/db"\n')
    with installation(None, tmp_path, "catalog") as system:  # no file of a catalogue is asked for
        assert system.settings.storage.event_log == "kafka:nowhere:1"
        assert system.settings.data_dir == str(tmp_path)


def test_only_the_part_that_is_needed_has_to_be_there(tmp_path: Path) -> None:
    settings = Settings(data_dir=str(tmp_path / "one"))
    system = Reelrank(settings)
    assert system.catalog is not None
    system.close()
    with installation(None, tmp_path / "one", "catalog") as found:
        assert found.settings.data_dir == settings.data_dir
    with pytest.raises(click.ClickException, match=r"no installation in .*one; reelrank up makes one"), installation(None, tmp_path / "one"):
        pass
