"""Pinned videos are proposed where the user is, as long as they have not seen them."""

from collections.abc import Callable

from conftest import NOW
from reelrank.candidates.pinned import PinnedSource
from reelrank.domain.event import Context
from reelrank.domain.rule import Rule
from reelrank.features.rule_book import RuleBook
from reelrank.feed import FeedRequest
from reelrank.wiring import Reelrank
from small_feed import SmallApp


def test_what_is_pinned_here_and_was_not_seen_is_proposed_once(open_system: Callable[..., Reelrank]) -> None:
    app = SmallApp(open_system)
    book = RuleBook(None, app.system.columns)
    pins = [("v1", None), ("v2", "PT"), ("v3", "US"), ("v4", None), ("v1", None), ("unknown", None)]
    rules = [
        Rule(action="pin", target="video", name=name, region=region, rule_id=f"r{number}", made_at=NOW, made_by="me")
        for number, (name, region) in enumerate(pins)
    ]
    book.hold(1, rules)
    app.watches("ana", 4)
    query = app.system.feed.query(FeedRequest(user_id="ana", context=Context(region="PT")), app.system.reader.user("ana"), NOW, seed=1)
    assert PinnedSource(book).propose(query, 50).rows.tolist() == [1, 2]
    assert PinnedSource(book).propose(query, 1).rows.tolist() == [1]
