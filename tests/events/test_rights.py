"""Slates vouch for events; what none vouches for is taken from those who may bring it in, and marked."""

from typing import Any

import msgspec
import pytest

from events.desk import NOW, SECRET, Desk
from reelrank.domain.event import Accepted, Watch, decode_accepted, encode_accepted
from reelrank.events.dead_letters import DeadLetter, read_all
from reelrank.events.resubmission import resubmit
from reelrank.events.rights import Rights, SlateVerifier, slate_mac
from reelrank.ranking.served_log import new_request_id

AN_APP = Rights(publish=False, bring_in=False)
AN_IMPORT = Rights(publish=False, bring_in=True)
VIDEO = {"video_id": "v", "author_id": "ada", "duration_s": 9.0, "uploaded_at": NOW - 5}


def slate(user_id: str = "u", secret: bytes = SECRET) -> str:
    return new_request_id(user_id, NOW, 4, secret)


def event(event_id: str, kind: str = "impression", **more: Any) -> dict[str, Any]:
    return {
        "type": kind,
        "event_id": event_id,
        "user_id": "u",
        **({} if kind in {"follow", "unfollow", "history", "served", "profile", "reset", "block"} else {"video_id": "v"}),
        **more,
    }


@pytest.fixture(autouse=True)
def a_video(desk: Desk) -> None:
    assert desk.send({"type": "video_published", "event_id": "p", "video": VIDEO}).accepted == 1


def test_a_slate_vouches_for_its_user_alone() -> None:
    vouches = SlateVerifier(SECRET).vouches
    mine = slate()
    assert vouches("u", mine)
    assert vouches("u", mine)
    assert not vouches("somebody", mine)
    assert not vouches("u", slate(secret=b"guessed"))
    assert not any(vouches("u", mine[:place] + ("0" if mine[place] != "0" else "1") + mine[place + 1 :]) for place in range(len(mine)))
    assert not any(vouches("u", name) for name in ("", "-", "x", "1-2-3", mine.rpartition("-")[0], mine + "0", mine + "é", mine[:-1], mine.upper()))


def test_user_and_slate_can_not_be_taken_apart_differently() -> None:
    assert slate_mac(SECRET, "ab", "c") != slate_mac(SECRET, "b", "ca")
    assert not SlateVerifier(SECRET).vouches("b\nu", slate("u"))


def test_an_app_tells_what_people_did_with_what_they_were_served(desk: Desk) -> None:
    told = [
        event("e1", request_id=slate()),
        event("e2", "watch", watched_s=3.0, request_id=slate()),
        event("e3", "follow", author_id="ada", request_id=slate()),
    ]
    assert desk.send(*told, rights=AN_APP).accepted == 3
    assert [one.imported for one in desk.stored()] == [False] * 4


@pytest.mark.parametrize(
    ("told", "kind", "reason"),
    [
        ({"request_id": ""}, "slate", r"it names no slate; take request_id from the answer of /v1/feed"),
        ({"request_id": "row-17"}, "slate", r'slate "row-17" was not served to "u"'),
        ({"request_id": slate("somebody")}, "slate", r'was not served to "u"; take request_id'),
        ({"request_id": slate(secret=b"guessed")}, "slate", r'was not served to "u"'),
        ({"request_id": slate().rpartition("-")[0]}, "slate", r'was not served to "u"'),
        ({"type": "served", "policy": "mine", "videos": [{"video_id": "v"}], "request_id": slate()}, "scope", r"take a key with the scope events:import"),
        (
            {"type": "profile", "age": 30, "request_id": slate()},
            "scope",
            r"decides which videos somebody may be shown takes a key with the scope events:import",
        ),
        ({"type": "reset"}, "slate", r"it names no slate"),
        ({"type": "history", "watched": ["v"]}, "slate", r"it names no slate"),
        ({"type": "follow", "author_id": "ada"}, "slate", r"it names no slate"),
    ],
)
def test_what_no_slate_vouches_for_is_refused_and_counted_and_the_others_go_on(desk: Desk, told: dict[str, Any], kind: str, reason: str) -> None:
    import re

    bad = event("bad", told.get("type", "impression")) | told
    receipt = desk.send(event("before", request_id=slate()), bad, event("after", request_id=slate()), rights=AN_APP)
    assert receipt.accepted == 2
    [refusal] = receipt.refused
    assert (refusal.index, refusal.event_id) == (1, "bad")
    assert re.search(reason.replace('"', "['\"]"), refusal.reason)
    assert desk.collector.refused == {kind: 1}
    assert [letter.event_id for letter in desk.letters()] == ["bad"]


