"""Words: which videos have a word in their caption or tags, as signatures that are compared for many videos at once.

A signature is a blocked Bloom filter (Putze, Sanders, Singler 2007) of a video's terms: each has its bits in one of four
words of 64. It lets hardly any video through that has not got a word, and none is missed; what it lets through is read.
So a thousand captions are searched in some tens of microseconds, and no word has to be known before somebody blocks it.
"""

import re
import unicodedata
from collections.abc import Iterable, Sequence
from functools import lru_cache
from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray

from reelrank.domain.video import Video

WORDS_WIDE = 4  # 64-bit words of a signature
_BITS_PER_TERM = 6
_TERM = re.compile(r"[^\W_]+")
_UNSPACED = re.compile("[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u2e80-\ua4cf\uf900-\ufaff\U00020000-\U0003ffff]")  # scripts without spaces between words

Signatures = NDArray[np.uint64]  # (n, WORDS_WIDE)


def terms(text: str) -> list[str]:
    """The words of a text, folded so that case and width make no difference; where words are not divided by spaces, its characters."""
    folded = unicodedata.normalize("NFKC", text).casefold()
    found = _TERM.findall(folded)
    if not _UNSPACED.search(folded):  # as it is compared: half-width katakana are such a script only once they are folded
        return found
    return [part for term in found for part in (term if _UNSPACED.search(term) else (term,))]


def texts_of(video: Video) -> Iterable[str]:
    """What a video says of itself in words."""
    return (video.caption, *video.tags)


def signature(texts: Iterable[str]) -> list[int]:
    """The signature of all terms of some texts."""
    words = [0] * WORDS_WIDE
    for text in texts:
        for term in terms(text):
            place, bits = _bits(term)
            words[place] |= bits
    return words


@lru_cache(65_536)  # captions use the same words over and over
def _bits(term: str) -> tuple[int, int]:
    """In which word of a signature a term has its bits, and which."""
    hashed = int.from_bytes(blake2b(term.encode(), digest_size=8).digest(), "little")
    return hashed % WORDS_WIDE, sum({1 << (hashed >> 6 * (place + 1) & 63) for place in range(_BITS_PER_TERM)})


class WordSearch:
    """Looks for some words, each one or more terms that stand together."""

    def __init__(self, words: Sequence[str]) -> None:
        wanted = [found for word in words if (found := terms(word))]
        self._single = frozenset(found[0] for found in wanted if len(found) == 1)
        self._phrases = [found for found in wanted if len(found) > 1]
        rarest = [max(map(_bits, found), key=lambda one: one[1].bit_count()) for found in wanted]  # of a phrase one term is enough to look for
        self._places = np.array([place for place, _ in rarest], dtype=np.int64)
        self._bits = np.array([bits for _, bits in rarest], dtype=np.uint64)

    def among(self, signatures: Signatures) -> NDArray[np.int64]:
        """Which of some videos may have one of the words: places, ascending."""
        return np.flatnonzero(((signatures[:, self._places] & self._bits) == self._bits).any(axis=1))

    def found_in(self, texts: Iterable[str]) -> bool:
        """Whether one of the words is in one of the texts."""
        return any(self._found_among(terms(text)) for text in texts)

    def _found_among(self, have: list[str]) -> bool:
        if not self._single.isdisjoint(have):
            return True
        starts = [place for wanted in self._phrases for place, term in enumerate(have) if term == wanted[0]] if self._phrases else []
        return any(have[place : place + len(wanted)] == wanted for wanted in self._phrases for place in starts)
