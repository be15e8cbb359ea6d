"""Metrics: what the service does, in numbers for Prometheus."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector as MetricsCollector

from reelrank.candidates.recall_watch import RecallWatch
from reelrank.events.collector import Collector
from reelrank.features.columns import VideoColumns
from reelrank.ranking.page_cache import PageCache
from reelrank.ranking.ranker_session import KeptHistories
from reelrank.ranking.served_log import ServedLog
from reelrank.serving.admission import REASONS, Connections, Door
from reelrank.serving.hot_swap import HotSwap
from reelrank.storage.event_log import EVENTS, EventLog, StorageError
from reelrank.storage.last_runs import OUTCOMES, LastRuns
from reelrank.storage.online_store import OnlineStore
from reelrank.storage.published import Published

_SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)
_COUNTS = (0, 1, 5, 10, 20, 50, 100, 200, 500, 1_000)


class Metrics:
    """The figures of one process, in a registry of its own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._requests = Counter("reelrank_requests", "HTTP requests answered", ["route", "status"], registry=self.registry)
        self._request_s = Histogram("reelrank_request_seconds", "Time to answer a request", ["route"], buckets=_SECONDS, registry=self.registry)
        self._stage_s = Histogram("reelrank_feed_stage_seconds", "Time a stage of the feed took", ["stage"], buckets=_SECONDS, registry=self.registry)
        self._candidates = Histogram("reelrank_source_candidates", "Videos a source proposed", ["source"], buckets=_COUNTS, registry=self.registry)
        self._degraded = Counter("reelrank_feed_degraded", "Feeds answered without a part, by part and what was wrong", ["part"], registry=self.registry)
        self.failed_feeds = Counter("reelrank_feed_failed", "Feeds that failed and showed what was ranked before, or what is popular", registry=self.registry)
        self.unauthorized = Counter("reelrank_unauthorized", "Requests refused for want of a key, by what was wrong", ["reason"], registry=self.registry)
        self.unscored_slates = Counter("reelrank_unscored_slates", "Slates of other policies recorded without features", registry=self.registry)

    def observe_request(self, route: str, status: int, seconds: float) -> None:
        """One answered request; `route` is a pattern, so that there are only so many."""
        self._requests.labels(route, str(status)).inc()
        self._request_s.labels(route).observe(seconds)

    def observe_feed(self, stages: Mapping[str, Mapping[str, float]], degraded: Sequence[str]) -> None:
        """What the stages did to one feed request, as its trace tells it."""
        for stage, figures in stages.items():
            if "ms" in figures:
                self._stage_s.labels(stage).observe(figures["ms"] / 1000)
        for source, proposed in stages.get("sources", {}).items():
            if source not in {"ms", "in", "out"}:
                self._candidates.labels(source).observe(proposed)
        for part in degraded:
            self._degraded.labels(part).inc()

    def follow_doors(self, doors: Sequence[Door], connections: Connections, served_log: ServedLog) -> None:
        """Asks these how much is under way and how much had to be left out, whenever the metrics are read."""
        self.registry.register(_Asked(lambda: _under_way(doors, connections, served_log)))

    def follow_pages(self, pages: PageCache) -> None:
        """Asks this how often it had what a request wanted, whenever the metrics are read."""
        self.registry.register(_Asked(lambda: _kept(pages)))

    def follow_rows(self, hot_swap: HotSwap[Any]) -> None:
        """Asks this how far it is with the rows that are learned elsewhere, whenever the metrics are read."""
        self.registry.register(_Asked(lambda: _rows(hot_swap)))

    def follow_histories(self, histories: KeptHistories) -> None:
        """Asks these how many had to be encoded, whenever the metrics are read."""
        self.registry.register(_Asked(lambda: _histories(histories)))

    def follow_training(self, status: Path) -> None:
        """Reads how far the role train of this machine is with learning online, whenever the metrics are read."""
        self.registry.register(_Asked(lambda: _training(status)))

    def follow_runs(self, last_runs: LastRuns) -> None:
        """Reads what came of the last trainings, whenever the metrics are read."""
        self.registry.register(_Asked(lambda: _ended(last_runs)))

    def follow_models(self, models: Sequence[Published[Any]]) -> None:
        """Asks these which version is in use, whenever the metrics are read."""
        self.registry.register(_Asked(lambda: _in_use(models)))

    def follow_recall(self, recall: RecallWatch) -> None:
        """Asks this how much of the nearest live searches find, whenever the metrics are read."""
        self.registry.register(_Asked(lambda: _found(recall)))

    def follow(self, log: EventLog, store: OnlineStore, columns: VideoColumns, collector: Collector) -> None:
        """Asks these for their figures whenever the metrics are read."""
        self.registry.register(_Asked(lambda: _asked(log, store, columns, collector)))

    def exposition(self) -> bytes:
        """All figures in the text format of Prometheus."""
        return generate_latest(self.registry)