@pytest.mark.parametrize("rights", [AN_IMPORT, Rights()], ids=["import", "everything"])
def test_who_may_bring_in_what_happened_elsewhere_does_and_it_is_marked(desk: Desk, rights: Rights) -> None:
    told = [
        event("e1"),
        event("e2", request_id=slate()),
        event("e3", request_id="row-17"),
        event("e4", "served", policy="theirs", videos=[{"video_id": "v"}], request_id="row-17"),
        event("e5", "history", watched=["v"]),
        event("e6", "profile", age=30),
        event("e7", "block", what="author", name="ada", request_id=slate()),
    ]
    assert desk.send(*told, rights=rights).accepted == 7
    marked = {one.event.event_id: one.imported for one in desk.stored()}
    assert marked == {"p": False, "e1": True, "e2": False, "e3": True, "e4": True, "e5": True, "e6": True, "e7": False}


def test_the_catalogue_is_changed_by_those_who_may_and_the_others_of_the_batch_go_on(desk: Desk) -> None:
    batch = [
        {"type": "video_published", "event_id": "p2", "video": VIDEO | {"video_id": "w"}},
        event("e", request_id=slate()),
        {"type": "video_removed", "event_id": "r", "video_id": "v"},
    ]
    receipt = desk.send(*batch, rights=AN_APP)
    assert receipt.accepted == 1
    assert [(one.event_id, one.reason) for one in receipt.refused] == [
        (name, "publishing and removing videos takes a key with the scope videos:write") for name in ("p2", "r")
    ]
    assert desk.collector.refused == {"scope": 2}
    assert desk.catalog.get("w") is None
    assert desk.send(*batch, rights=Rights(publish=True, bring_in=False)).refused == ()
    assert [row.removed for row in desk.catalog.changes(0)] == [False, True]


def test_what_is_sent_again_may_not_do_more_than_it_might(desk: Desk) -> None:
    desk.send(event("forged"), {"type": "video_published", "event_id": "p2", "video": VIDEO | {"video_id": "w"}}, rights=AN_APP)
    desk.send(event("early", video_id="later"), rights=AN_IMPORT)
    desk.send({"type": "video_published", "event_id": "p3", "video": VIDEO | {"video_id": "later"}})
    assert resubmit(desk.collector, read_all(desk.log)) == (1, 2)
    assert {one.event.event_id: one.imported for one in desk.stored()} == {"p": False, "p3": False, "early": True}


def test_records_from_before_there_were_rights_can_be_read() -> None:
    accepted = Accepted(Watch(event_id="e", user_id="u", video_id="v", watched_s=1.0), 2.0, 3.0, 0.5, True)
    old = msgspec.msgpack.encode(msgspec.msgpack.decode(encode_accepted(accepted))[:4])
    assert decode_accepted(old) == msgspec.structs.replace(accepted, imported=False)
    letter = DeadLetter(1.0, "e", "why", b"{}", False, AN_APP)
    older = msgspec.msgpack.encode(msgspec.msgpack.decode(msgspec.msgpack.encode(letter))[:5])
    assert msgspec.msgpack.decode(older, type=DeadLetter) == msgspec.structs.replace(letter, rights=Rights())
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(letter), type=DeadLetter) == letter
