"""Settings: every stage's own Config in one place, read from a TOML file and the environment."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from reelrank.candidates.build_index import IndexConfig
from reelrank.domain.params import FeedParams
from reelrank.events.collector import CollectorConfig
from reelrank.features.attribution import AttributionConfig
from reelrank.features.user_fold import StreamConfig
from reelrank.feed import FeedConfig
from reelrank.serving.services import ServingConfig
from reelrank.storage.event_log_kafka_config import KafkaConfig
from reelrank.storage.lake import LakeConfig
from reelrank.training.online_config import TrainConfig

PREFIX = "REELRANK_"
_NOT_SETTINGS = {"REELRANK_DATA", "REELRANK_SETTINGS", "REELRANK_SUPERVISED"}


class ConfigError(Exception):
    """A setting is unknown or has a value it can't have."""


class StorageConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Where bytes rest. The scheme of each URL picks the backend; relative paths lie below `data_dir`."""

    event_log: str = "file:log"
    online_store: str = "file:online"
    redis_prefix: str = "reelrank"  # the beginning of all keys, when the online store is Redis
    counters: str = "counters"  # a folder: every machine that serves keeps its own
    columns: str = "columns"  # a folder: what all processes of a machine share of the catalogue
    catalog: str = "file:catalog.sqlite"
    artifacts: str = "file:artifacts"
    lake: str = "file:lake"
    partitions: Annotated[int, Meta(ge=1, le=1024)] = 4
    repeat_window: Annotated[int, Meta(ge=1_000)] = 1_000_000  # records of a partition within which a repeat is recognised
    kafka: KafkaConfig = KafkaConfig()  # of an event log at kafka:


class RolesConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How many processes of each role `reelrank up` runs on this machine; 0 where a role runs elsewhere."""

    stream: Annotated[int, Meta(ge=0, le=64)] = 1  # they share the users, and one of them folds the counters of this machine
    counters: Annotated[int, Meta(ge=0, le=1)] = 0  # this machine's counters alone, where no stream runs
    lake: Annotated[int, Meta(ge=0, le=64)] = 1
    index: Annotated[int, Meta(ge=0, le=1)] = 1
    train: Annotated[int, Meta(ge=0, le=1)] = 1  # one is enough: a second one stands by
    serve: Annotated[int, Meta(ge=0, le=64)] = 1  # replicas; several have ports of their own, with HAProxy in front


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Everything a deployment decides."""

    data_dir: str = "reelrank-data"
    clock_shift_s: float = 0.0  # seconds that the system's clock runs ahead; negative to serve a log of the past
    roles: RolesConfig = RolesConfig()
    storage: StorageConfig = StorageConfig()
    collector: CollectorConfig = CollectorConfig()
    stream: StreamConfig = StreamConfig()
    attribution: AttributionConfig = AttributionConfig()
    lake: LakeConfig = LakeConfig()
    index: IndexConfig = IndexConfig()
    train: TrainConfig = TrainConfig()
    feed: FeedConfig = FeedConfig()
    params: FeedParams = FeedParams()
    serving: ServingConfig = ServingConfig()


def load(path: Path | None = None, environment: Mapping[str, str] = os.environ) -> Settings:
    """Settings from `path` (TOML; none means the defaults), overridden by variables such as REELRANK_SERVING__PORT=9000.

    Raises ConfigError that names the setting.
    """
    if inherited := environment.get("REELRANK_SETTINGS"):
        return msgspec.json.decode(inherited, type=Settings)
    tree: dict[str, Any] = {}
    if path is not None:
        try:
            tree = msgspec.toml.decode(path.read_bytes())
        except FileNotFoundError:
            raise ConfigError(f"no configuration at {path}; leave --config out to run with the defaults") from None
        except (msgspec.DecodeError, UnicodeDecodeError) as problem:
            raise ConfigError(f"{path} is not TOML: {problem}") from None
    for name, value in environment.items():
        if name.startswith(PREFIX) and name not in _NOT_SETTINGS:
            _put(tree, name[len(PREFIX) :].lower().split("__"), value)
    try:
        settings = msgspec.convert(tree, Settings, strict=False)
    except msgspec.ValidationError as problem:
        raise ConfigError(f"{path or 'the environment'}: {problem}; docs/reference/config.md lists every setting") from None
    return msgspec.structs.replace(settings, params=_with_all_quotas(settings.params))


def _with_all_quotas(params: FeedParams) -> FeedParams:
    """What a configuration says of some sources does not switch off the others."""
    known = FeedParams().quota
    if unknown := params.quota.keys() - known.keys():
        raise ConfigError(f"params.quota names {', '.join(sorted(unknown))}, which is no source; known: {', '.join(known)}")
    return msgspec.structs.replace(params, quota=known | params.quota)


def as_environment(settings: Settings) -> dict[str, str]:
    """What a child process needs to run with exactly these settings."""
    return {"REELRANK_SETTINGS": msgspec.json.encode(settings).decode()}


def _put(tree: dict[str, Any], path: list[str], value: str) -> None:
    *parents, last = path
    for parent in parents:
        tree = tree.setdefault(parent, {})
        if not isinstance(tree, dict):
            raise ConfigError(f"{parent} was given as a value, and {last} can't be set in it; {parent} can't be both a section and a value")
    tree[last] = value
