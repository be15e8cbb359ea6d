"""The rules of the house, as tests: the map, the captions, the sizes, the imports, and nothing undocumented."""

import ast
import re
import runpy
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import msgspec
import pytest

from reelrank.cli import main
from reelrank.config import Settings
from reelrank.domain.event import Event
from reelrank.domain.params import FeedParams
from reelrank.features.definitions import FEATURES

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "src" / "reelrank"
MAP = runpy.run_path(str(ROOT / "scripts" / "architecture-map"))
SOURCES = sorted(path for path in PACKAGE.rglob("*.py"))
VERBS = [
    "up",
    "serve",
    "stream",
    "lake",
    "index",
    "train",
    "restart",
    "models",
    "publish",
    "rollback",
    "keys",
    "dead-letters",
    "replay",
    "audit",
    "evaluate",
    "bench",
    "deploy",
    "doctor",
]  # as the loop turns
DRAWERS = {"utils", "util", "helpers", "helper", "common", "base", "core", "manager", "misc"}
HEAVY = {
    "confluent_kafka",
    "redis",
    "pg8000",
    "alembic",
    "torch",
    "faiss",
    "numpy",
    "scipy",
    "polars",
    "deltalake",
    "starlette",
    "uvicorn",
    "av",
    "sqlalchemy",
}