class _Asked(MetricsCollector):
    """Figures that are kept elsewhere."""

    def __init__(self, ask: Callable[[], Iterator[Metric]]) -> None:
        self._ask = ask

    def collect(self) -> Iterator[Metric]:
        return self._ask()

    def describe(self) -> list[Metric]:
        return []  # names are known without asking: none collides with the ones above


def _asked(log: EventLog, store: OnlineStore, columns: VideoColumns, collector: Collector) -> Iterator[Metric]:
    accepted = CounterMetricFamily("reelrank_events_accepted", "Events accepted into the log", labels=["type"])
    for kind, count in dict(collector.accepted).items():
        accepted.add_metric([kind], count)
    refused = CounterMetricFamily("reelrank_events_refused", "Events refused, by what was wrong", labels=["reason"])
    for reason, count in dict(collector.refused).items():
        refused.add_metric([reason], count)
    ends = GaugeMetricFamily("reelrank_log_end_offset", "Records in a partition of the event log", labels=["partition"])
    folded = GaugeMetricFamily("reelrank_log_folded_offset", "Records of a partition that the stream has folded", labels=["partition"])
    try:
        for partition, offset in enumerate(store.offsets()):
            ends.add_metric([str(partition)], log.end(EVENTS, partition))
            folded.add_metric([str(partition)], offset)
    except StorageError:
        pass  # away just now: its figures are, too
    yield from (accepted, refused, ends, folded)
    yield GaugeMetricFamily("reelrank_catalogue_videos", "Videos in the catalogue, removed ones included", value=columns.count)


def _kept(pages: PageCache) -> Iterator[Metric]:
    asked = CounterMetricFamily("reelrank_pages_asked", "Feed requests that looked for what was ranked before, by whether it was there", labels=["found"])
    asked.add_metric(["yes"], pages.hits)
    asked.add_metric(["no"], pages.misses)
    yield asked
    yield GaugeMetricFamily("reelrank_pages_bytes", "Memory of what waits for its user's next request", value=pages.bytes)


def _under_way(doors: Sequence[Door], connections: Connections, served_log: ServedLog) -> Iterator[Metric]:
    shed = CounterMetricFamily("reelrank_shed", "Requests told to come back, by what there was too much of", labels=["door", "reason"])
    waiting = GaugeMetricFamily("reelrank_pending", "Batches or feeds that are under way", labels=["door"])
    held = GaugeMetricFamily("reelrank_pending_bytes", "Bytes of bodies that are arriving or waiting", labels=["door"])
    wait_s = GaugeMetricFamily("reelrank_queue_delay_seconds", "How long a request that comes now would wait", labels=["door"])
    for door in doors:
        for reason in REASONS:
            shed.add_metric([door.name, reason], door.shed[reason])
        waiting.add_metric([door.name], door.waiting)
        held.add_metric([door.name], door.held_bytes)
        wait_s.add_metric([door.name], door.expected_wait_s)
    yield from (shed, waiting, held, wait_s)
    yield GaugeMetricFamily("reelrank_loop_lag_seconds", "How late the event loop is", value=max(door.lag_s for door in doors))
    yield GaugeMetricFamily("reelrank_connections", "Connections that are open", value=connections.open)
    yield CounterMetricFamily("reelrank_connections_refused", "Connections that were one too many", value=connections.refused)
    yield CounterMetricFamily("reelrank_connections_given_up", "Connections closed because what they had to send was overdue", value=connections.given_up)
    yield GaugeMetricFamily("reelrank_slates_waiting", "Served slates that are not in the log yet", value=served_log.waiting)
    yield CounterMetricFamily("reelrank_slates_dropped", "Served slates that never got into the log", value=served_log.dropped)


