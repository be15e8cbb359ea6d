from conftest import NOW
from reelrank.ranking.answered import Answered


def test_who_asks_the_same_again_gets_the_same_again():
    answered: Answered[list[int]] = Answered()
    first = [1, 2, 3]
    answered.keep("a", first, NOW)
    assert answered.get("a") is first
    assert answered.get("b") is None


def test_only_the_latest_answers_are_kept():
    answered: Answered[int] = Answered(at_most=3)
    for number in range(5):
        answered.keep(str(number), number, NOW)
    assert [answered.get(str(number)) for number in range(5)] == [None, None, 2, 3, 4]


def test_what_nobody_can_ask_for_again_takes_no_memory():
    answered: Answered[int] = Answered()
    for second in range(200):
        answered.keep(str(second), second, NOW + second)
    assert len(answered) == 60
    assert answered.get("139") is None
    assert answered.get("140") == 140
