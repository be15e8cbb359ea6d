"""Dead letters sent again."""

from events.desk import NOW, Desk
from reelrank.domain.video import Video
from reelrank.events.resubmission import resubmit


def like(event_id: str, video_id: str) -> dict[str, str]:
    return {"type": "like", "event_id": event_id, "user_id": "ana", "video_id": video_id}


def test_letters_are_accepted_once_their_video_is_published(desk: Desk) -> None:
    desk.send(like("e-1", "v-1"), like("e-2", "v-2"), {"type": "like"})
    desk.catalog.publish([Video(video_id="v-1", author_id="a", duration_s=8.0, uploaded_at=1.0)])
    desk.clock.advance_to(NOW + 500)
    assert resubmit(desk.collector, desk.letters()) == (1, 2)
    (stored,) = desk.stored()
    assert (stored.event.event_id, stored.occurred_at, stored.received_at) == ("e-1", NOW, NOW + 500)


def test_what_is_refused_again_is_not_written_again(desk: Desk) -> None:
    desk.send(like("e-1", "v-1"), {"type": "like", "event_id": "e-2"})
    before = [letter.event_id for letter in desk.letters()]
    resubmit(desk.collector, desk.letters())
    assert [letter.event_id for letter in desk.letters()] == before == ["e-1", "e-2"]


def test_more_letters_than_one_batch_holds_are_sent_as_several(desk: Desk) -> None:
    for start in range(0, 1_500, 500):
        desk.send(*(like(f"e-{place}", "v-1") for place in range(start, start + 500)))
    desk.catalog.publish([Video(video_id="v-1", author_id="a", duration_s=8.0, uploaded_at=1.0)])
    assert resubmit(desk.collector, desk.letters()) == (1_500, 0)
    assert len(desk.stored()) == 1_500
