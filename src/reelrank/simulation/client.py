"""FeedClient: talks to a running Reelrank over its HTTP API, as an app would."""

import gzip
import time
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote, urlencode

import msgspec
import urllib3
from urllib3.util import Retry, Timeout

from reelrank.domain.event import Event

MAX_BATCH = 1_000  # events per request, as many as the collector takes
_GZIP_FROM_BYTES = 4_096

_encoder = msgspec.json.Encoder()


class FeedError(Exception):
    """The service refused, or can't be reached.

    `status` is 0 when there was no answer; `answer` is its JSON, if it was JSON; `retry_after_s` says when to come back, if the service did.
    """

    def __init__(self, message: str, status: int = 0, answer: dict[str, Any] | None = None, retry_after: str | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.answer = answer or {}
        self.retry_after_s = float(retry_after) if retry_after is not None and retry_after.isdecimal() else None


class FeedClient:
    """One client for many threads. A request that got no answer, or was told to come back (408, 429, 503), is sent again as it was.

    Event ids make repeats harmless.
    """

    def __init__(self, url: str = "http://127.0.0.1:8000", timeout_s: float = 10.0, retries: int = 4, connections: int = 8, api_key: str | None = None) -> None:
        self.url = url.rstrip("/")
        self._key = {} if api_key is None else {"Authorization": f"Bearer {api_key}"}
        # 0.1 s, 0.2 s, 0.4 s … between the attempts, or what Retry-After says
        self._retry = Retry(total=retries, status_forcelist={408, 429, 503}, allowed_methods=None, backoff_factor=0.1, raise_on_status=False, redirect=0)
        self._pool = urllib3.PoolManager(maxsize=connections, timeout=Timeout(connect=min(timeout_s, 3.0), read=timeout_s))

    def feed(self, user_id: str, count: int = 10, **context: object) -> dict[str, Any]:
        """A slate for a user. `context` are the feed's other parameters: surface, device, place, network, bandwidth_kbps, local_hour, …"""
        asked = {"user_id": user_id, "count": count, **{name: value for name, value in context.items() if value is not None}}
        return self._json("GET", "/v1/feed?" + urlencode({name: str(value) for name, value in asked.items()}))

    def post_events(self, events: Sequence[Event]) -> dict[str, Any]:
        """Posts events in their order, in batches of at most MAX_BATCH, and adds the answers up; `index` counts over all of them."""
        accepted = repeated = 0
        refused: list[dict[str, Any]] = []
        offsets: dict[str, int] = {}
        for start in range(0, len(events), MAX_BATCH):
            answer = self.post_raw(_encoder.encode(events[start : start + MAX_BATCH]))
            accepted += answer.get("accepted", 0)
            repeated += answer.get("repeated", 0)
            refused += [{**event, "index": event["index"] + start} for event in answer.get("refused", ())]
            offsets |= answer.get("offsets", {})  # those of a later batch lie further on
        return {"accepted": accepted, "repeated": repeated, "refused": refused, "offsets": offsets}

    def post_raw(self, body: bytes, headers: Mapping[str, str] | None = None) -> dict[str, Any]:
        """Posts a body of events as it is; a large one compressed, unless `headers` say how it is encoded."""
        sent = {"Content-Type": "application/json", **(headers or {})}
        if len(body) >= _GZIP_FROM_BYTES and not any(name.lower() == "content-encoding" for name in sent):
            body, sent["Content-Encoding"] = gzip.compress(body, compresslevel=1), "gzip"
        return self._json("POST", "/v1/events", body, sent)

    def video(self, video_id: str) -> dict[str, Any]:
        """What is known of a video, with its counters."""
        return self._json("GET", f"/v1/videos/{quote(video_id, safe='')}")

    def knows(self, video_id: str) -> bool:
        """Whether the catalogue has a video."""
        try:
            self.video(video_id)
        except FeedError as problem:
            if problem.status == 404:
                return False
            raise
        return True

    def media(self, media_url: str, headers: Mapping[str, str] | None = None) -> urllib3.BaseHTTPResponse:
        """The answer for a video's file, at the `media_url` that a feed gave; the file is its `data`."""
        return self._request("GET", media_url, None, headers or {})

    def why(self, request_id: str) -> dict[str, Any]:
        """How a slate came about."""
        return self._json("GET", f"/v1/why/{quote(request_id, safe='')}")

    def ready(self) -> bool:
        """Whether the service answers and says that it can serve."""
        try:
            return self._pool.request("GET", f"{self.url}/-/ready", retries=False).status == 200
        except urllib3.exceptions.HTTPError:
            return False

    def wait_ready(self, timeout_s: float = 30.0) -> None:
        """Returns as soon as the service is ready. Raises FeedError if it isn't within `timeout_s`."""
        deadline = time.monotonic() + timeout_s
        while not self.ready():
            if time.monotonic() >= deadline:
                raise FeedError(f"{self.url} was not ready within {timeout_s:g} s; is `reelrank serve` running there?")
            time.sleep(0.05)

    def close(self) -> None:
        """Closes the connections."""
        self._pool.clear()

    def __enter__(self) -> "FeedClient":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _request(self, method: str, path: str, body: bytes | None, headers: Mapping[str, str]) -> urllib3.BaseHTTPResponse:
        try:
            return self._pool.request(method, self.url + path, body=body, headers={**self._key, **headers}, retries=self._retry)
        except urllib3.exceptions.HTTPError as error:
            raise FeedError(f"{method} {self.url}{path} got no answer ({error}); is `reelrank serve` running there?") from error

    def _json(self, method: str, path: str, body: bytes | None = None, headers: Mapping[str, str] | None = None) -> dict[str, Any]:
        response = self._request(method, path, body, headers or {})
        try:
            answer = msgspec.json.decode(response.data)
        except msgspec.DecodeError as error:
            raise FeedError(f"{method} {self.url}{path} answered {response.status} and no JSON; is that a Reelrank?", response.status) from error
        if not isinstance(answer, dict):
            raise FeedError(f"{method} {self.url}{path} answered {response.status} and no JSON object; is that a Reelrank?", response.status)
        if response.status >= 400:
            reasons = answer.get("error") or answer.get("refused") or "no reason given"
            raise FeedError(f"{method} {self.url}{path} answered {response.status}: {reasons}", response.status, answer, response.headers.get("Retry-After"))
        return answer
