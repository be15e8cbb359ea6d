"""POST /v1/events: reads a batch within its limits and answers once every accepted event is durable."""

import asyncio
import logging
import zlib
from collections.abc import Sequence

import msgspec
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from reelrank.domain.event import Served
from reelrank.events.collector import Prepared, Receipt, Refusal
from reelrank.events.rights import Rights
from reelrank.events.validation import Batch, Decoded, TooManyEvents, UnreadableBody, decode_batch, refuse
from reelrank.features.definitions import FEATURES
from reelrank.serving.admission import RETRY, Door
from reelrank.serving.answers import ErrorAnswer, Refuse, answer
from reelrank.serving.auth import rights_of
from reelrank.serving.event_queue import EventQueue
from reelrank.serving.services import Services
from reelrank.storage.event_log import StorageError

logger = logging.getLogger(__name__)

ELSEWHERE = {"cross-site", "same-site"}  # what browsers say of requests that another site's page makes them send

_MAX_MEMBERS = 1_000  # of a gzip body: each costs time, and 20 bytes are enough to make one
_PIECE_BYTES = 65_536  # of a gzip body, unpacked at a time: what follows a member is copied
_DRAINED_BODIES = 4  # of a body that is too large, so many times the limit are still taken from the wire, so that the client reads the answer


class NoneAccepted(msgspec.Struct, frozen=True):
    """The receipt of a batch that can't be read, or has not a single good event."""

    error: str
    accepted: int = 0
    repeated: int = 0
    refused: tuple[Refusal, ...] = ()


