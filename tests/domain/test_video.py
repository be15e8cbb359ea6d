"""Tests of which file a video plays from."""

import msgspec
import pytest

from reelrank.domain.video import Rendition, Video

SMALL, MIDDLE, LARGE = (Rendition(f"{kbps}.mp4", kbps, 720, 1280) for kbps in (400, 800, 1_600))


def video(*renditions: Rendition) -> Video:
    return Video(video_id="v", author_id="a", duration_s=8.0, uploaded_at=0.0, renditions=renditions)


@pytest.mark.parametrize(
    ("bandwidth_kbps", "expected"),
    [(None, LARGE), (100_000, LARGE), (2_000, LARGE), (1_999, MIDDLE), (1_000, MIDDLE), (999, SMALL), (500, SMALL), (10, SMALL), (0, SMALL)],
)
def test_the_best_rendition_that_plays_with_a_fifth_to_spare(bandwidth_kbps: int | None, expected: Rendition) -> None:
    assert video(MIDDLE, LARGE, SMALL).rendition_for(bandwidth_kbps) == expected


def test_a_video_without_files_has_no_rendition() -> None:
    assert video().rendition_for(None) is None
    assert video().rendition_for(1_000) is None


@pytest.mark.parametrize("wrong", [{"video_id": ""}, {"video_id": "x" * 101}, {"duration_s": -1}, {"tags": ["t"] * 9}, {"uploaded_at": 1e12}, {"likes": 3}])
def test_what_a_video_can_t_be_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({"video_id": "v", "author_id": "a", "duration_s": 8.0, "uploaded_at": 0.0, **wrong}, Video)
