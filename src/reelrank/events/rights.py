"""Who may send what: slates vouch for events by their names, and what no slate of ours vouches for takes a right."""

import hmac
from functools import lru_cache
from typing import NamedTuple

from reelrank.domain.event import Profile, Served, VideoPublished, VideoRemoved
from reelrank.events.validation import Decoded, Refused, quoted, refuse

_MAC_BYTES = 12  # 96 bits: nobody meets them by trying, and a name stays short
_REMEMBERED = 16_384  # names that were looked at lately: the events of a visit name the same few slates
_OF_THE_CATALOGUE = frozenset({VideoPublished, VideoRemoved})
_NEVER_VOUCHED_FOR = frozenset({Served, Profile})  # a slate can't vouch for itself, nor for how old somebody is


class Rights(NamedTuple):
    """What the sender of a batch may do besides telling what people did with the slates they were served."""

    publish: bool = True  # change the catalogue
    bring_in: bool = True  # tell what happened elsewhere


ALL_RIGHTS = Rights()


def slate_mac(secret: bytes, user_id: str, name: str) -> str:
    """What a slate's name ends with, so that only we can make one and only for that user."""
    return hmac.digest(secret, f"{name}\n{user_id}".encode(), "sha256")[:_MAC_BYTES].hex()


class SlateVerifier:
    """Tells whether a slate was served to a user, by its name alone: no look-up, and as good in every replica."""

    def __init__(self, secret: bytes) -> None:
        self._secret = secret
        self.vouches = lru_cache(_REMEMBERED)(self._vouches)

    def _vouches(self, user_id: str, request_id: str) -> bool:
        name, _, mac = request_id.rpartition("-")
        return mac.isascii() and hmac.compare_digest(slate_mac(self._secret, user_id, name), mac)


def admitted(events: list[Decoded], refused: list[Refused], rights: Rights, slates: SlateVerifier) -> tuple[list[Decoded], frozenset[int]]:
    """The events that their sender may send, and the places of those among them that were brought in: no slate of ours vouches for them.

    The others are added to `refused`.
    """
    vouches = slates.vouches
    brought_in = [
        decoded
        for decoded in events
        if type(decoded.event) not in _OF_THE_CATALOGUE
        and (type(decoded.event) in _NEVER_VOUCHED_FOR or not vouches(decoded.event.user_id, decoded.event.request_id))  # pyright: ignore[reportAttributeAccessIssue]
    ]
    kept_out = [] if rights.bring_in else [_refused(decoded) for decoded in brought_in]
    if not rights.publish:
        kept_out += [
            refuse(decoded, "publishing and removing videos takes a key with the scope videos:write", "scope")
            for decoded in events
            if type(decoded.event) in _OF_THE_CATALOGUE
        ]
    if kept_out:
        refused += kept_out
        out = {one.index for one in kept_out}
        events = [decoded for decoded in events if decoded.index not in out]
    return events, frozenset(decoded.index for decoded in brought_in) if rights.bring_in and brought_in else frozenset()


def _refused(decoded: Decoded) -> Refused:
    event = decoded.event
    assert not isinstance(event, VideoPublished | VideoRemoved)
    if isinstance(event, Served):
        return refuse(decoded, "slates of other policies take a key with the scope events:import", "scope")
    if isinstance(event, Profile):
        return refuse(decoded, "what decides which videos somebody may be shown takes a key with the scope events:import", "scope")
    if not event.request_id:
        reason = "it names no slate; take request_id from the answer of /v1/feed (what happened elsewhere takes a key with the scope events:import)"
    else:
        reason = f"slate {quoted(event.request_id)} was not served to {quoted(event.user_id)}; take request_id from the answer of /v1/feed for this user"
    return refuse(decoded, reason, "slate")
