"""HAProxy in front of replicas, as its configuration: who goes where, what is tried again, and who is left out."""

import re
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from reelrank.serving.services import ALWAYS_BATCHES, ALWAYS_FEEDS, ServingConfig

Address = tuple[str, int]  # host and port

_BUFFER_BYTES = 65_536  # what of a request can be kept to be sent again, headers and body
_CONNECT_MS = 100  # to a replica next to it; and so long HAProxy waits after a refusal before it tries another one
_LONGEST_SOCKET = 90  # characters of its path: the kernel takes 107, and HAProxy adds some while it starts
_QUOTED = re.compile(r"[\s\"'#\\${}]")


class ProxyMissing(Exception):
    """HAProxy is not installed; the message says how to get it."""


class Replica(NamedTuple):
    """One `serve` process."""

    name: str
    host: str
    port: int


def find_haproxy() -> str:
    """Where the program is. Raises ProxyMissing."""
    found = shutil.which("haproxy") or shutil.which("haproxy", path="/usr/sbin:/usr/local/sbin")
    if found is None:
        raise ProxyMissing("several replicas need HAProxy in front of them, and there is no haproxy on this machine; get it: apt-get install haproxy")
    return found


def haproxy_config(bind: Address, replicas: Sequence[Replica], serving: ServingConfig, stats_socket: Path | None = None) -> str:
    """The whole configuration. It has no secrets: keys are looked at by the replicas. `stats_socket` is as `stats_socket_in` gives it."""
    stats = "" if stats_socket is None else f"\n    stats socket {stats_socket} mode 600 level operator"
    servers = [f"    server {one.name} {_address(one.host, one.port)}" for one in replicas]
    return _CONFIG.format(
        bind=_address(*bind),
        connections=serving.max_connections * len(replicas),
        of_each=serving.max_connections,
        always_feeds=(ALWAYS_FEEDS - 1) * serving.feed_threads,  # and room for what was under way where a replica was killed
        always_batches=ALWAYS_BATCHES,
        connect_ms=_CONNECT_MS,
        stats=stats,
        buffer_bytes=_BUFFER_BYTES,
        request_s=max(serving.head_timeout_s, serving.body_timeout_s),
        shutdown_s=max(1, round(serving.shutdown_s)),
        count=len(replicas),
        shared=_SHARED.format(retries=len(replicas) + 1),
        servers="\n".join(servers),
        tracking="\n".join(f"{server} track replicas/{one.name}" for server, one in zip(servers, replicas, strict=True)),
    )


def stats_socket_in(folder: Path) -> Path | None:
    """Where HAProxy can be asked how it is; None where the path would be too long for a socket, or has characters that it can't be told."""
    path = folder.absolute() / "haproxy.sock"
    return path if len(str(path)) <= _LONGEST_SOCKET and not _QUOTED.search(str(path)) else None


def _address(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


_CONFIG = """\
# Written by `reelrank deploy haproxy`; HAProxy 2.6 or newer.

global
    maxconn {connections}
    no strict-limits  # fewer open files than that are a warning
    nbthread 1  # does tens of thousands of requests a second: the cores are for the replicas
    tune.bufsize {buffer_bytes}  # a request up to this size can be sent again
    hard-stop-after {shutdown_s}s{stats}

defaults
    mode http
    log global
    timeout connect {connect_ms}ms
    timeout client 60s
    timeout server 30s
    timeout queue 1s
    timeout check 2s
    timeout http-request {request_s:g}s  # its body, too: slow senders wait here
    timeout http-keep-alive 75s
    option http-buffer-request
    option splice-auto
    http-error status 502 content-type application/json string '{{"error":"the replica ended while it was answering; send this again"}}' hdr Retry-After 1
    http-error status 503 content-type application/json string '{{"error":"no replica can answer just now; send this again"}}' hdr Retry-After 1
    http-error status 504 content-type application/json string '{{"error":"no replica answered in time; send this again"}}' hdr Retry-After 1

frontend reelrank
    bind {bind}
    # The name and the moment of a request are those of every attempt at it: the replicas make of them one slate with one name.
    unique-id-format %[uuid()]
    http-request set-header X-Request-Id %[unique-id] unless {{ req.hdr(X-Request-Id) -m found }}
    http-request set-header X-Request-Start %[date(0,ms)]
    # Whose replica it is, so that what is known of somebody is warm where they come to. Who names no user comes to the next one.
    http-request set-var(txn.user) url_param(user_id)
    http-request set-var(txn.user) req.hdr(X-Reelrank-User) unless {{ var(txn.user) -m found }}
    # Since one was away, and a little longer, there is too much to do for the others: what they have no room for waits here.
    http-request track-sc0 int(1) table lately_away if {{ nbsrv(replicas) lt {count} }}
    acl lately_away int(1),in_table(lately_away)
    use_backend whoever if {{ nbsrv(replicas) eq 0 }}
    use_backend waiting_feeds if lately_away {{ path /v1/feed }}
    use_backend waiting_events if lately_away {{ path /v1/events }}
    default_backend replicas

backend lately_away
    stick-table type integer size 10 expire 10s

backend replicas
{shared}
    option httpchk GET /-/ready
    http-check expect status 200
    default-server maxconn {of_each} check inter 200ms fastinter 100ms downinter 200ms fall 2 rise 1 observe layer4 error-limit 1 on-error mark-down
{servers}

# Instead of being refused there. This many at a time a replica takes, however long they take.
backend waiting_feeds
{shared}
    timeout queue 5s
    default-server maxconn {always_feeds}
{tracking}

backend waiting_events
{shared}
    timeout queue 5s
    default-server maxconn {always_batches}
{tracking}

# Should all of them seem to be away, they are asked all the same: it may be the checks that are late.
backend whoever
{shared}
    default-server maxconn {of_each}
{servers}
"""

_SHARED = """\
    balance hash var(txn.user)
    hash-type consistent  # one that ends moves its own users only
    # What changes nothing, or is folded once however often it comes, is tried at another replica if one ends before it answers.
    # Answers are passed on, 429 and 503 too: the others have no more room, and a store that is away is away for them as well.
    retries {retries}
    option redispatch 1
    retry-on conn-failure empty-response response-timeout junk-response
    acl repeatable method GET HEAD OPTIONS
    acl repeatable path /v1/events
    http-request disable-l7-retry unless repeatable
    http-request set-timeout server 5s if {{ path /v1/feed }}"""
