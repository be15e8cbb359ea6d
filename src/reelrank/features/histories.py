"""Long histories and sets as few bytes: columns instead of rows, differences instead of values, then zstd; short ones stay as they are.

What is packed depends on the content alone, so that equal content has equal bytes. The first byte says which form follows.
Of a column whose bytes are as good as random (the low bytes of times, rows and differences) zstd would make nothing smaller: they stay outside.
"""

import struct
import threading

import numpy as np
import zstandard
from numpy.typing import NDArray

PLAIN_UP_TO = 1_536  # bytes; most histories are short: they are cheaper to copy than to pack

_PLAIN, _PACKED = b"\0", b"\1"
_HEAD = struct.Struct("<BI")  # form, bytes before packing
_TIME_PLANES = 4  # the high bytes of the moment, kept as differences
# Measured on full histories: these columns repeat nothing worth finding, so that a search for long matches in a table of 64 places
# is 2 µs faster per history than level 1 and its output 5 % smaller; level 9 saves 2 % more and takes three times as long.
_SEARCH = {"strategy": zstandard.STRATEGY_FAST, "min_match": 7, "hash_log": 6, "chain_log": 6, "search_log": 1, "window_log": 15}


class _Codec(threading.local):
    """zstd's contexts, which no two threads may use at once."""

    def __init__(self) -> None:
        parameters = zstandard.ZstdCompressionParameters(
            **_SEARCH, write_content_size=0, write_checksum=0, write_dict_id=0, format=zstandard.FORMAT_ZSTD1_MAGICLESS
        )
        self.compress = zstandard.ZstdCompressor(compression_params=parameters).compress
        self.decompress = zstandard.ZstdDecompressor(format=zstandard.FORMAT_ZSTD1_MAGICLESS).decompress


_codec = _Codec()


class Layout:
    """Entries of `size` bytes that begin with a moment; the columns `noisy` are as good as random, and up to `plain_up_to` bytes nothing is packed."""

    def __init__(self, size: int, noisy: tuple[int, ...], plain_up_to: int = PLAIN_UP_TO) -> None:
        self.size = size
        self.plain_up_to = plain_up_to
        self.noisy = len(noisy)
        self.order = np.array([*noisy, *(place for place in range(size) if place not in noisy)])  # as the columns are stored
        self.inverse = np.argsort(self.order)


def pack_entries(entries: bytes, layout: Layout) -> bytes:
    """Entries as they are stored."""
    if len(entries) <= layout.plain_up_to:
        return _PLAIN + entries if entries else b""
    planes = np.frombuffer(entries, dtype=np.uint8).reshape(-1, layout.size).T[layout.order]  # (size, n)
    times = planes[layout.noisy : layout.noisy + _TIME_PLANES]
    times[:, 1:] -= times[:, :-1]  # modulo 256
    return _packed(planes, len(entries), layout.noisy * planes.shape[1])


def unpack_entries(stored: bytes, layout: Layout) -> bytes:
    """What `pack_entries` was given."""
    if stored[:1] != _PACKED:
        return stored[1:]
    count = _length(stored) // layout.size
    planes = _unpacked(stored, layout.size * count, layout.noisy * count).reshape(layout.size, count)[layout.inverse]
    times = planes[:_TIME_PLANES]
    np.add.accumulate(times, axis=1, out=times)
    return planes.T.tobytes()


def pack_words(words: bytes) -> bytes:
    """Bytes that are mostly ascending little-endian 16-bit words, such as a roaring bitmap, as they are stored."""
    if len(words) <= PLAIN_UP_TO:
        return _PLAIN + words if words else b""
    values = np.frombuffer(words + bytes(len(words) % 2), dtype="<u2")
    differences = values.copy()
    differences[1:] -= values[:-1]  # modulo 65,536
    return _packed(differences.view(np.uint8).reshape(-1, 2).T, len(words), len(values))


def unpack_words(stored: bytes) -> bytes:
    """What `pack_words` was given. Raises ValueError where that can't have made `stored`."""
    if stored[:1] != _PACKED:
        return stored[1:]
    length = _length(stored)
    count = (length + 1) // 2
    planes = _unpacked(stored, 2 * count, count)
    differences = planes[count:].astype("<u2") << 8 | planes[:count]
    words = np.add.accumulate(differences, dtype="<u2").tobytes()
    if any(words[length:]):  # half a word is filled up with a zero
        raise ValueError(f"a history of {length} bytes unpacks to {len(words)}")
    return words[:length]


def _packed(planes: NDArray[np.uint8], length: int, outside: int) -> bytes:
    """Head, the first `outside` bytes as they are, the rest as one frame of zstd."""
    raw = planes.tobytes()
    return _HEAD.pack(1, length) + raw[:outside] + _codec.compress(raw[outside:])


def _unpacked(stored: bytes, total: int, outside: int) -> NDArray[np.uint8]:
    """The `total` bytes of all planes. `outside` of them must be there as they are: broken bytes can't ask for more memory than they are worth."""
    start = _HEAD.size + outside
    if start >= len(stored):
        raise ValueError(f"a history of {total} bytes can't be unpacked from {len(stored)}")
    try:
        rest = _codec.decompress(stored[start:], max_output_size=total - outside)
    except zstandard.ZstdError as problem:
        raise ValueError(f"a history of {total} bytes can't be unpacked: {problem}") from problem
    if outside + len(rest) != total:
        raise ValueError(f"a history of {total} bytes unpacks to {outside + len(rest)}")
    return np.frombuffer(stored[_HEAD.size : start] + rest, dtype=np.uint8)


def _length(stored: bytes) -> int:
    return _HEAD.unpack_from(stored)[1]
