"""Something breaks under load: no acknowledged event is lost, the folded state is what the log says, bit for bit, and there is every example once."""

import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from reelrank.benchmarks import refold
from reelrank.benchmarks.backends import Backend, Servers, local_servers
from reelrank.benchmarks.example_check import check_events, check_examples
from reelrank.benchmarks.fault_load import THREADS, FeedWatch, Load
from reelrank.benchmarks.fault_scenarios import Break, Site, fill_disk, kill_process, take_away
from reelrank.benchmarks.percentiles import spread
from reelrank.benchmarks.scratch import Scratch, TooSlow, patiently, scratch_system
from reelrank.benchmarks.small_disk import NoSmallDisk, SmallDisk, small_disk
from reelrank.config import Settings
from reelrank.domain.event import decode_accepted
from reelrank.events.lake_writer import TABLE_OF, position_name
from reelrank.features.attribution import AttributionConfig
from reelrank.simulation.client import FeedClient
from reelrank.simulation.world import World
from reelrank.storage.event_log import EVENTS
from reelrank.storage.lake import LakeConfig

_EXAMPLES_WITHIN_S = 60.0
_DISK_MB = {"embedded": 96, "servers": 256}
# examples are closed, and copied to the lake, while something is broken, not long after
_QUICK = {"attribution": AttributionConfig(window_s=3.0, lateness_s=1.0, remember_s=30.0), "lake": LakeConfig(flush_s=0.5)}
_ROLES = {"embedded": ("stream", "lake", "serve"), "servers": ("stream", "stream-2", "stream-3", "lake", "serve")}


@dataclass(frozen=True, slots=True)
class _Scenario:
    breaks: Break
    process: str = ""  # the one that is killed
    small_disk: bool = False


SCENARIOS: dict[Backend, dict[str, _Scenario]] = {
    "embedded": {
        "serve": _Scenario(kill_process("serve"), "serve"),
        "stream": _Scenario(kill_process("stream"), "stream"),
        "disk": _Scenario(fill_disk, small_disk=True),
    },
    "servers": {
        "collector": _Scenario(kill_process("serve"), "serve"),
        "stream": _Scenario(kill_process("stream-2"), "stream-2"),
        "redis": _Scenario(take_away(lambda servers: servers.redis)),
        "kafka": _Scenario(take_away(lambda servers: servers.kafka, killed=lambda number: number % 2 == 1)),
        "postgresql": _Scenario(take_away(lambda servers: servers.postgresql)),
        "disk": _Scenario(fill_disk, small_disk=True),
    },
}


def measure(
    backend: Backend = "embedded", rounds: int = 5, seed: int = 0, videos: int = 200, users: int = 300, only: Sequence[str] = (),
    on_progress: Callable[[int], None] = lambda _: None,
) -> dict[str, Any]:  # fmt: skip
    """Every scenario of the backend (or `only` some), `rounds` times each. One that can't be run here says why instead."""
    chosen = {name: scenario for name, scenario in SCENARIOS[backend].items() if not only or name in only}
    return {
        "scenarios": {
            name: _told(backend, scenario, rounds, seed + place, videos, users, on_progress) for place, (name, scenario) in enumerate(chosen.items())
        },
        "backend": backend,
        "rounds": rounds,
        "roles": list(_ROLES[backend]),
        "threads": THREADS,
        "videos": videos,
        "users": users,
        "seed": seed,
    }


