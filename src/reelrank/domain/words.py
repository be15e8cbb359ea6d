"""Words: which videos have a word in their caption or tags, as signatures that are compared for many videos at once.

A signature is a Bloom filter (Bloom 1970) of a video's terms in 128 bits. It lets hardly any video through that has not
got a word, and none is missed; what it lets through is looked at as text. So a thousand captions are searched in some
tens of microseconds, and no word has to be known before somebody blocks it.
"""

import re
import unicodedata
from collections.abc import Iterable, Sequence
from functools import lru_cache
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from reelrank.domain.video import Video

WORDS_WIDE = 2  # 64-bit words of a signature
_BITS_PER_TERM = 3
_TERM = re.compile(r"[^\W_]+")
_UNSPACED = re.compile("[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u2e80-\ua4cf\uf900-\ufaff\U00020000-\U0003ffff]")  # scripts without spaces between words

Signatures = NDArray[np.uint64]  # (n, WORDS_WIDE)


def terms(text: str) -> list[str]:
    """The words of a text, folded so that case and width make no difference; where words are not divided by spaces, its characters."""
    found = _TERM.findall(unicodedata.normalize("NFKC", text).casefold())
    if not _UNSPACED.search(text):
        return found
    return [part for term in found for part in (term if _UNSPACED.search(term) else (term,))]


def texts_of(video: Video) -> Iterable[str]:
    """What a video says of itself in words."""
    return (video.caption, *video.tags)


def signature(texts: Iterable[str]) -> tuple[int, ...]:
    """The signature of all terms of some texts."""
    bits = 0
    for text in texts:
        for term in terms(text):
            bits |= _bits(term)
    return bits & 0xFFFFFFFFFFFFFFFF, bits >> 64


@lru_cache(65_536)  # captions use the same words over and over
def _bits(term: str) -> int:
    hashed = crc32(term.encode())
    return sum({1 << (hashed >> 7 * place & 127) for place in range(_BITS_PER_TERM)})


class WordSearch:
    """Looks for some words, each one or more terms that stand together."""

    def __init__(self, words: Sequence[str]) -> None:
        self._wanted = [found for word in words if (found := terms(word))]
        self._masks = [np.array(signature([" ".join(found)]), dtype=np.uint64) for found in self._wanted]

    def among(self, signatures: Signatures) -> NDArray[np.int64]:
        """Which of some videos may have one of the words: places, ascending."""
        may = np.zeros(len(signatures), dtype=np.bool_)
        for mask in self._masks:
            may |= ((signatures & mask) == mask).all(axis=1)
        return np.flatnonzero(may)

    def found_in(self, texts: Iterable[str]) -> bool:
        """Whether one of the words is in one of the texts."""
        for text in texts:
            have = terms(text)
            for wanted in self._wanted:
                if any(have[place : place + len(wanted)] == wanted for place in range(len(have) - len(wanted) + 1)):
                    return True
        return False