def _rows(hot_swap: HotSwap[Any]) -> Iterator[Metric]:
    yield GaugeMetricFamily("reelrank_ranker_rows", "Rows of the live ranker that were learned since it was published", value=hot_swap.rows)
    yield GaugeMetricFamily("reelrank_ranker_learned_until_seconds", "When the newest outcome behind these rows was known", value=hot_swap.learned_until)
    yield CounterMetricFamily("reelrank_ranker_updates_refused", "Updates of rows that could not be applied", value=hot_swap.refused)


def _histories(histories: KeptHistories) -> Iterator[Metric]:
    asked = CounterMetricFamily("reelrank_ranker_histories", "Histories that the ranker read, by what of them had to be encoded", labels=["encoded"])
    for encoded, count in (("nothing", histories.taken_over), ("new", histories.grown), ("all", histories.encoded)):
        asked.add_metric([encoded], count)
    yield asked
    yield GaugeMetricFamily("reelrank_ranker_histories_kept", "Histories that are kept encoded", value=len(histories))
    yield GaugeMetricFamily("reelrank_ranker_histories_bytes", "Bytes that these take", value=histories.nbytes)


def _training(status: Path) -> Iterator[Metric]:
    try:
        told: dict[str, Any] = msgspec.json.decode(status.read_bytes())
    except (OSError, msgspec.DecodeError):  # there is no such role here, or it has not begun
        return
    yield CounterMetricFamily("reelrank_train_learned", "Examples learned online on top of the live ranker", value=told["learned"])
    yield GaugeMetricFamily("reelrank_train_waiting", "Records of examples that are not learned yet", value=told["waiting"])
    yield GaugeMetricFamily("reelrank_train_learned_until_seconds", "When the newest outcome that was learned was known", value=told["learned_until"])
    quarantined = CounterMetricFamily("reelrank_train_quarantined", "Examples that nobody learns from, by reason", labels=["reason"])
    for reason, count in told["quarantined"].items():
        quarantined.add_metric([reason], count)
    auc = GaugeMetricFamily("reelrank_train_auc", "AUC of what was predicted before it was learned, over the last two days", labels=["head"])
    for head, value in told["progressive"].items():
        auc.add_metric([head], value)
    yield from (quarantined, auc)


def _ended(last_runs: LastRuns) -> Iterator[Metric]:
    at = GaugeMetricFamily("reelrank_train_run_at_seconds", "When the last training of a model ended", labels=["model", "how"])
    took = GaugeMetricFamily("reelrank_train_run_seconds", "How long it took", labels=["model", "how"])
    outcome = GaugeMetricFamily("reelrank_train_run_outcome", "1 for what came of it", labels=["model", "how", "outcome"])
    for run in last_runs.all():
        at.add_metric([run.model, run.how], run.ended_at)
        took.add_metric([run.model, run.how], run.seconds)
        for one in OUTCOMES:
            outcome.add_metric([run.model, run.how, one], float(run.outcome == one))
    yield from (at, took, outcome)


def _in_use(models: Sequence[Published[Any]]) -> Iterator[Metric]:
    info = GaugeMetricFamily("reelrank_model_made_at_seconds", "When the version of a model that is in use was made", labels=["model", "version"])
    refused = CounterMetricFamily("reelrank_model_refused", "Versions of a model that could not be loaded", labels=["model"])
    for published in models:
        live = published.live
        if live is not None:
            info.add_metric([published.name, live.name], live.manifest.made_at)
        refused.add_metric([published.name], published.refused)
    yield from (info, refused)


def _found(watch: RecallWatch) -> Iterator[Metric]:
    recall = GaugeMetricFamily("reelrank_search_recall", "Share of the hundred nearest that a source's last sampled searches found", labels=["source"])
    looked_up = CounterMetricFamily("reelrank_search_recall_looked_up", "Searches that were compared with an exact one", labels=["source"])
    left_out = CounterMetricFamily("reelrank_search_recall_left_out", "Sampled searches that were not, because too many waited", labels=["source"])
    for source, one in watch.told().items():
        recall.add_metric([source], one.lately)
        looked_up.add_metric([source], one.looked_up)
        left_out.add_metric([source], one.left_out)
    yield from (recall, looked_up, left_out)