class EventsApi:
    """The collector's door."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._config = services.config
        self._door = services.event_door
        self._queue = EventQueue(self._prepare, services.collector.commit, services.event_threads, services.config.event_threads)

    async def post(self, request: Request) -> Response:
        """Takes a batch of events."""
        if self._services.authenticator is None and request.headers.get("sec-fetch-site") in ELSEWHERE:
            raise Refuse(403, "another site's page sent this; where no key is asked for only pages of this address may", {"Connection": "close"})
        encoding = request.headers.get("content-encoding", "identity").strip().lower()
        if encoding not in {"gzip", "x-gzip", "identity", ""}:
            raise Refuse(415, f"the body is encoded as {encoding!r}; send it plain or with Content-Encoding: gzip", {"Connection": "close"})
        compressed = "gzip" in encoding
        limit = self._config.max_compressed_bytes if compressed else self._config.max_body_bytes
        held = _Held(self._door, min(limit, int(request.headers.get("content-length", 0))))
        try:
            body = await self._body(request, limit, held)
            self._door.check()  # others may have come in while this one was still arriving
            receipt = await self._durable(body, compressed, rights_of(request))
        except TooManyEvents as problem:
            raise Refuse(413, str(problem)) from None
        except UnreadableBody as problem:
            return answer(NoneAccepted(str(problem)), _unreadable_status(request))
        except StorageError as problem:
            logger.error("a batch was not written: %s", problem)
            return answer(ErrorAnswer("the events could not be made durable and none was accepted; send them again in a second"), 503, RETRY)
        finally:
            held.release()
        if receipt.accepted:
            return answer(receipt, 202)
        error = f"none of the {len(receipt.refused)} events was accepted; `refused` says why"
        return answer(NoneAccepted(error, 0, receipt.repeated, receipt.refused), 400)

    async def _body(self, request: Request, limit: int, held: "_Held") -> bytes:
        chunks: list[bytes] = []
        received = 0
        try:
            async with asyncio.timeout(self._config.body_timeout_s):
                async for chunk in request.stream():
                    received += len(chunk)
                    if received <= limit:
                        held.at_least(received)
                        chunks.append(chunk)
                    elif received > _DRAINED_BODIES * limit:
                        break
        except ClientDisconnect:
            raise Refuse(400, "the connection closed before the whole body was there") from None
        except TimeoutError:
            within_s = self._config.body_timeout_s
            raise Refuse(408, f"the body was not there within {within_s:g} s; send the events in smaller batches", {"Connection": "close"}) from None
        if received > limit:
            raise Refuse(413, f"the body has more than {limit:,} bytes; send the events as several batches", {"Connection": "close"})
        return b"".join(chunks)

    async def _durable(self, body: bytes, compressed: bool, rights: Rights) -> Receipt:
        size = len(body)
        self._door.begin(size)
        try:
            return await self._queue.put(body, compressed, rights)
        finally:
            self._door.finish(size)

    def _prepare(self, body: bytes, compressed: bool, rights: Rights) -> tuple[Prepared, int]:
        """What a thread does with a batch before it is written: unpack, decode, check, complete."""
        if compressed:
            body = unpacked(body, self._config.max_body_bytes)
        return self._services.collector.prepare(_with_right_features(decode_batch(body)), self._complete, rights), len(body)

    def _complete(self, slates: Sequence[Served], moments: Sequence[float]) -> list[Served]:
        """Slates of other policies as this feed would have seen them; those with features stay as they are."""
        completed = list(slates)
        bare = [place for place, slate in enumerate(slates) if not slate.videos[0].features]
        try:
            scored = self._services.feed.score_shown([slates[place] for place in bare], [moments[place] for place in bare])
        except Exception:
            self._services.metrics.unscored_slates.inc(len(bare))
            logger.exception("%d slates are recorded without features", len(bare))
            return completed
        for place, slate in zip(bare, scored, strict=True):
            completed[place] = slate
        return completed


class _Held:
    """The bytes of one body that a door has room for, until they are released."""

    def __init__(self, door: Door, size: int) -> None:
        self._door = door
        self._size = 0
        self.at_least(size)

    def at_least(self, size: int) -> None:
        """Makes room for so many bytes in all: a body in chunks does not say beforehand how many there are. Raises Refuse."""
        if size > self._size:
            self._door.hold(size - self._size)
            self._size = size

    def release(self) -> None:
        self._door.release(self._size)


def _with_right_features(batch: Batch) -> Batch:
    """Refuses slates whose features can't be told apart."""
    if not any(type(decoded.event) is Served for decoded in batch.events):
        return batch
    good: list[Decoded] = []
    for decoded in batch.events:
        event = decoded.event
        if isinstance(event, Served) and (widths := {len(shown.features) for shown in event.videos}) not in ({0}, {len(FEATURES)}):
            reason = f"its videos have {sorted(widths)} features; give each of them all {len(FEATURES)}, as in features/definitions.py, or none at all"
            batch.refused.append(refuse(decoded, reason, "content"))
        else:
            good.append(decoded)
    return Batch(good, batch.refused)


def unpacked(body: bytes, limit: int) -> bytes:
    """A gzip body of one or more members, of which no more than `limit` bytes are ever unpacked."""
    parts: list[bytes] = []
    room, at, members = limit + 1, 0, 0
    packed = memoryview(body)
    while at < len(packed) and room > 0:
        members += 1
        if members > _MAX_MEMBERS:
            raise UnreadableBody(f"the gzip of the body has more than {_MAX_MEMBERS:,} members; compress the batch as one")
        stream = zlib.decompressobj(16 + zlib.MAX_WBITS)
        while at < len(packed) and room > 0 and not stream.eof:
            piece = packed[at : at + _PIECE_BYTES]
            try:
                part = stream.decompress(piece, room)
            except zlib.error as problem:
                raise UnreadableBody(f"the body is no gzip, as its Content-Encoding says: {problem}") from None
            at += len(piece) - len(stream.unused_data)
            room -= len(part)
            parts.append(part)
        if room > 0 and not stream.eof:
            raise UnreadableBody("the gzip of the body ends too early; send it whole")
    if room <= 0:
        raise TooManyEvents(f"the body has more than {limit:,} bytes once it is unpacked; send the events as several batches")
    return b"".join(parts)


def _unreadable_status(request: Request) -> int:
    """A body that can't be read and does not even claim to be JSON has the wrong type."""
    content_type = request.headers.get("content-type", "application/json").partition(";")[0].strip().lower()
    return 400 if "json" in content_type or content_type in {"", "text/plain"} else 415
