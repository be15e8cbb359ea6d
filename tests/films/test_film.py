"""Films rendered, decoded back and looked at."""

from collections.abc import Generator
from pathlib import Path

import av
import msgspec
import numpy as np
import pytest

from reelrank.domain.video import Video
from reelrank.films.canvas import HEIGHT, WIDTH
from reelrank.films.film import FPS, MOTIONS, frames, render, render_all, rendered, theme_of
from reelrank.films.lettering import lettering
from reelrank.films.melody import SAMPLE_RATE, melody
from reelrank.films.themes import THEMES
from reelrank.simulation.world import World


def _video(theme: str = "surf", duration_s: float = 4.5) -> Video:
    return Video(video_id=f"{theme}-clip", author_id="mara", duration_s=duration_s, uploaded_at=0.0, tags=("summer", theme), sound_id="slow-tide.marlo")


def test_a_film_plays_in_two_upright_sizes_with_sound(tmp_path: Path):
    renditions = render(_video(), tmp_path, np.random.default_rng(0))
    assert [(rendition.width, rendition.height) for rendition in renditions] == [(360, 640), (216, 384)]
    assert renditions[0].bitrate_kbps > renditions[1].bitrate_kbps
    for rendition in renditions:
        with av.open(str(tmp_path / rendition.url)) as container:
            picture, sound = container.streams.video[0], container.streams.audio[0]
            assert (picture.codec_context.name, sound.codec_context.name) == ("h264", "aac")
            assert (picture.width, picture.height, picture.average_rate) == (rendition.width, rendition.height, FPS)
            shown = [frame.to_ndarray(format="gray") for frame in container.decode(picture)]
        assert len(shown) == round(4.5 * FPS)
        assert np.abs(shown[0].astype(int) - shown[20]).mean() > 0.5, "it moves"
        with av.open(str(tmp_path / rendition.url)) as container:
            heard = np.concatenate([frame.to_ndarray()[0] for frame in container.decode(container.streams.audio[0])])
            assert container.duration == pytest.approx(4.5 * av.time_base, rel=0.02)
        assert len(heard) == pytest.approx(4.5 * SAMPLE_RATE, rel=0.02)
        assert -24 < 20 * np.log10(np.sqrt(np.mean(heard**2))) < -17


def test_a_bitrate_is_that_of_the_file(tmp_path: Path):
    for rendition in render(_video(), tmp_path, np.random.default_rng(0)):
        assert rendition.bitrate_kbps == pytest.approx((tmp_path / rendition.url).stat().st_size * 8 / 1000 / 4.5, abs=1)


def test_a_file_starts_with_its_index_so_that_it_plays_while_it_loads(tmp_path: Path):
    large, _ = render(_video(), tmp_path, np.random.default_rng(0))
    data = (tmp_path / large.url).read_bytes()
    assert 0 < data.index(b"moov") < data.index(b"mdat")


def test_the_same_chance_makes_the_same_file_and_nothing_unfinished_stays(tmp_path: Path):
    one = render(_video(), tmp_path / "one", np.random.default_rng(4))
    render(_video(), tmp_path / "other", np.random.default_rng(4))
    for rendition in one:
        assert (tmp_path / "one" / rendition.url).read_bytes() == (tmp_path / "other" / rendition.url).read_bytes()
    assert len(list((tmp_path / "one").iterdir())) == 2


def test_a_film_returns_to_its_first_picture_without_a_jump():
    for theme in ("surf", "magic", "cooking", "chess", "cycling", "hiking"):
        shown = [np.frombuffer(memoryview(frame.planes[0]), np.uint8).astype(int) for frame in frames(_video(theme), 48, np.random.default_rng(1))]
        steps = [np.abs(one - other).mean() for one, other in zip(shown, shown[1:], strict=False)]
        assert np.abs(shown[-1] - shown[0]).mean() <= 1.5 * max(steps)


def test_every_theme_has_its_own_look():
    assert {theme.motion for theme in THEMES} == set(MOTIONS)
    assert len({theme.palette for theme in THEMES}) == len(THEMES)
    for theme in THEMES:
        first = next(frames(_video(theme.name), 60, np.random.default_rng(2)))
        assert (first.width, first.height) == (WIDTH, HEIGHT)
        assert first.to_ndarray(format="gray").std() > 8


def test_a_video_on_no_known_theme_gets_some_theme_for_good():
    video = msgspec.structs.replace(_video(), tags=("knots",))
    assert theme_of(video) == theme_of(video)
    assert theme_of(_video("chess")).name == "chess"


def test_films_are_drawn_in_workers_and_only_once(tmp_path: Path):
    videos = [msgspec.structs.replace(video, duration_s=1.0) for video in World.from_seed(2, videos=4, users=1).videos]
    heard: list[tuple[int, int]] = []
    drawn = list(render_all(videos, tmp_path, workers=2, on_done=lambda done, total: heard.append((done, total))))
    assert {video.video_id for video in drawn} == {video.video_id for video in videos}
    assert all(len(video.renditions) == 2 for video in drawn)
    assert heard == [(1, 4), (2, 4), (3, 4), (4, 4)]
    before = {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    again = list(render_all(videos, tmp_path))
    assert [video.video_id for video in again] == [video.video_id for video in videos]
    assert {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()} == before


def test_half_a_ladder_is_not_rendered(tmp_path: Path):
    _, small = render(_video(duration_s=1.0), tmp_path, np.random.default_rng(0))
    assert rendered(_video(duration_s=1.0), tmp_path) is not None
    (tmp_path / small.url).unlink()
    assert rendered(_video(duration_s=1.0), tmp_path) is None


def test_a_sound_is_the_same_tune_in_every_film_and_another_sound_another():
    short, long = melody("honey.bee-loop", 3.0), melody("honey.bee-loop", 9.0)
    middle = slice(SAMPLE_RATE, 2 * SAMPLE_RATE)
    np.testing.assert_array_equal(short[0, middle], long[0, middle])
    assert not np.allclose(short[0, middle], melody("firefly.noor", 3.0)[0, middle], atol=0.01)
    assert np.abs(long).max() <= 0.9
    assert not melody("", 1.0).any()


def test_letters_fit_the_width_and_differ():
    wide = lettering("watercolor", 360)
    assert wide.shape[1] == 360
    assert not wide[:, :20].any()
    assert not wide[:, -20:].any()
    shapes = [lettering(letter, 120).tobytes() for letter in "ABCDEFGHIJKLMNOPQRSTUVWXYZ"]
    assert len(set(shapes)) == 26
    assert not lettering(" ", 120).any()


def test_whoever_stops_early_waits_for_a_few_films_only(tmp_path: Path):
    videos = [msgspec.structs.replace(video, duration_s=0.5) for video in World.from_seed(2, videos=30, users=1).videos]
    films = render_all(videos, tmp_path, workers=1)
    first = next(films)
    assert isinstance(films, Generator)
    films.close()
    assert rendered(first, tmp_path) is not None
    assert sum(rendered(video, tmp_path) is not None for video in videos) <= 4
