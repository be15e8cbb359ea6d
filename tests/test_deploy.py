"""The compose file names verbs, options and settings that exist."""

from pathlib import Path
from typing import Any

import click
import pytest
import yaml

from reelrank.cli import main
from reelrank.config import load

DEPLOY = Path(__file__).parents[1] / "deploy"
SERVICES: dict[str, Any] = yaml.safe_load((DEPLOY / "compose.yaml").read_text())["services"]
ROLES = {name: service for name, service in SERVICES.items() if "build" in service}


@pytest.mark.parametrize("role", ROLES)
def test_every_role_is_started_by_a_command_that_is_understood(role: str) -> None:
    verb, *options = ROLES[role]["command"]
    context = click.Context(main)
    command = main.get_command(context, verb)
    assert command is not None
    settings = [str(DEPLOY / "reelrank.toml") if option == "/etc/reelrank.toml" else option for option in options]
    command.make_context(verb, settings)  # raises what the terminal would say


def test_the_settings_are_settings() -> None:
    environment = {name: value.replace("${POSTGRES_PASSWORD:?choose one}", "secret") for name, value in SERVICES["serve"]["environment"].items()}
    settings = load(DEPLOY / "reelrank.toml", environment)
    assert settings.storage.event_log == "kafka:kafka:9092"
    assert settings.storage.catalog.startswith("postgresql://reelrank:secret@postgresql")
    assert settings.serving.host == "0.0.0.0"  # then keys are asked for


def test_what_the_settings_name_is_a_service() -> None:
    for name in ("kafka", "redis", "postgresql"):
        assert name in SERVICES
        assert all(service["depends_on"][name]["condition"] == "service_healthy" for service in ROLES.values())


def test_no_password_is_written_down() -> None:
    for file in DEPLOY.iterdir():
        settings = [line for line in file.read_text().lower().splitlines() if not line.startswith("#")]
        assert not any("password=" in line for line in settings)
    assert all(":${POSTGRES_PASSWORD:?" in service["environment"]["REELRANK_STORAGE__CATALOG"] for service in ROLES.values())
