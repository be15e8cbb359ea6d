"""reelrank up: everything on one machine, with a demo world, a folder of clips or a real log in it."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click
import msgspec

from reelrank.cli.options import SERVERS_FILE, config_option, settings_from

if TYPE_CHECKING:
    from reelrank.cli.progress import TerminalProgress
    from reelrank.config import Settings
    from reelrank.simulation.client import FeedClient
    from reelrank.simulation.demo import LivingWorld
    from reelrank.supervisor import Supervisor

_OUR_KEY = "reelrank up"
_MARKER = "brought-in.json"
_KINDS = ("kuairand", "clips")


@click.command
@click.option("--demo", is_flag=True, help="Bring a small world to life: films drawn here, simulated people who watch them.")
@click.option("--data", metavar="[KIND=]PATH", help=f"Bring in data instead: KIND is {' or '.join(_KINDS)}; without it the folder's content decides.")
@click.option("--data-dir", type=click.Path(path_type=Path, file_okay=False), help="Where everything is kept  [default: reelrank-data/NAME]")
@click.option("--port", type=click.IntRange(1, 65_535), help="Where the feed answers  [default: 8000]")
@click.option("--seed", type=int, default=7, show_default=True, help="Which demo world.")
@click.option("--servers", is_flag=True, help="Keep everything in a Kafka, a Redis and a PostgreSQL that are started for it.")
@click.option("--roles", metavar="ROLE[=N],…", help="Run these instead of the [roles] configured, such as serve,stream=3.")
@click.option("--replicas", type=click.IntRange(1, 64), help="Run so many processes that answer, with HAProxy in front of them.")
@config_option
def up(
    demo: bool, data: str | None, data_dir: Path | None, port: int | None, seed: int, servers: bool, roles: str | None, replicas: int | None,
    config: Path | None,
) -> None:  # fmt: skip
    """Run everything on this machine: the feed, the stream, the lake, the index and the training, restarted when they die.

    What was brought in stays in the data folder: the next start goes on where this one ended.
    """
    from reelrank.cli import training_news
    from reelrank.cli.progress import TerminalProgress
    from reelrank.simulation.client import FeedClient
    from reelrank.supervisor import RoleFailed, alone_on, restart_signal, running, stop_signal
    from reelrank.wiring import open_reelrank

    kind, path = _what(demo, data)
    configured = _with_roles(settings_from(config), roles)
    if replicas is not None:
        configured = msgspec.structs.replace(configured, roles=msgspec.structs.replace(configured.roles, serve=replicas))
    if data_dir is None and kind == "empty" and config is not None:
        data_dir = Path(configured.data_dir)  # a deployment, not one of several things that are tried
    if kind != "empty" and not configured.roles.serve:
        raise click.ClickException("what is brought in goes through the role serve; let it run here as well")
    data_dir = data_dir or Path(configured.data_dir) / (f"{kind}-on-servers" if servers else kind)
    settings, beginning = _prepare(configured, kind, path, data_dir, port)
    progress = TerminalProgress()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # until all is brought in either ends it at once, in good order
    restarting = restart_signal()  # before anybody can find this process by its folder: who asks early gets new replicas once all is there
    try:
        with (
            alone_on(data_dir),
            _storage(settings, servers, progress) as settings,
            running(settings) as supervisor,
            _key_of_our_own(settings) as key,
            FeedClient(supervisor.url, api_key=key) as client,
        ):
            world = _bring_in(kind, path, beginning, settings, client, seed, progress)
            stopping = stop_signal()  # from here on it ends when it is asked to, and says so
            what = f"The feed is at {supervisor.url}" if settings.roles.serve else f"{', '.join(supervisor.names)} at work"
            progress.console.print(f"\n[bold]{what}[/]   (Ctrl-C ends it; everything stays in {settings.data_dir})\n")
            artifacts = open_reelrank(settings).artifacts
            say = partial(progress.console.print, markup=False, soft_wrap=True)
            threading.Thread(target=training_news.follow, args=(artifacts, say, stopping), name="training-news", daemon=True).start()
            if world is not None:
                threading.Thread(target=world.go_on, args=(stopping.wait,), name="living-world", daemon=True).start()
            if kind == "kuairand" and settings.roles.train:
                threading.Thread(target=_train, args=(path, settings, stopping, progress), name="training", daemon=True).start()
            while not stopping.wait(0.2):
                if restarting.is_set():
                    restarting.clear()
                    _restart(supervisor, stopping, say)
            progress.console.print("stopping …")
    except KeyboardInterrupt:  # before all was there
        progress.console.print("stopped; what was not finished is done again at the next start")
    except RoleFailed as problem:
        raise click.ClickException(str(problem)) from None


def _restart(supervisor: "Supervisor", stopping: threading.Event, say: Callable[[str], None]) -> None:
    """New processes in place of those that answer, one after the other, unless it is all to stop."""
    from reelrank.supervisor import RoleFailed

    say(f"restarting {', '.join(replica.name for replica in supervisor.replicas)} …")
    try:
        supervisor.restart_replicas(stopping=stopping)
    except RoleFailed as problem:
        say(f"the restart stopped: {problem}")
    else:
        say("the restart was broken off" if stopping.is_set() else "restarted")


def _with_roles(settings: "Settings", roles: str | None) -> "Settings":
    """The settings with the roles of `ROLE[=N],…` and no others."""
    if roles is None:
        return settings
    from reelrank.config import RolesConfig

    wanted = dict.fromkeys(RolesConfig.__struct_fields__, 0)
    for word in roles.split(","):
        role, _, number = word.strip().partition("=")
        if role not in wanted:
            raise click.BadParameter(f"no role {role!r}; known: {', '.join(wanted)}", param_hint="--roles")
        wanted[role] = int(number) if number.isdecimal() else 1 if not number else -1
    try:
        return msgspec.structs.replace(settings, roles=msgspec.convert(wanted, RolesConfig))
    except msgspec.ValidationError as problem:
        raise click.BadParameter(f"{roles!r}: {problem}", param_hint="--roles") from None


def _what(demo: bool, data: str | None) -> tuple[str, Path]:
    """The kind of data, and where it is. No data at all is `empty`."""
    if data is None:
        return ("demo" if demo else "empty"), Path()
    kind, equals, rest = data.partition("=")
    if not equals:
        kind, rest = "", data
    path = Path(rest).expanduser()
    if not path.is_dir():
        raise click.ClickException(f"no folder at {path}; --data takes a folder with a KuaiRand log or with clips")
    kind = kind or ("kuairand" if (path / "impressions.parquet").exists() else "clips")
    if kind not in _KINDS:
        raise click.ClickException(f"no data of kind {kind!r}; known: {', '.join(_KINDS)}")
    return kind, path


@contextmanager
def _key_of_our_own(settings: "Settings") -> Iterator[str | None]:
    """The secret of a key to bring data in with, where keys are asked for; it ends with us, or when we are started again."""
    from reelrank.storage.keys import KeyProblem
    from reelrank.wiring import open_reelrank

    if not settings.serving.guarded:
        yield None
        return
    system = open_reelrank(settings)
    try:
        for left_over in [key for key in system.keys.all() if key.name == _OUR_KEY and key.revoked_at is None]:
            system.keys.revoke(left_over.key_id, system.clock.now())
        key, secret = system.keys.create(_OUR_KEY, ["admin"], system.clock.now())
        yield secret
        try:
            system.keys.revoke(key.key_id, system.clock.now())
        except KeyProblem:
            pass  # somebody else has
    finally:
        system.close()


class _BroughtIn(msgspec.Struct, frozen=True):
    """What a data folder remembers of its beginning: later starts go on from there."""

    at: float  # UTC seconds
    clock_shift_s: float
    done: bool = False  # else the first start was interrupted, and its work is done again: repeats change nothing

    def keep(self, folder: Path) -> None:
        """Writes it, whole or not at all."""
        folder.mkdir(parents=True, exist_ok=True)
        draft = folder / "brought-in.part"
        draft.write_bytes(msgspec.json.encode(self))
        draft.replace(folder / _MARKER)


@contextmanager
def _storage(settings: "Settings", servers: bool, progress: "TerminalProgress") -> "Iterator[Settings]":
    """The settings as they are, or with servers of their own behind the storage, which run inside the block."""
    if not servers:
        yield settings
        return
    from reelrank.benchmarks.backends import local_servers
    from reelrank.benchmarks.local_server import ServerMissing

    try:
        with local_servers(Path(settings.data_dir).absolute() / "servers") as own:
            storage = msgspec.structs.replace(settings.storage, event_log=own.kafka.url, online_store=own.redis.url, catalog=own.postgresql.url)
            note = Path(settings.data_dir) / SERVERS_FILE
            note.touch(0o600)  # it holds passwords
            urls = {name: getattr(storage, name) for name in ("event_log", "online_store", "catalog")}
            note.write_text("\n".join(["[storage]", *(f"{name} = {json.dumps(url)}" for name, url in urls.items()), ""]))
            progress.console.print(f"events go to Kafka, users to Redis, videos to PostgreSQL; {note} says where they are")
            yield msgspec.structs.replace(settings, storage=storage)
    except ServerMissing as problem:
        raise click.ClickException(str(problem)) from None


def _prepare(settings: "Settings", kind: str, path: Path, folder: Path, port: int | None) -> tuple["Settings", _BroughtIn]:
    """The settings of this deployment and its beginning. A log of the past shifts the clock, once and for all."""
    from reelrank.simulation.demo import last_moment

    marker = folder / _MARKER
    try:
        if marker.exists():
            beginning = msgspec.json.decode(marker.read_bytes(), type=_BroughtIn)
        else:
            now = float(int(time.time()))
            beginning = _BroughtIn(at=now, clock_shift_s=last_moment(path) - now if kind == "kuairand" else settings.clock_shift_s)
            beginning.keep(folder)
    except msgspec.DecodeError as problem:
        raise click.ClickException(f"{marker} can't be read ({problem}); remove {folder} to bring the data in again") from None
    except OSError as problem:
        raise click.ClickException(f"can't keep anything in {folder}: {problem.strerror}; choose another folder with --data-dir") from None
    serving = msgspec.structs.replace(settings.serving, port=port or settings.serving.port)
    return msgspec.structs.replace(settings, data_dir=str(folder), serving=serving, clock_shift_s=beginning.clock_shift_s), beginning


def _bring_in(
    kind: str, path: Path, beginning: _BroughtIn, settings: "Settings", client: "FeedClient", seed: int, progress: "TerminalProgress"
) -> "LivingWorld | None":
    """Fills a deployment at its beginning; returns the world that goes on behind the open page, if there is one."""
    from reelrank.simulation import demo

    media = Path(settings.data_dir) / settings.serving.media
    world = None
    if kind == "demo":
        from reelrank.simulation.world import World

        world = demo.LivingWorld(World.from_seed(seed, now=beginning.at), client, media)
        if not beginning.done:
            world.open(progress)
    elif kind == "clips" and not beginning.done:
        for skipped in demo.publish_clips(client, path, media, progress):
            progress.console.print(f"left out {skipped.path}: {skipped.reason}")
    elif kind == "kuairand" and not beginning.done:
        demo.publish_kuairand(client, path, progress)
    msgspec.structs.replace(beginning, done=True).keep(Path(settings.data_dir))
    return world


def _train(log: Path, settings: "Settings", stopping: threading.Event, progress: "TerminalProgress") -> None:
    """Trains what has no version yet from the log, one model after the other, in processes that stand back behind those who serve."""
    from reelrank.config import as_environment
    from reelrank.wiring import open_reelrank

    home, system = Path(settings.data_dir), open_reelrank(settings)
    for model in ("ranker", "graph", "two-tower"):  # the first takes longest to begin with: the log goes through the system once, for all of them
        name = model.replace("-", "_")
        if system.artifacts.current(name) is not None:
            continue
        before = system.last_runs.last(name)
        words = [sys.executable, "-m", "reelrank.cli", "train", model, "--data", f"kuairand={log.absolute()}"]
        with (home / "logs" / f"train-{model}.log").open("ab") as told:
            progress.console.print(f"training the {model.replace('-', ' ')} behind the feed; {told.name} says how far it is")
            trainer = subprocess.Popen(["nice", *words], env={**os.environ, **as_environment(settings)}, stdin=subprocess.DEVNULL, stdout=told, stderr=told)
        while trainer.poll() is None:
            if stopping.wait(0.5):
                trainer.terminate()
                return
        if system.last_runs.last(name) == before:  # else that says what came of it
            progress.console.print(f"the {model.replace('-', ' ')} was not trained: the end of {told.name} says why")
