"""What a user said, as an app can show it."""

from serving.running_service import Service


def test_what_stands_of_what_a_user_said_is_told(service: Service) -> None:
    own = {"user_id": "ana"}
    told = [
        {"type": "block", "event_id": "1", "what": "author", "name": "author", **own},
        {"type": "block", "event_id": "2", "what": "word", "name": "Crypto", **own},
        {"type": "block", "event_id": "3", "what": "sound", "name": "s-1", **own},
        {"type": "topic", "event_id": "4", "topic": "cats", "wish": "less", **own},
        {"type": "profile", "event_id": "5", "age": 30, "region": "pt", "languages": ["pt-PT"], **own},
    ]
    receipt = service.post(told).json()
    assert receipt["accepted"] == 5
    service.system.stream.catch_up()
    found = service.get("/v1/controls?user_id=ana").json()
    assert found == {
        "user_id": "ana", "blocked": {"authors": ["author"], "sounds": ["s-1"], "words": ["Crypto"]}, "topics": {"cats": "less"},
        "age": 30, "region": "PT", "languages": ["pt"], "offset": next(iter(receipt["offsets"].values())),
    }  # fmt: skip


def test_who_said_nothing_has_nothing_to_take_back(shared: Service) -> None:
    found = shared.get("/v1/controls?user_id=nobody").json()
    assert (found["blocked"], found["topics"], found["age"]) == ({"authors": [], "sounds": [], "words": []}, {}, None)
    assert shared.get("/v1/controls").status == 400


def test_a_word_without_letters_and_an_author_nobody_knows_are_refused(shared: Service) -> None:
    told = [{"type": "block", "event_id": what, "user_id": "ana", "what": what, "name": "?!"} for what in ("word", "author")]
    reasons = {refusal["event_id"]: refusal["reason"] for refusal in shared.post(told).json()["refused"]}
    assert reasons["word"].startswith("name '?!' holds no letter and no digit")
    assert reasons["author"].startswith("author '?!' is not in the catalogue")