def named(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def documentation(page: str) -> str:
    return (ROOT / "docs" / page).read_text(encoding="utf-8")


def test_the_map_in_the_architecture_page_is_what_the_files_say_of_themselves() -> None:
    page = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
    written = page.partition(MAP["BEGIN"])[2].partition(MAP["END"])[0].strip()
    assert written == MAP["architecture_map"](), "run scripts/architecture-map --write"


@pytest.mark.parametrize("path", MAP["captioned_files"](), ids=named)
def test_every_file_opens_with_a_caption_of_one_line(path: Path) -> None:
    caption = MAP["caption"](path)
    assert caption, f"{named(path)} opens without a caption"
    assert "\n" not in caption
    assert not re.match(r"(This|The) (module|file)\b", caption), "a caption says what is in the file, not that it is one"


def test_no_file_is_longer_than_400_lines() -> None:
    code = [*SOURCES, *ROOT.joinpath("tests").rglob("*.py")]
    assert [named(path) for path in code if len(path.read_text(encoding="utf-8").splitlines()) > 400] == []


def test_folders_are_two_levels_deep_at_most() -> None:
    modules = [path for path in SOURCES if path.parent != PACKAGE / "storage" / "migrations"]  # which nobody imports: Alembic reads them, one after the other
    assert [named(path) for path in modules if len(path.relative_to(PACKAGE).parts) > 2] == []
    folders = [path for path in PACKAGE.rglob("*") if path.is_dir() and path.name != "__pycache__"]
    assert [named(path) for path in folders if len(path.relative_to(PACKAGE).parts) > 2] == []


def test_no_two_files_share_a_name() -> None:
    verbs_aside = [path for path in SOURCES if path.parent.name != "cli"]  # a verb is named after what it starts
    names = Counter(path.name for path in verbs_aside if path.name not in {"__init__.py", "__main__.py"})
    assert [name for name, times in names.items() if times > 1] == []


def test_no_file_or_folder_is_a_drawer() -> None:
    names = {part.removesuffix(".py") for path in SOURCES for part in path.relative_to(PACKAGE).parts}
    assert names & DRAWERS == set()


def test_only_what_is_finished_is_there() -> None:
    unfinished = re.compile("TO" + "DO|FIX" + "ME|XX" + "X|NotImplemented" + "Error")
    code = [*SOURCES, *ROOT.joinpath("tests").rglob("*.py")]
    assert [named(path) for path in code if unfinished.search(path.read_text(encoding="utf-8"))] == []


def test_no_file_knows_the_machine_it_was_written_on() -> None:
    place = re.compile(rb"(?<![\w.~-])/(?:work|root|Users)/")
    listed = subprocess.run(["git", "ls-files", "-z", "-co", "--exclude-standard"], cwd=ROOT, capture_output=True, check=True).stdout
    files = [ROOT / name for name in listed.decode().split("\0") if name]
    assert [named(path) for path in files if path.is_file() and path != Path(__file__).resolve() and place.search(path.read_bytes())] == []


def test_the_import_contracts_hold() -> None:
    done = subprocess.run([Path(sys.executable).parent / "lint-imports"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_every_storage_backend_is_named_in_the_import_contract() -> None:
    contracts = (ROOT / ".importlinter").read_text(encoding="utf-8")
    backends = [path.stem for path in (PACKAGE / "storage").glob("*.py") if path.stem.endswith(("_embedded", "_kafka", "_redis", "_sqlite", "_postgresql"))]
    assert [name for name in backends if f"reelrank.storage.{name}\n" not in contracts] == []


def test_the_help_page_answers_without_loading_anything_heavy() -> None:
    command = [sys.executable, "-X", "importtime", "-c", "from reelrank.cli import main; main(['--help'])"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    imported = {line.rpartition("|")[2].strip().partition(".")[0] for line in done.stderr.splitlines() if line.startswith("import time:")}
    assert "Usage:" in done.stdout
    assert imported & HEAVY == set()


def verbs() -> dict[str, click.Command]:
    """Every verb by its name, in the order in which the help page lists them."""
    assert isinstance(main, click.Group)
    context = click.Context(main)
    found = {name: main.get_command(context, name) for name in main.list_commands(context)}
    return {name: command for name, command in found.items() if command is not None and not command.hidden}


def commands() -> dict[str, click.Command]:
    """Every verb and every verb below it: `bench` and `bench reaction`."""
    found = dict(verbs())
    for name, command in list(found.items()):
        if isinstance(command, click.Group):
            context = click.Context(command)
            below = {part: command.get_command(context, part) for part in command.list_commands(context)}
            found |= {f"{name} {part}": sub for part, sub in below.items() if sub is not None}
    return found


def test_the_help_page_lists_the_verbs_as_the_loop_turns() -> None:
    assert [verb for verb in verbs() if verb in VERBS] == VERBS


def test_every_verb_and_every_option_has_a_help_text() -> None:
    without = [name for name, command in commands().items() if not command.help]
    without += [
        f"{name} {option.name}" for name, command in commands().items() for option in command.params if isinstance(option, click.Option) and not option.help
    ]
    assert without == []


def test_every_verb_and_every_option_is_in_the_reference() -> None:
    page = documentation("reference/cli.md")
    assert [name for name in commands() if f"`reelrank {name}`" not in page] == []
    options = {
        opt for command in commands().values() for option in command.params if isinstance(option, click.Option) for opt in option.opts if opt.startswith("--")
    }
    assert [option for option in sorted(options - {"--help"}) if f"`{option}" not in page] == []


def test_every_param_is_in_the_reference() -> None:
    page = documentation("reference/params.md")
    assert [name for name in FeedParams.__struct_fields__ if f"| `{name}` |" not in page] == []


def settings(struct: msgspec.Struct, table: str) -> Iterator[tuple[str, str]]:
    """(table, key) of every setting; FeedParams have a page of their own."""
    for key in struct.__struct_fields__:
        value = getattr(struct, key)
        if not isinstance(value, msgspec.Struct):
            yield table, key
        elif not isinstance(value, FeedParams):
            yield from settings(value, f"{table}.{key}".lstrip("."))


def test_every_setting_is_in_the_reference_under_its_table() -> None:
    at_the_top, *tables = documentation("reference/config.md").split("\n## `[")
    told = {"": at_the_top} | {table.partition("]")[0]: table for table in tables}
    assert [f"[{table}] {key}" for table, key in settings(Settings(), "") if f"| `{key}` |" not in told.get(table, "")] == []


def test_every_feature_is_in_the_reference_at_its_place() -> None:
    page = documentation("reference/features.md")
    assert [feature.name for place, feature in enumerate(FEATURES) if f"| {place} | `{feature.name}` | {feature.about} |" not in page] == []


def event_types() -> list[type[msgspec.Struct]]:
    return list(Event.__args__)


@pytest.mark.parametrize("event_type", event_types(), ids=lambda event_type: event_type.__name__)
def test_every_event_and_every_field_is_in_the_reference(event_type: type[msgspec.Struct]) -> None:
    page = documentation("reference/events.md")
    tag = event_type.__struct_config__.tag
    assert f"`{tag}`" in page
    assert [field for field in event_type.__struct_fields__ if f"`{field}`" not in page] == []


def public_definitions(path: Path) -> list[ast.FunctionDef | ast.ClassDef]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return [node for node in tree.body if isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_")]


def test_every_public_name_of_the_contracts_says_what_it_promises() -> None:
    strict = [path for path in SOURCES if path.parent.name in {"domain", "storage", "pipeline"}]
    assert [f"{named(path)}: {node.name}" for path in strict for node in public_definitions(path) if not ast.get_docstring(node)] == []


def test_what_the_readme_tells_to_make_can_be_made() -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), flags=re.MULTILINE))
    pages = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *ROOT.joinpath("docs").rglob("*.md")]
    told = {
        word
        for page in pages
        for word in re.findall(r"^(?:\$ )?make ([a-z]+)|`make ([a-z]+)", page.read_text(encoding="utf-8"), flags=re.MULTILINE)
        for word in word
        if word
    }
    assert {"demo", "test"} <= told
    assert told - targets == set()


def links(page: Path) -> list[Any]:
    """Where the links and pictures of a page lead to inside the repository."""
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    found = re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)|(?:src|srcset)=\"([^\"]+)\"", text)
    return [page.parent / (first or second) for first, second in found if "://" not in (first or second)]


def test_no_page_outside_the_site_links_to_a_file_that_is_not_there() -> None:
    pages = [ROOT / "README.md", ROOT / "ARCHITECTURE.md", ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md"]
    assert [f"{named(page)}: {target}" for page in pages for target in links(page) if not target.resolve().exists()] == []
