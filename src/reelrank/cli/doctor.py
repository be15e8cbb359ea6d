"""reelrank doctor: what is installed, reachable and missing."""

import importlib.metadata
import os
import shutil
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import click

from reelrank.cli.options import config_option, json_option, settings_from
from reelrank.cli.report import tell_json

if TYPE_CHECKING:
    from reelrank.config import Settings

Finding = tuple[str, bool, str, str]  # what, whether it is there, what was found, what to do if it is not
_BEYOND_ALL = 2**62  # a revision that no catalogue reaches


@click.command
@config_option
@json_option
def doctor(config: Path | None, as_json: bool) -> None:
    """Say what is installed, reachable and missing; leaves with 1 when something that is needed is not there."""
    from reelrank.supervisor import is_ready

    settings = settings_from(config)
    url = f"http://{settings.serving.host}:{settings.serving.port}"
    data_dir = Path(settings.data_dir).absolute()
    home = next(folder for folder in (data_dir, *data_dir.parents) if folder.exists())
    data = os.environ.get("REELRANK_DATA", "")
    findings: list[Finding] = [
        ("python", sys.version_info >= (3, 11), sys.version.split()[0], "Reelrank needs Python 3.11 or newer"),
        *(_package(requirement) for requirement in _requirements()),
        ("data folder", os.access(home, os.W_OK), str(data_dir), f"{home} can't be written; set data_dir to a folder that can"),
        ("disk", shutil.disk_usage(home).free > 2 << 30, f"{shutil.disk_usage(home).free >> 30} GiB free", "less than 2 GiB are free; give data_dir more room"),
    ]
    findings += _servers(settings)
    if settings.roles.serve > 1:
        findings.append(_proxy())
    extras = [
        ("feed", is_ready(url), url, f"nothing answers at {url}; `reelrank up` starts it"),
        ("chromium", bool(shutil.which("chromium")), shutil.which("chromium") or "", "tests of the page skip; scripts/install-chromium gets it"),
        ("data sets", bool(data) and Path(data).is_dir(), data, "REELRANK_DATA names no folder; tests on real data skip"),
    ]
    missing = [name for name, good, _, _ in findings if not good]
    if as_json:
        rows = [
            {"name": name, "ok": good, "found": found, "advice": "" if good else advice, "needed": place < len(findings)}
            for place, (name, good, found, advice) in enumerate(findings + extras)
        ]
        tell_json({"ok": not missing, "findings": rows})
    else:
        for needed, group in ((True, findings), (False, extras)):
            click.echo("needed" if needed else "\nnice to have")
            for name, good, found, advice in group:
                mark = "ok     " if good else ("MISSING" if needed else "absent ")
                click.echo(f"  {mark} {name:<18} {found if good else advice}")
    if missing:
        sys.exit(1)


def _proxy() -> Finding:
    """What stands in front of several replicas."""
    from reelrank.serving.haproxy import ProxyMissing, find_haproxy

    try:
        return ("haproxy", True, find_haproxy(), "")
    except ProxyMissing as problem:
        return ("haproxy", False, "", str(problem))


def _servers(settings: "Settings") -> list[Finding]:
    """Whether each server that the storage is in answers. Files need nobody to."""
    from reelrank.storage.event_log import EVENTS
    from reelrank.wiring import open_reelrank

    found: list[Finding] = []
    with closing(open_reelrank(settings)) as system:
        asked: dict[str, tuple[str, Callable[[], object]]] = {
            "event log": (settings.storage.event_log, lambda: system.log.end(EVENTS, 0)),
            "online store": (settings.storage.online_store, lambda: system.store.offsets()),
            "catalogue": (settings.storage.catalog, lambda: system.catalog.changes(_BEYOND_ALL, at_most=1)),
        }
        for name, (url, ask) in asked.items():
            if url.startswith("file:"):
                continue
            try:
                ask()
                found.append((name, True, f"{url.partition(':')[0]} answers", ""))
            except Exception as problem:  # whatever it is, it is what this is to find out
                found.append((name, False, "", str(problem)))
    return found


def _requirements() -> list[str]:
    declared = importlib.metadata.requires("reelrank") or []
    return [requirement for requirement in declared if "extra ==" not in requirement]


def _package(requirement: str) -> tuple[str, bool, str, str]:
    name = requirement.split(">")[0].split("=")[0].split("<")[0].split("[")[0].strip()
    try:
        return name, True, importlib.metadata.version(name), ""
    except importlib.metadata.PackageNotFoundError:
        return name, False, "", f"not installed; pip install '{requirement}'"
