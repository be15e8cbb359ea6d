"""Business rules: which can be, and when and where they hold."""

import pytest

from reelrank.domain.rule import Rule, RuleDraft, RuleProblem, check


@pytest.mark.parametrize(
    ("draft", "reason"),
    [
        ({"action": "pin", "target": "tag"}, "a tag can't be the target of pin; it takes video"),
        ({"action": "mute", "target": "video"}, "it takes tag or sound"),
        ({"action": "boost", "target": "tag"}, "a boost by 1 changes nothing"),
        ({"action": "hide", "target": "video", "times": 2.0}, "hide has none; only a boost has"),
        ({"action": "hide", "target": "video", "position": 2}, "hide has none; only a pin has"),
        ({"action": "expire", "target": "video", "ends_at": 9.0}, "what expires does not come back"),
        ({"action": "hide", "target": "video", "begins_at": 9.0, "ends_at": 9.0}, "would end at 9, before it begins at 9"),
        ({"action": "hide", "target": "video", "name": "a\x1b[31m"}, "can't be printed"),
    ],
)
def test_what_can_not_be_a_rule_is_told(draft: dict[str, object], reason: str) -> None:
    with pytest.raises(RuleProblem, match=reason):
        check(RuleDraft(**{"name": "x", **draft}))


def test_a_rule_holds_from_its_beginning_to_just_before_its_end() -> None:
    rule = Rule(action="mute", target="tag", name="x", begins_at=10.0, ends_at=20.0, rule_id="r", made_at=0.0, made_by="me")
    assert [rule.holds_at(now) for now in (9.9, 10.0, 19.9, 20.0)] == [False, True, True, False]
