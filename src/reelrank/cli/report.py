"""How an answer is told: one JSON object for machines; what was measured as a table for people, and what it was measured on."""

import os
import platform
from collections.abc import Mapping
from importlib.metadata import version
from typing import Any

import click
import msgspec

_MATTERS = ("reelrank", "faiss-cpu", "lmdb", "msgspec", "numpy", "onnxruntime", "polars", "scipy", "starlette", "torch", "uvicorn")


def machine() -> dict[str, Any]:
    """What the numbers were measured on."""
    return {"cpus": len(os.sched_getaffinity(0)), "system": f"{platform.system()} {platform.machine()}", "python": platform.python_version()}


def versions() -> dict[str, str]:
    """The releases that matter to the numbers."""
    return {name: version(name) for name in _MATTERS}


def tell_json(told: object) -> None:
    """Prints one JSON object, as a line."""
    click.echo(msgspec.json.encode(told).decode())


def tell(title: str, numbers: Mapping[str, Any], as_json: bool) -> None:
    """Prints what was measured: a table, and with `as_json` one JSON object as the last line instead."""
    if as_json:
        tell_json({**numbers, "machine": machine(), "versions": versions()})
        return
    from rich.console import Console
    from rich.table import Table

    table = Table(title=title, show_header=False, title_justify="left")
    for name, value in _lines(numbers):
        table.add_row(name, value)
    Console().print(table)


def _lines(numbers: Mapping[str, Any], above: str = "") -> list[tuple[str, str]]:
    """Nested numbers as one line for each innermost group that is not empty."""
    lines: list[tuple[str, str]] = []
    for name, value in numbers.items():
        full = f"{above} {name}".strip()
        if isinstance(value, Mapping) and any(isinstance(inner, Mapping) for inner in value.values()):
            lines += _lines(value, full)
        elif isinstance(value, Mapping) and value:
            lines.append((full, "   ".join(f"{inner} {_shown(number)}" for inner, number in value.items())))
        elif not isinstance(value, Mapping):
            lines.append((full, _shown(value)))
    return lines


def _shown(value: object) -> str:
    if isinstance(value, bool) or value is None:
        return {True: "yes", False: "no", None: "–"}[value]
    if isinstance(value, int):
        return f"{value:,}"
    return f"{value:,.4g}" if isinstance(value, float) and abs(value) < 100 else f"{value:,.0f}" if isinstance(value, float) else str(value)
