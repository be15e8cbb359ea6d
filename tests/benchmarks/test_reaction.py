"""Twins tell a like from chance: the measure looks at the others of its kind, and at how high they stand."""

from reelrank.benchmarks.reaction import measure, standing
from reelrank.domain.video import Video


def video(position: int, video_id: str, author_id: str = "a", *tags: str) -> dict[str, object]:
    return {"position": position, "video_id": video_id, "author_id": author_id, "tags": list(tags)}


LIKED = Video(video_id="liked", author_id="ana", duration_s=5, uploaded_at=0, tags=("cats",))


def test_a_slate_stands_higher_the_further_up_the_videos_of_the_liked_tag_or_author_are() -> None:
    by_author, by_tag, other = video(0, "x", "ana", "dogs"), video(0, "y", "bo", "cats"), video(0, "z", "bo", "dogs")
    assert standing([by_author], LIKED) == standing([by_tag], LIKED) == 1
    assert standing([other, {**by_tag, "position": 1}], LIKED) < 1
    assert standing([other], LIKED) == 0


def test_the_liked_video_itself_does_not_count() -> None:
    assert standing([video(0, "liked", "ana", "cats")], LIKED) == 0


def test_a_like_shows_in_the_next_feeds_of_who_gave_it() -> None:
    numbers = measure(trials=3, videos=60, users=40)
    assert numbers["trials"] == numbers["equal_before"] == 3
    assert numbers["unchanged"] < 3
    assert numbers["like_to_feed_ms"]["max"] < 5_000
