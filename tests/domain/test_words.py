"""Blocked words: what is found in which texts, by signature and by reading."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reelrank.domain.words import WORDS_WIDE, WordSearch, signature, terms


@pytest.mark.parametrize(
    ("word", "text", "found"),
    [
        ("crypto", "Crypto for beginners", True),
        ("crypto", "cryptography", False),  # whole words
        ("CRYPTO", "#crypto_bro", True),  # what joins words in a tag divides them
        ("ｃｒｙｐｔｏ", "crypto", True),  # whatever their width
        ("make money", "how to make more money", False),
        ("make money", "Make  money, fast", True),
        ("straße", "STRASSE", True),
        ("猫", "我爱猫猫", True),  # no spaces between words
        ("爱猫", "我爱猫猫", True),
        ("猫爱", "我爱猫猫", False),
        ("ﾈｺ", "かわいいネコ", True),  # a narrow form of such a script
    ],
)
def test_a_word_is_found_as_a_whole_and_a_phrase_where_it_stands_together(word: str, text: str, found: bool) -> None:
    assert WordSearch([word]).found_in([text]) is found
    if found:
        assert WordSearch([word]).among(np.array([signature([text])], dtype=np.uint64)).tolist() == [0]


@settings(max_examples=100)
@given(st.lists(st.text(max_size=12), max_size=6), st.text(max_size=12))
def test_a_signature_never_misses_a_word_that_is_there(texts: list[str], word: str) -> None:
    search = WordSearch([word])
    signatures = np.array([signature([text]) for text in texts], dtype=np.uint64).reshape(-1, WORDS_WIDE)
    having = {place for place, text in enumerate(texts) if search.found_in([text])}
    assert having <= set(search.among(signatures).tolist())


def test_hardly_any_caption_has_to_be_read_for_a_word_that_it_has_not_got() -> None:
    rng = np.random.default_rng(0)
    captions = [" ".join(f"word{number}" for number in rng.integers(50_000, size=12)) for _ in range(1_000)]
    signatures = np.array([signature([caption]) for caption in captions], dtype=np.uint64)
    assert len(WordSearch(["spoiler"]).among(signatures)) < 5


def test_a_text_without_letters_has_no_terms() -> None:
    assert terms("!!! … ♥") == []
    assert not WordSearch(["!!!"]).found_in(["!!!"])
