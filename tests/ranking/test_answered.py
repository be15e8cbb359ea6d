from reelrank.ranking.answered import Answered


def test_who_asks_the_same_again_gets_the_same_again():
    answered: Answered[list[int]] = Answered()
    first = [1, 2, 3]
    answered.keep("a", first)
    assert answered.get("a") is first
    assert answered.get("b") is None


def test_only_the_latest_answers_are_kept():
    answered: Answered[int] = Answered(at_most=3)
    for number in range(5):
        answered.keep(str(number), number)
    assert [answered.get(str(number)) for number in range(5)] == [None, None, 2, 3, 4]
