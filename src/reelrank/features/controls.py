"""What users said of their feed by name, as their records keep it: the newest word on each name, in whatever order they come."""

from collections.abc import Iterable

import msgspec

from reelrank.domain.eligibility import normal_language, normal_region
from reelrank.domain.event import Profile
from reelrank.domain.user import Bounds, Wish

KEEP_WISHES = 512  # names of each kind that a user may have had something to say of

StoredWish = tuple[int, int, str, int]  # milliseconds, Wish, name, amount (0 = taken back)


class _StoredBounds(msgspec.Struct, frozen=True, array_like=True):
    age: int | None
    region: str
    languages: tuple[str, ...]


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(_StoredBounds).decode
_MOMENT_BYTES = 6


def merge_wishes(kept: tuple[StoredWish, ...], new: Iterable[StoredWish]) -> tuple[StoredWish, ...]:
    """The newest word on each name, of those of each kind the newest `KEEP_WISHES`, oldest first: no topic pushes out a block."""
    latest: dict[tuple[int, str], StoredWish] = {wish[1:3]: wish for wish in kept}
    for wish in new:
        about = wish[1:3]
        if about not in latest or latest[about] < wish:
            latest[about] = wish
    of_each = ([wish for wish in latest.values() if wish[1] == kind] for kind in Wish)
    return tuple(sorted(wish for of_one in of_each for wish in sorted(of_one)[-KEEP_WISHES:]))


def wished(kept: Iterable[StoredWish], kind: Wish) -> dict[str, int]:
    """What stands of one kind: name -> amount, oldest first."""
    return {name: amount for _, of, name, amount in kept if of == kind and amount}


def bounds_entry(at_ms: int, profile: Profile) -> bytes:
    """A profile as it is kept; of several the largest is the newest."""
    languages = tuple(sorted({normal_language(language) for language in profile.languages}))
    return at_ms.to_bytes(_MOMENT_BYTES, "big") + _encode(_StoredBounds(profile.age, normal_region(profile.region or ""), languages))


def decode_bounds(stored: bytes) -> Bounds:
    """What `bounds_entry` kept; nothing known of who has no profile."""
    if not stored:
        return Bounds()
    told_at = int.from_bytes(stored[:_MOMENT_BYTES], "big") / 1000
    found = _decode(stored[_MOMENT_BYTES:])
    return Bounds(found.age, told_at, found.region, found.languages)
