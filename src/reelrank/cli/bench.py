"""reelrank bench: what this machine does, in numbers."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from reelrank.cli.options import backend_option, json_option
from reelrank.cli.progress import TerminalProgress
from reelrank.cli.report import tell

if TYPE_CHECKING:
    from reelrank.benchmarks.backends import Backend
    from reelrank.benchmarks.feed_latency import Caches
    from reelrank.benchmarks.overload import DoorName


@click.group
def bench() -> None:
    """Measure this machine. Most measurements run a system of their own in a temporary folder."""


@bench.command
@click.option("--trials", type=click.IntRange(min=1), default=200, show_default=True, help="Pairs of twins.")
@click.option("--videos", type=click.IntRange(min=30), default=300, show_default=True, help="Videos in the generated world.")
@click.option("--users", type=click.IntRange(min=10), default=400, show_default=True, help="People in the generated world who have watched before.")
@click.option("--seed", type=int, default=0, show_default=True, help="Makes the world and the trials.")
@json_option
def reaction(trials: int, videos: int, users: int, seed: int, as_json: bool) -> None:
    """How long until a like changes the feed."""
    from reelrank.benchmarks.reaction import measure

    with TerminalProgress().task("likes", trials) as on_progress:
        numbers = measure(trials, videos, users, seed, on_progress)
    tell("From a like to the feed that shows it", numbers, as_json)


@bench.command
@backend_option
@click.option("--rounds", type=click.IntRange(min=1), default=5, show_default=True, help="How often each thing is broken.")
@click.option("--only", multiple=True, metavar="SCENARIO", help="Only this scenario; may be given several times.")
@click.option("--videos", type=click.IntRange(min=30), default=200, show_default=True, help="Videos in the generated world.")
@click.option("--users", type=click.IntRange(min=10), default=300, show_default=True, help="People in the generated world.")
@click.option("--seed", type=int, default=0, show_default=True, help="Makes the world, the load and the moments when things break.")
@json_option
def faults(backend: "Backend", rounds: int, only: tuple[str, ...], videos: int, users: int, seed: int, as_json: bool) -> None:
    """What survives when processes, servers and disks break under load."""
    from reelrank.benchmarks.faults import SCENARIOS, measure

    if unknown := set(only) - SCENARIOS[backend].keys():
        raise click.BadParameter(f"no scenario {', '.join(sorted(unknown))}; known: {', '.join(SCENARIOS[backend])}", param_hint="--only")
    with TerminalProgress().task("breaks", rounds * (len(only) or len(SCENARIOS[backend]))) as on_progress:
        numbers = measure(backend, rounds, seed, videos, users, only, on_progress)
    tell("Broken under load", numbers, as_json)


@bench.command
@click.option("--videos", type=click.IntRange(min=30), default=20_000, show_default=True, help="Videos in the catalogue.")
@click.option("--users", type=click.IntRange(min=10), default=2_000, show_default=True, help="Users with a full history, who ask for feeds by Zipf's law.")
@click.option("--rate", type=click.FloatRange(min=1), default=20.0, show_default=True, help="Feeds a second, whether or not earlier ones are answered.")
@click.option("--seconds", type=click.FloatRange(min=1), default=15.0, show_default=True, help="How long.")
@click.option("--caches", type=click.Choice(["on", "off"]), default="on", show_default=True, help="off: nothing is kept of a user between two requests.")
@click.option("--replicas", type=click.IntRange(1, 16), default=2, show_default=True, help="Processes that answer, with HAProxy before several.")
@click.option("--events", type=click.FloatRange(min=0), default=1_000.0, show_default=True, help="Events a second that are folded meanwhile.")
@click.option("--count", type=click.IntRange(1, 50), default=10, show_default=True, help="Videos in a slate.")
@click.option("--world", type=click.Path(path_type=Path, file_okay=False), help="A folder that keeps what is made for the next time.")
@click.option("--seed", type=int, default=0, show_default=True, help="Makes the world, and chooses who asks.")
@json_option
def feed(
    videos: int, users: int, rate: float, seconds: float, caches: "Caches", replicas: int, events: float, count: int, world: Path | None, seed: int,
    as_json: bool,
) -> None:  # fmt: skip
    """How fast feeds are answered: HAProxy, replicas and the ranker over a catalogue as large as you like."""
    from reelrank.benchmarks.feed_latency import measure
    from reelrank.benchmarks.large_world import steps

    with TerminalProgress().task("records and feeds", steps(videos, users) + round(rate * seconds)) as on_progress:
        numbers = measure(videos, users, rate, seconds, caches, replicas, events, count, seed, world, on_progress)
    tell("Feeds under load", numbers, as_json)


@bench.command
@click.option("--videos", type=click.IntRange(min=30), default=20_000, show_default=True, help="Videos in the catalogue.")
@click.option("--users", type=click.IntRange(min=10), default=2_000, show_default=True, help="Users with a full history, who ask by Zipf's law.")
@click.option("--requests", type=click.IntRange(min=1), default=500, show_default=True, help="Slates that are asked for, one after the other.")
@click.option("--caches", type=click.Choice(["on", "off"]), default="off", show_default=True, help="off: nothing is kept of a user between two requests.")
@click.option("--count", type=click.IntRange(1, 50), default=10, show_default=True, help="Videos in a slate.")
@click.option("--world", type=click.Path(path_type=Path, file_okay=False), help="A folder that keeps what is made for the next time.")
@click.option("--flame", type=click.Path(path_type=Path, dir_okay=False), help="Draw the flame graph into this SVG file.")
@click.option("--table", type=click.Path(path_type=Path, dir_okay=False, exists=True), help="Put the table between its marks in this page.")
@click.option("--seed", type=int, default=0, show_default=True, help="Makes the world, and chooses who asks.")
@json_option
def request(
    videos: int, users: int, requests: int, caches: "Caches", count: int, world: Path | None, flame: Path | None, table: Path | None, seed: int,
    as_json: bool,
) -> None:  # fmt: skip
    """Where each millisecond of a feed request goes, as numbers, a table and a flame graph."""
    from reelrank.benchmarks import request_parts
    from reelrank.benchmarks.flame_graph import flame_graph
    from reelrank.benchmarks.large_world import steps
    from reelrank.benchmarks.request_profile import measure

    if table is not None and not request_parts.marked(table):
        raise click.BadParameter(f"{table} has no lines {request_parts.BEGIN} and {request_parts.END}, between which the table goes", param_hint="--table")
    with TerminalProgress().task("records and feeds", steps(videos, users) + requests) as on_progress:
        profile = measure(videos, users, requests, caches, count, seed, world, on_progress)
    about = f"{profile.numbers['cpu_ms']:.1f} ms of CPU, mean of {requests:,} requests; {videos:,} videos, {users:,} users, caches {caches}"
    if flame is not None:
        flame.write_text(flame_graph(profile.ms, f"One feed request: {about}"), encoding="utf-8")
    if table is not None:
        request_parts.write_table(table, profile.numbers["part_ms"], about)
    tell("One feed request", profile.numbers, as_json)


@bench.command
@click.option("--videos", default="10k,100k,1M", show_default=True, metavar="N,N,…", help="Sizes of the catalogue. 5M takes half an hour and 15 GB.")
@click.option("--users", type=click.IntRange(min=10), default=100_000, show_default=True, help="Users with a full history, at every size the same.")
@click.option("--rate", type=click.FloatRange(min=1), default=10.0, show_default=True, help="Feeds a second: few, so that none waits for another.")
@click.option("--seconds", type=click.FloatRange(min=1), default=30.0, show_default=True, help="How long, at each size.")
@click.option("--replicas", type=click.IntRange(1, 16), default=2, show_default=True, help="Processes that answer, with HAProxy before several.")
@click.option("--count", type=click.IntRange(1, 50), default=10, show_default=True, help="Videos in a slate.")
@click.option("--world", type=click.Path(path_type=Path, file_okay=False), help="A folder that keeps what is made for the next time, each size below it.")
@click.option("--picture", type=click.Path(path_type=Path, dir_okay=False), help="Draw the curves into this SVG file.")
@click.option("--seed", type=int, default=0, show_default=True, help="Makes the worlds, and chooses who asks.")
@json_option
def scale(
    videos: str, users: int, rate: float, seconds: float, replicas: int, count: int, world: Path | None, picture: Path | None, seed: int, as_json: bool
) -> None:
    """What ten and a hundred times as many videos cost in latency, CPU and memory."""
    from reelrank.benchmarks.growth import measure, steps
    from reelrank.benchmarks.growth_plot import draw

    sizes = [_count(one) for one in videos.split(",")]
    with TerminalProgress().task("records and feeds", steps(sizes, users, rate, seconds)) as on_progress:
        numbers = measure(sizes, users, rate, seconds, replicas, count, seed, world, on_progress)
    if picture is not None:
        draw(numbers, picture)
    tell("Feeds of larger and larger catalogues", numbers, as_json)


def _count(text: str) -> int:
    """30, 10k or 1.5M as a number of videos."""
    number, thousands = text.strip().rstrip("kM"), {"k": 1_000, "M": 1_000_000}.get(text.strip()[-1:], 1)
    try:
        count = round(float(number) * thousands)
    except ValueError:
        count = 0
    if count < 30:
        raise click.BadParameter(f"{text!r} is no number of videos from 30 on; write 10000, 10k or 1M", param_hint="--videos")
    return count


@bench.command
@click.option("--candidates", type=click.IntRange(min=1), default=500, show_default=True, help="Videos that are scored for one request.")
@click.option("--rounds", type=click.IntRange(min=1), default=20, show_default=True, help="How often, ten scorings in each.")
@click.option("--seed", type=int, default=0, show_default=True, help="Makes the networks and the request.")
@json_option
def ranker(candidates: int, rounds: int, seed: int, as_json: bool) -> None:
    """How long the ranker takes for one request."""
    from reelrank.benchmarks.ranker_speed import measure, rounds_in_all

    with TerminalProgress().task("scorings", rounds_in_all(rounds)) as on_progress:
        numbers = measure(candidates, rounds, seed, on_progress)
    tell("One request's candidates through the ranker", numbers, as_json)


@bench.command
@backend_option
@click.option("--seconds", type=click.FloatRange(min=1), default=12.0, show_default=True, help="How long.")
@click.option("--batch", type=click.IntRange(1, 1_000), default=100, show_default=True, help="Events in a request.")
@click.option("--connections", type=click.IntRange(min=1), default=16, show_default=True, help="Requests that are under way at a time.")
@click.option("--videos", type=click.IntRange(min=30), default=1_000, show_default=True, help="Videos in the generated world.")
@click.option("--seed", type=int, default=0, show_default=True, help="Makes the world and the events.")
@json_option
def events(backend: "Backend", seconds: float, batch: int, connections: int, videos: int, seed: int, as_json: bool) -> None:
    """How many events a second become durable."""
    from reelrank.benchmarks.event_rate import measure

    with TerminalProgress().task("seconds", round(seconds)) as on_progress:
        numbers = measure(backend, seconds, batch, connections, videos, seed, on_progress)
    tell("Events through the door", numbers, as_json)


@bench.command
@click.option("--seconds", type=click.FloatRange(min=1), default=60.0, show_default=True, help="How long.")
@click.option("--door", type=click.Choice(["events", "feed"]), default="events", show_default=True, help="Batches of events, or feed requests.")
@click.option("--batch", type=click.IntRange(1, 1_000), default=100, show_default=True, help="Events in a request.")
@click.option("--connections", type=click.IntRange(min=1), default=256, show_default=True, help="Connections at most.")
@click.option("--videos", type=click.IntRange(min=30), default=1_000, show_default=True, help="Videos in the generated world.")
@click.option("--seed", type=int, default=0, show_default=True, help="Makes the world and the events.")
@json_option
def overload(seconds: float, door: "DoorName", batch: int, connections: int, videos: int, seed: int, as_json: bool) -> None:
    """What three times as much as can be taken does."""
    from reelrank.benchmarks.overload import measure

    with TerminalProgress().task("seconds", round(seconds)) as on_progress:
        numbers = measure(seconds, door, batch, connections, videos, seed, on_progress=on_progress)
    tell("Three times too much", numbers, as_json)


@bench.command
@click.option("--kills", type=click.IntRange(min=1), default=5, show_default=True, help="How often a replica is killed.")
@click.option("--rate", type=click.FloatRange(min=1), help="Requests a second. Without it 70 % of what the replicas can do, which is measured first.")
@click.option("--videos", type=click.IntRange(min=30), default=2_000, show_default=True, help="Videos in the generated world.")
@click.option("--users", type=click.IntRange(min=10), default=500, show_default=True, help="People in the generated world.")
@click.option("--connections", type=click.IntRange(min=1), default=64, show_default=True, help="Connections at most.")
@click.option("--seed", type=int, default=0, show_default=True, help="Makes the world and the moments of the requests.")
@json_option
def failover(kills: int, rate: float | None, videos: int, users: int, connections: int, seed: int, as_json: bool) -> None:
    """What whoever asks notices when replicas behind HAProxy are killed and restarted."""
    from reelrank.benchmarks.failover import measure

    with TerminalProgress().task("kills and a restart", kills + 1) as on_progress:
        numbers = measure(kills, rate, videos, users, connections, seed=seed, on_progress=on_progress)
    tell("Replicas killed and restarted under load", numbers, as_json)


@bench.command
@click.option("--requests", type=click.IntRange(min=1), default=10_000, show_default=True, help="Slates that one person asks for.")
@click.option("--videos", type=click.IntRange(min=30), default=90_000, show_default=True, help="Videos in the catalogue.")
@click.option("--count", type=click.IntRange(1, 50), default=10, show_default=True, help="Videos in a slate.")
@click.option("--seed", type=int, default=0, show_default=True, help="Makes the videos.")
@json_option
def exhaust(requests: int, videos: int, count: int, seed: int, as_json: bool) -> None:
    """Whether anything that was seen comes back, until nothing is left."""
    from reelrank.benchmarks.exhaust import measure

    with TerminalProgress().task("slates", requests) as on_progress:
        numbers = measure(requests, videos, count, seed, on_progress)
    tell("One person who watches everything", numbers, as_json)


@bench.command
@backend_option
@click.option("--events", type=click.IntRange(min=1_000), default=1_000_000, show_default=True, help="Events of the backlog.")
@click.option("--users", type=click.IntRange(min=10), default=100_000, show_default=True, help="Who made them, the most active by Zipf's law.")
@click.option("--videos", type=click.IntRange(min=100), default=20_000, show_default=True, help="Videos in the catalogue.")
@click.option("--full", type=click.IntRange(min=100), default=20_000, show_default=True, help="Full users, and full videos, that are weighed.")
@click.option("--large", is_flag=True, help="Weigh a million of each as well; takes 10 GB and some minutes.")
@click.option("--seed", type=int, default=0, show_default=True, help="Makes the videos and the events.")
@json_option
def stream(backend: "Backend", events: int, users: int, videos: int, full: int, large: bool, seed: int, as_json: bool) -> None:
    """How many events a second one stream folds, and what state takes."""
    from reelrank.benchmarks.fold_rate import LARGE, measure, steps

    with TerminalProgress().task("events and records", steps(events, full, large)) as on_progress:
        numbers = measure(backend, events, users, videos, full, LARGE if large else 0, seed, on_progress)
    tell("Folding a backlog", numbers, as_json)


@bench.command
@backend_option
@click.option("--trials", type=click.IntRange(min=1), default=200, show_default=True, help="Likes.")
@click.option("--publications", type=click.IntRange(min=2), default=60, show_default=True, help="New videos.")
@click.option("--rate", type=click.FloatRange(min=0), default=5_000.0, show_default=True, help="Events a second that others send meanwhile.")
@click.option("--videos", type=click.IntRange(min=30), default=1_000, show_default=True, help="Videos in the generated world.")
@click.option("--users", type=click.IntRange(min=10), default=2_000, show_default=True, help="People in the generated world.")
@click.option("--seed", type=int, default=0, show_default=True, help="Makes the world and the events.")
@json_option
def freshness(backend: "Backend", trials: int, publications: int, rate: float, videos: int, users: int, seed: int, as_json: bool) -> None:
    """How soon an event is in its user's feed, and a new video in anybody's."""
    from reelrank.benchmarks.freshness import measure

    with TerminalProgress().task("likes and videos", trials + publications) as on_progress:
        numbers = measure(backend, trials, publications, rate, videos, users, seed, on_progress)
    tell("From an event to the feed", numbers, as_json)


@bench.command
@click.option("--steps", type=click.IntRange(min=1), default=10, show_default=True, help="Batches that every side learns from.")
@click.option("--table-steps", type=click.IntRange(min=1), default=100, show_default=True, help="Batches that every id table learns from.")
@click.option("--largest", type=click.IntRange(min=10_000), default=10_000_000, show_default=True, help="Rows of the largest id table; 3 GB for ten million.")
@click.option("--watches", type=click.IntRange(min=0), default=40, show_default=True, help="Watches that a running system learns from; 0 leaves that out.")
@click.option("--seed", type=int, default=0, show_default=True, help="Makes the examples and the ids.")
@json_option
def train(steps: int, table_steps: int, largest: int, watches: int, seed: int, as_json: bool) -> None:
    """How many examples a second the ranker learns from, and how soon a watch changes a score."""
    from reelrank.benchmarks import watch_to_score
    from reelrank.benchmarks.train_rate import measure, steps_in_all
    from reelrank.studies.peer_networks import PeerMissing, interpreter

    try:
        peers, missing = interpreter(), None
    except PeerMissing as error:
        peers, missing = None, str(error)
    with TerminalProgress().task("batches", steps_in_all(steps, table_steps, largest)) as on_progress:
        numbers = measure(peers, steps, table_steps, largest=largest, seed=seed, on_progress=on_progress)
    if missing is not None:
        numbers["peers_missing"] = missing
    numbers["watch_to_score_ms"] = None
    if watches:
        with TerminalProgress().task("visits and watches", 0) as on_progress:
            numbers["watch_to_score_ms"] = watch_to_score.measure(watches, seed=seed, on_progress=on_progress)["watch_to_score_ms"]
    tell("Learning from examples", numbers, as_json)


@bench.command
@click.option("--vectors", type=click.IntRange(min=2_000), default=1_000_000, show_default=True, help="Vectors that are searched.")
@click.option(
    "--queries", type=click.IntRange(min=10), default=500, show_default=True, help="Searches that are measured; the index is tuned on as many others."
)
@click.option("--users", type=click.IntRange(min=50), default=8_000, show_default=True, help="Users whose histories the towers learn from.")
@click.option("--epochs", type=click.IntRange(min=1), default=6, show_default=True, help="How often the towers learn from all of them.")
@click.option("--publications", type=click.IntRange(min=1), default=40, show_default=True, help="New videos that a running system is asked for.")
@click.option("--peers/--no-peers", default=True, show_default=True, help="hnswlib and usearch beside it, where they are installed.")
@click.option("--seed", type=int, default=0, show_default=True, help="Trains the towers and draws vectors and queries.")
@json_option
def retrieval(vectors: int, queries: int, users: int, epochs: int, publications: int, peers: bool, seed: int, as_json: bool) -> None:
    """How well and how fast the nearest of a million vectors are found, and how soon a new video is."""
    from reelrank.benchmarks.retrieval_speed import measure

    with TerminalProgress().task("vectors and videos", 0) as on_progress:
        numbers = measure(vectors, queries, users, epochs, publications, peers, seed, on_progress)
    tell("Searching vectors", numbers, as_json)
