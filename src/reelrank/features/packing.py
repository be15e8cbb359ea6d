"""Packs records of counters: two bits say how many bytes each number takes, and most take none."""

from collections.abc import Sequence

import numpy as np

from reelrank.features.windows import RINGS, WIDTH, Counters

_NUMBERS = WIDTH - len(RINGS)  # the newest buckets of all rings follow from that of the first
_CODED = -(-_NUMBERS // 4)  # bytes of codes: four to a byte
_HEAD = 4 + _CODED
_BYTES = np.array([0, 1, 2, 4], dtype=np.uint8)  # what a number with each code takes
_CODES = np.array([[byte >> shift & 3 for shift in (0, 2, 4, 6)] for byte in range(256)], dtype=np.uint8)  # (256, 4)
_UNUSED = np.array([32, 24, 16, 0, 0], dtype=np.int32)  # bits of four bytes that a number of so many bytes leaves
_RATIOS = np.array([seconds // RINGS[0][0] for seconds, _ in RINGS])  # buckets of the first ring in one of each
_ROOM = 4  # bytes read beyond the last number, so that each can be read as if it took four


def pack(state: Counters) -> list[bytes]:
    """Records (n, WIDTH) as bytes: about 120 for a video that few have seen, about 400 for one that is always watched."""
    if len(state) == 0:
        return []
    numbers = np.zeros((len(state), 4 * _CODED), dtype="<i4")
    numbers[:, :_NUMBERS] = state[:, len(RINGS) :]
    codes = np.zeros(numbers.shape, dtype=np.uint8)
    codes[numbers != 0] = 1
    large = np.flatnonzero((numbers < -128) | (numbers > 127))
    values = numbers.ravel()[large]
    codes.ravel()[large] = np.where((values < -32_768) | (values > 32_767), 3, 2)
    head = np.empty((len(state), _HEAD), dtype=np.uint8)
    head[:, :4] = state[:, :1].astype("<i4").view(np.uint8)
    quads = codes.reshape(len(state), _CODED, 4)
    head[:, 4:] = quads[:, :, 0] | quads[:, :, 1] << 2 | quads[:, :, 2] << 4 | quads[:, :, 3] << 6
    present = np.flatnonzero(codes)
    sizes = _BYTES[codes.ravel()[present]]
    tail = numbers.ravel()[present, None].view(np.uint8)[np.arange(4) < sizes[:, None]].tobytes()
    ends = np.cumsum(_BYTES[codes].sum(axis=1, dtype=np.int64)).tolist()
    heads = head.tobytes()
    return [heads[at * _HEAD : (at + 1) * _HEAD] + tail[start:end] for at, (start, end) in enumerate(zip([0, *ends[:-1]], ends, strict=True))]


def unpack(records: Sequence[bytes], numbers: int = WIDTH) -> Counters:
    """What `pack` packed, or only its first `numbers`: (n, numbers); zeros for an empty record. Work for what is there: most numbers are 0."""
    coded = -(-(numbers - len(RINGS)) // 4)
    state = np.zeros((len(records), len(RINGS) + 4 * coded), dtype=np.int32)
    places = [place for place, record in enumerate(records) if record]
    if not places:
        return state[:, :numbers]
    stored = records if len(places) == len(records) else [records[place] for place in places]
    sizes = np.array([len(record) for record in stored])
    raw = np.frombuffer(b"".join([*stored, bytes(_ROOM)]), dtype=np.uint8)
    starts = np.cumsum(sizes) - sizes
    heads = np.ndarray((len(raw) - 4 - coded + 1, 4 + coded), dtype=np.uint8, buffer=raw, strides=(1, 1))[starts]
    bytes_of_codes = heads[:, 4:].ravel()
    filled = np.flatnonzero(bytes_of_codes)
    codes = _CODES[bytes_of_codes[filled]].ravel()
    present = np.flatnonzero(codes)
    lengths = _BYTES[codes[present]].astype(np.int64)
    fours = filled[present >> 2]
    of = fours // coded  # whose number each is: (k,)
    ends = np.cumsum(lengths)
    before = np.concatenate([[0], ends])[np.searchsorted(of, np.arange(len(starts)))]  # what the numbers of the records before take
    at = ends - lengths + (starts + _HEAD - before)[of]
    quads = np.ndarray(len(raw) - _ROOM + 1, dtype="<i4", buffer=raw, strides=(1,))[at]
    unused = _UNUSED[lengths]
    chosen = np.arange(len(records)) if len(places) == len(records) else np.array(places)
    newest = heads[:, :4].copy().view("<i4").astype(np.int64)  # (m, 1)
    state[chosen, : len(RINGS)] = newest // _RATIOS
    state[chosen[of], len(RINGS) + 4 * (fours - of * coded) + (present & 3)] = quads << unused >> unused  # the sign comes back with the shift
    return state[:, :numbers]
