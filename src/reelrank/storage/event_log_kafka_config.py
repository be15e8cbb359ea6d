"""KafkaConfig: how the event log uses a cluster. Knows of no client library, so that reading settings loads none."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from reelrank.storage.event_log import DEAD_LETTERS, EVENTS, EXAMPLES, MODEL_ROWS, SIGNALS

_DAY_MS = 24 * 3600 * 1000
FOREVER = -1.0

Days = Annotated[float, Meta(ge=-1)]


class KafkaConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Topics are made with these settings when they are missing; those that exist stay as they are."""

    topic_prefix: str = "reelrank."  # of every topic and group: several deployments can share a cluster
    replication: Annotated[int, Meta(ge=-1)] = -1  # copies of each partition; -1: as the cluster does by default
    min_insync_replicas: Annotated[int, Meta(ge=0)] = 0  # copies that must have a record before it is acknowledged; 0: the cluster's default
    keep_events_days: Days = 30.0
    keep_signals_days: Days = FOREVER  # counters are made from all of them
    keep_examples_days: Days = 30.0
    keep_dead_letters_days: Days = 30.0
    keep_model_rows_days: Days = 7.0  # only those that are newer than the live ranker are ever read
    max_record_bytes: Annotated[int, Meta(ge=1024)] = 4 << 20
    compression: Literal["none", "lz4", "zstd"] = "zstd"
    linger_ms: Annotated[float, Meta(ge=0, le=10)] = 1.0  # how long a record waits for company before it is sent
    in_flight: Annotated[int, Meta(ge=1, le=5)] = 2  # requests at a time per broker; with more, librdkafka spins while a slow disk answers
    queue_mib: Annotated[int, Meta(ge=1)] = 32  # of records that wait to be acknowledged; with more, an append is refused at once
    read_ahead_mib: Annotated[int, Meta(ge=1)] = 16  # that a reader fetches before it is asked
    delivery_timeout_s: Annotated[float, Meta(gt=0)] = 5.0  # an append that is not acknowledged within it has failed
    request_timeout_s: Annotated[float, Meta(gt=0)] = 3.0  # the same for opening, reading and asking for an end
    group_protocol: Literal["classic", "consumer"] = "classic"  # with "consumer" the broker decides when a member counts as dead: 45 s by default
    session_timeout_s: Annotated[float, Meta(ge=1)] = 6.0  # "classic": a member that is not heard of counts as dead; brokers allow 6 s at least
    stuck_after_s: Annotated[float, Meta(ge=6)] = 30.0  # a member that lives but does not ask for its partitions loses them
    security_protocol: Literal["plaintext", "ssl", "sasl_plaintext", "sasl_ssl"] = "plaintext"
    sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = "SCRAM-SHA-512"
    sasl_user: str = ""
    sasl_password: str = ""  # better given in the environment than in a file; shown nowhere
    ssl_ca: str = ""  # file of the authorities that sign the brokers' certificates; empty: the system's
    properties: dict[str, str] = {}  # any other property of librdkafka, for every connection

    def __repr__(self) -> str:
        shown = {name: getattr(self, name) for name in self.__struct_fields__}
        shown |= {"sasl_password": "…" if self.sasl_password else "", "properties": sorted(self.properties)}
        return f"KafkaConfig({', '.join(f'{name}={value!r}' for name, value in shown.items())})"

    def connection(self, servers: str) -> dict[str, Any]:
        """What every connection needs to know, in the words of librdkafka."""
        settings: dict[str, Any] = {
            "bootstrap.servers": servers,
            "client.id": "reelrank",
            "security.protocol": self.security_protocol,
            # A server that comes back is found within half a second.
            "reconnect.backoff.ms": 50,
            "reconnect.backoff.max.ms": 500,
            "socket.connection.setup.timeout.ms": max(1000, int(self.request_timeout_s * 1000)),
            "socket.keepalive.enable": True,
            "socket.nagle.disable": True,
            "topic.metadata.refresh.fast.interval.ms": 100,
        }
        if self.security_protocol.startswith("sasl"):
            settings |= {"sasl.mechanism": self.sasl_mechanism, "sasl.username": self.sasl_user, "sasl.password": self.sasl_password}
        if self.ssl_ca:
            settings["ssl.ca.location"] = self.ssl_ca
        return settings | self.properties

    def topic_settings(self, topic: str) -> dict[str, str]:
        """The settings that a new topic is made with, in the words of Kafka."""
        days = self._days.get(topic, FOREVER)
        settings = {
            "cleanup.policy": "delete",
            "compression.type": "producer",
            "max.message.bytes": str(self.max_record_bytes),
            "retention.ms": str(int(days * _DAY_MS)) if days >= 0 else "-1",
            "retention.bytes": "-1",
        }
        if self.min_insync_replicas:
            settings["min.insync.replicas"] = str(self.min_insync_replicas)
        return settings

    @property
    def _days(self) -> Mapping[str, float]:
        return {
            EVENTS: self.keep_events_days,
            SIGNALS: self.keep_signals_days,
            EXAMPLES: self.keep_examples_days,
            DEAD_LETTERS: self.keep_dead_letters_days,
            MODEL_ROWS: self.keep_model_rows_days,
        }
