"""reelrank rules: what operators decide about the feed of everybody, and who decided it."""

import getpass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from reelrank.cli.deployment import installation
from reelrank.cli.options import config_option, data_dir_option, json_option
from reelrank.cli.report import tell_json

if TYPE_CHECKING:
    from reelrank.domain.rule import Rule


@click.group
def rules() -> None:
    """Boost, pin, hide, expire and mute, and see who did."""


@rules.command
@click.argument("action", type=click.Choice(["boost", "pin", "hide", "expire", "mute"]))
@click.argument("target", type=click.Choice(["video", "author", "tag", "sound"]))
@click.argument("name")
@click.option("--region", help="Only there: a country such as PT, or a part of one such as US-CA.")
@click.option("--begin", type=click.DateTime(), help="From this moment on (UTC), as 2025-06-15T12:00:00; else at once.")
@click.option("--end", type=click.DateTime(), help="Until this moment (UTC); else until the rule is removed.")
@click.option("--times", type=float, default=1.0, help="How many times a boost multiplies what a video is worth; below 1 it holds back.")
@click.option("--position", type=int, default=0, help="Which place a pin takes; 0 is the top.")
@click.option("--note", default="", help="Why.")
@data_dir_option
@config_option
@json_option
def add(
    action: Any, target: Any, name: str, region: str | None, begin: datetime | None, end: datetime | None, times: float, position: int, note: str,
    data_dir: Path | None, config: Path | None, as_json: bool,
) -> None:  # fmt: skip
    """Make a rule; every serving process follows it within a second."""
    import msgspec

    from reelrank.domain.rule import RuleDraft, RuleProblem

    asked = {"action": action, "target": target, "name": name, "region": region, "begins_at": _seconds(begin), "ends_at": _seconds(end), "times": times}
    try:
        draft = msgspec.convert({**asked, "position": position, "note": note}, RuleDraft)
    except msgspec.ValidationError as problem:
        raise RuleProblem(f"this can't be a rule: {problem}") from None
    with installation(config, data_dir, "catalog") as system:
        made = system.rules.add(draft, _who(), system.clock.now())
    tell_json(made) if as_json else click.echo(f"made {_line(made)}")


@rules.command("list")
@data_dir_option
@config_option
@json_option
def list_(data_dir: Path | None, config: Path | None, as_json: bool) -> None:
    """Show every rule, also those that are over or have not begun."""
    with installation(config, data_dir, "catalog") as system:
        found, now = system.rules.all(), system.clock.now()
    if as_json:
        tell_json({"rules": found})
        return
    for rule in found:
        state = "in force" if rule.holds_at(now) else "over" if rule.ends_at is not None and rule.ends_at <= now else "not yet"
        click.echo(f"{_line(rule)}  [{state}]")
    if not found:
        click.echo("there are no rules; `reelrank rules add` makes one")


@rules.command
@click.argument("rule")
@data_dir_option
@config_option
@json_option
def remove(rule: str, data_dir: Path | None, config: Path | None, as_json: bool) -> None:
    """End a rule for good."""
    with installation(config, data_dir, "catalog") as system:
        removed = system.rules.remove(rule, _who(), system.clock.now())
    tell_json(removed) if as_json else click.echo(f"removed {_line(removed)}")


@rules.command
@click.option("--count", type=click.IntRange(1, 100_000), default=50, show_default=True, help="The last so many changes.")
@data_dir_option
@config_option
@json_option
def audit(count: int, data_dir: Path | None, config: Path | None, as_json: bool) -> None:
    """Show who changed which rule, when, and what was before and after."""
    with installation(config, data_dir, "catalog") as system:
        changes = system.rules.audit(count)
    if as_json:
        tell_json({"changes": changes})
        return
    for change in changes:
        before, after = ("nothing" if rule is None else _line(rule) for rule in (change.before, change.after))
        click.echo(f"{change.number}  {_date(change.at)}  {change.who}: {before} -> {after}")
    if not changes:
        click.echo("no rule was ever made")


def _line(rule: "Rule") -> str:
    what = f"{rule.action} {rule.target} {rule.name}"
    how = f" x {rule.times:g}" if rule.action == "boost" else f" at place {rule.position + 1}" if rule.action == "pin" else ""
    where = f" in {rule.region}" if rule.region else ""
    since = f" from {_date(rule.begins_at)}" if rule.begins_at is not None else ""
    until = f" until {_date(rule.ends_at)}" if rule.ends_at is not None else ""
    return f"{rule.rule_id}  {what}{how}{where}{since}{until}{f'  ({rule.note})' if rule.note else ''}"


def _seconds(moment: datetime | None) -> float | None:
    return None if moment is None else moment.replace(tzinfo=UTC).timestamp()


def _date(moment: float) -> str:
    return f"{datetime.fromtimestamp(moment, UTC):%Y-%m-%d %H:%M:%S}"


def _who() -> str:
    try:
        return f"{getpass.getuser()} (command line)"
    except (KeyError, OSError):  # a container may have nobody
        return "command line"