def _told(backend: Backend, scenario: _Scenario, rounds: int, seed: int, videos: int, users: int, on_progress: Callable[[int], None]) -> dict[str, Any]:
    world = World.from_seed(seed, videos=videos, users=users, authors=max(2, videos // 5), now=time.time())
    try:
        with _site(backend, scenario, world, seed) as site:
            return _run(site, scenario, rounds, on_progress)
    except NoSmallDisk as problem:
        on_progress(rounds)
        return {"rounds": 0, "skipped": str(problem)}


@contextmanager
def _site(backend: Backend, scenario: _Scenario, world: World, seed: int) -> Iterator[Site]:
    """A running system with its catalogue filled, on servers or files of its own."""
    with ExitStack() as held:
        folder = Path(held.enter_context(tempfile.TemporaryDirectory(prefix="reelrank-faults-", ignore_cleanup_errors=True)))
        disk: SmallDisk | None = None
        servers: Servers | None = None
        if scenario.small_disk:
            disk = held.enter_context(small_disk(folder / "small", _DISK_MB[backend]))
        if backend == "servers":
            servers = held.enter_context(local_servers(folder, None if disk is None else disk.folder / "kafka"))
        settings = Settings() if servers is None else servers.settings
        if disk is not None and servers is None:
            settings = msgspec.structs.replace(settings, storage=msgspec.structs.replace(settings.storage, event_log=f"file:{disk.folder / 'log'}"))
        system = held.enter_context(scratch_system(msgspec.structs.replace(settings, **_QUICK), _ROLES[backend], retries=0))
        system.publish(list(world.videos))
        watcher = held.enter_context(FeedClient(system.supervisor.url, retries=0))
        yield Site(system, Load(system.client, world, seed), FeedWatch(watcher, world), np.random.default_rng(seed), servers, disk)


def _run(site: Site, scenario: _Scenario, rounds: int, on_progress: Callable[[int], None]) -> dict[str, Any]:
    system, load, rng = site.system, site.load, site.rng
    counts: Counter[str] = Counter()
    recover_ms: list[float] = []
    different: set[str] = set()
    for number in range(rounds):
        load.start()
        try:
            time.sleep(float(rng.uniform(0.3, 1.0)))
            recover_ms.append(scenario.breaks(site, number) * 1000)
            time.sleep(float(rng.uniform(0.2, 0.6)))
        except BaseException:
            load.abandon()
            raise
        load.stop()
        system.wait_at_rest()
        counts.update(_checked(system, load, number, different))
        on_progress(1)
    examples = ("examples_missing", "examples_double", "examples_compared", "lake_missing", "lake_double")
    return {
        "rounds": rounds,
        "acknowledged": len(load.acknowledged),
        "lost": counts["lost"],
        "state_mismatches": counts["state_mismatches"],
        **{name: counts[name] for name in examples},
        "different": sorted(different),
        "records_compared": counts["records_compared"],
        "restarts": {name: system.supervisor.restarts(name) for name in system.supervisor.names},
        "sent_again": load.sent_again,
        "refusals": dict(load.refusals),
        "refusals_without_retry_after": load.without_retry_after,
        "records_in_log": sum(system.ends()),
        "recover_ms": spread(recover_ms),
        **(site.feeds.told() if not scenario.process else {}),
    }


def _checked(system: Scratch, load: Load, number: int, different: set[str]) -> dict[str, int]:
    """What is wrong with a system at rest; the names of some records that differ go to `different`."""
    inside = system.inside
    state = patiently(lambda: refold.mismatches(inside, Path(inside.settings.data_dir) / f"folded-again-{number}"))
    log, lake, columns, config = inside.log, inside.lake, inside.columns, inside.settings.attribution
    different.update(state.names)
    deadline = time.monotonic() + _EXAMPLES_WITHIN_S
    # attribution tells of nothing where nothing was to tell of, so only what it made shows that it has come to the end
    while patiently(lambda: check_examples(log, None, columns, config)).missing and time.monotonic() < deadline:
        time.sleep(0.2)
    while patiently(lambda: any(_not_copied(system, topic) for topic in TABLE_OF)):
        if time.monotonic() > deadline:
            raise TooSlow(f"the lake has not copied everything after {_EXAMPLES_WITHIN_S:.0f} s; the end of its log:\n{system.supervisor.last_lines('lake')}")
        time.sleep(0.1)
    examples, events = patiently(lambda: check_examples(log, lake, columns, config)), patiently(lambda: check_events(log, lake))
    return {
        "lost": len(load.acknowledged - _in_log(system)),
        "state_mismatches": state.different,
        "records_compared": state.compared,
        "examples_missing": examples.missing,
        "examples_double": examples.double,
        "examples_compared": examples.compared,
        "lake_missing": events.missing,
        "lake_double": events.double,
    }


def _not_copied(system: Scratch, topic: str) -> int:
    """How many records of a topic the lake does not have yet."""
    log = system.inside.log
    names = [position_name(topic, partition) for partition in range(log.partitions)]
    positions = system.inside.lake.positions(TABLE_OF[topic], names)
    return sum(log.end(topic, partition) - positions[name] for partition, name in enumerate(names))


def _in_log(system: Scratch) -> set[str]:
    """Every event id that the log holds."""
    return {accepted.event.event_id for partition in range(system.inside.log.partitions) for accepted in _records(system, partition)}


def _records(system: Scratch, partition: int) -> Iterator[Any]:
    offset = 0
    while records := system.inside.log.read(EVENTS, partition, offset, 5_000):
        yield from (decode_accepted(record.value) for record in records)
        offset = records[-1].offset + 1
