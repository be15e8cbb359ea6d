"""Who is asking: API keys, what each may do, and signed addresses for files that a player fetches by itself."""

import asyncio
import hmac
import ipaddress
import logging
import threading
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from concurrent.futures import Future, ThreadPoolExecutor

from starlette.requests import Request
from starlette.responses import Response

from reelrank.domain.clock import Clock
from reelrank.events.rights import ALL_RIGHTS, Rights
from reelrank.serving.answers import Refuse
from reelrank.serving.telemetry import Metrics
from reelrank.storage.event_log import StorageError
from reelrank.storage.keys import Key, Keys, digest_of

logger = logging.getLogger(__name__)

REFRESH_S = 2.0  # how often the keys in use are looked up again: a revoked one is at an end within 5 s
_USED_EVERY_S = 60.0
_KEPT_KEYS, _KEPT_UNKNOWN = 10_000, 4_096
_UNKNOWN_FOR_S = 2.0  # what was no key just now is not looked up again
_MAX_KEY_CHARS = 256
_MAX_LOOKUPS = 64  # that wait at a time
_MEDIA_S = 6 * 3600  # a file can be fetched for that long, up to twice as long: addresses change rarely, so that browsers keep files

Endpoint = Callable[[Request], Awaitable[Response]]


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach what listens there."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def rights_of(request: Request) -> Rights:
    """What the sender of a request may post."""
    return getattr(request.state, "rights", ALL_RIGHTS)


def sender_of(request: Request) -> str:
    """Who sent a request, as audits name them."""
    return getattr(request.state, "sender", "somebody on this machine")


class Authenticator:
    """Lets requests in by their key. A key in use is known here: no request waits for the database, and none fails while it is away."""

    def __init__(self, keys: Keys, clock: Clock, metrics: Metrics) -> None:
        self._keys = keys
        self._clock = clock
        self._refused = metrics.unauthorized
        self._known: OrderedDict[bytes, Key] = OrderedDict()  # by digest, in the order in which they came
        self._unknown: OrderedDict[bytes, float] = OrderedDict()  # digest -> until when it counts as none
        self._looked_up: dict[bytes, Future[Key | None]] = {}
        self._lock = threading.Lock()
        self._threads = ThreadPoolExecutor(2, thread_name_prefix="keys")
        self._used: set[str] = set()
        self._told_used_at = clock.now()

    def needs(self, scope: str, endpoint: Endpoint) -> Endpoint:
        """The endpoint for those who have a key with this scope."""

        async def guarded(request: Request) -> Response:
            key = await self._admit(request, scope)
            request.state.rights = Rights(publish=key.allows("videos:write"), bring_in=key.allows("events:import"))
            request.state.sender = f"{key.name} ({key.key_id})"
            return await endpoint(request)

        return guarded

    async def _admit(self, request: Request, scope: str) -> Key:
        secret = _given(request)
        if secret is None:
            self._refused.labels("missing").inc()
            raise Refuse(401, "a key is missing; send it as `Authorization: Bearer KEY` (`reelrank keys create` makes one)", _challenge())
        digest = digest_of(secret)
        key = self._known.get(digest) or await self._look_up(digest)
        if key is None:
            self._refused.labels("unknown").inc()
            raise Refuse(401, "this is no key, or it was revoked; `reelrank keys list` shows the keys there are", _challenge('error="invalid_token"'))
        self._used.add(key.key_id)
        if not key.allows(scope):
            self._refused.labels("scope").inc()
            problem = f'error="insufficient_scope", scope="{scope}"'
            raise Refuse(403, f"the key {key.key_id} lacks the scope {scope}; it has {', '.join(key.scopes)}", _challenge(problem))
        return key

    async def _look_up(self, digest: bytes) -> Key | None:
        """Asks the database, once for all who wait for the same key."""
        until = self._unknown.get(digest)
        if until is not None and until > asyncio.get_running_loop().time():
            return None
        looked_up = self._looked_up.get(digest)
        if looked_up is None:
            if len(self._looked_up) >= _MAX_LOOKUPS:
                self._refused.labels("away").inc()
                raise Refuse(503, "too many unknown keys are being looked up; send this again in a second", {"Retry-After": "1"})
            looked_up = self._looked_up[digest] = self._threads.submit(self._find, digest)
            looked_up.add_done_callback(lambda _: self._looked_up.pop(digest, None))
        try:
            key = await asyncio.shield(asyncio.wrap_future(looked_up))
        except StorageError as problem:
            self._refused.labels("away").inc()
            logger.warning("a key could not be looked up: %s", problem)
            raise Refuse(503, "keys that were not used lately can't be checked just now; send this again in a few seconds", {"Retry-After": "2"}) from None
        if key is None:
            self._unknown[digest] = asyncio.get_running_loop().time() + _UNKNOWN_FOR_S
            if len(self._unknown) > _KEPT_UNKNOWN:
                self._unknown.popitem(last=False)
        return key

    def _find(self, digest: bytes) -> Key | None:
        key = self._keys.find([digest]).get(digest)
        if key is not None:
            with self._lock:
                self._known[digest] = key
                if len(self._known) > _KEPT_KEYS:
                    self._known.popitem(last=False)
        return key

    def refresh(self) -> None:
        """Looks up the keys in use again, and remembers that they were used. Raises StorageError: then they stay as they were."""
        with self._lock:
            digests = list(self._known)
        live = self._keys.find(digests) if digests else {}
        with self._lock:
            for digest in digests:
                if digest in live:
                    self._known[digest] = live[digest]
                else:
                    self._known.pop(digest, None)
        now = self._clock.now()
        if self._used and not 0 <= now - self._told_used_at < _USED_EVERY_S:
            used, self._used = self._used, set()
            self._keys.used(used, now)
            self._told_used_at = now

    def close(self) -> None:
        """Ends the threads."""
        self._threads.shutdown(wait=False, cancel_futures=True)


class MediaSigner:
    """Signs the addresses of files for a few hours: a player fetches them by itself, and can't be made to send a key along."""

    def __init__(self, secret: bytes, clock: Clock) -> None:
        self._secret = secret
        self._clock = clock

    def signed(self, video_id: str, url: str) -> str:
        """The address with its signature."""
        until = (int(self._clock.now()) // _MEDIA_S + 2) * _MEDIA_S
        return f"{url}{'&' if '?' in url else '?'}until={until}&sign={self._sign(video_id, until)}"

    def check(self, video_id: str, until: int, sign: str) -> None:
        """Raises Refuse when this is not signed by us, or not for now."""
        if not (sign.isascii() and hmac.compare_digest(self._sign(video_id, until), sign)):
            raise Refuse(403, "this address was not signed here; take media_url from the answer of /v1/feed")
        if until < self._clock.now():
            raise Refuse(403, "this address is too old; take a new media_url from the answer of /v1/feed")

    def _sign(self, video_id: str, until: int) -> str:
        return hmac.digest(self._secret, f"{until}\n{video_id}".encode(), "sha256")[:16].hex()


def _given(request: Request) -> str | None:
    """The key that a request brings along."""
    scheme, _, secret = request.headers.get("authorization", "").strip().partition(" ")
    if scheme.lower() != "bearer":
        secret = request.headers.get("x-api-key", "")
    secret = secret.strip()
    return secret if 0 < len(secret) <= _MAX_KEY_CHARS else None


def _challenge(problem: str = "") -> dict[str, str]:
    return {"WWW-Authenticate": f'Bearer realm="reelrank"{", " if problem else ""}{problem}'}
