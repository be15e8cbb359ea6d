"""Folders of clips, sound and broken ones."""

import os
import shutil
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from reelrank.simulation.clip_folder import read_clips


def _clip(
    path: Path, seconds: float = 1.0, codec: str = "libx264", size: tuple[int, int] = (64, 96), pixels: str = "yuv420p", container: str | None = None
) -> Path:
    """A little clip of moving grey."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w", format=container) as writer:
        stream = writer.add_stream(codec, rate=10)
        assert isinstance(stream, av.VideoStream)
        stream.width, stream.height, stream.pix_fmt = *size, pixels
        stream.codec_context.thread_count = 1
        for number in range(round(seconds * 10)):
            frame = av.VideoFrame.from_ndarray(np.full((size[1], size[0], 3), 20 * number % 255, np.uint8), format="rgb24").reformat(format=pixels)
            frame.pts, frame.time_base = number, Fraction(1, 10)
            writer.mux(stream.encode(frame))
        writer.mux(stream.encode(None))
    return path


def test_a_clip_becomes_a_video_that_plays_from_where_it_lies(tmp_path: Path):
    path = _clip(tmp_path / "mara" / "Rainy_day-in Lisbon.mp4", 1.5)
    (video,) = read_clips(tmp_path, uploaded_at=7.0).videos
    assert (video.video_id, video.author_id, video.caption) == ("Rainy_day-in-Lisbon", "mara", "Rainy day in Lisbon")
    assert video.tags == ("rainy", "day", "lisbon")
    assert video.duration_s == pytest.approx(1.5, abs=0.11)
    assert video.uploaded_at == 7.0
    (rendition,) = video.renditions
    assert (rendition.url, rendition.width, rendition.height) == ("mara/Rainy_day-in Lisbon.mp4", 64, 96)
    assert rendition.bitrate_kbps == max(1, round(path.stat().st_size * 8 / 1000 / video.duration_s))
    assert list(tmp_path.iterdir()) == [tmp_path / "mara"]


def test_without_a_time_a_clip_is_as_old_as_its_file(tmp_path: Path):
    os.utime(_clip(tmp_path / "a.mp4"), (5e8, 5e8))
    assert read_clips(tmp_path).videos[0].uploaded_at == 5e8


def test_a_manifest_tells_more(tmp_path: Path):
    _clip(tmp_path / "IMG_2041.mp4")
    (tmp_path / "manifest.csv").write_text("file,author,caption,tags,language\nIMG_2041.mp4,ines,Low tide 🐚,Sea; beach;sea,pt\n", encoding="utf-8")
    (video,) = read_clips(tmp_path).videos
    assert (video.author_id, video.caption, video.tags, video.language) == ("ines", "Low tide 🐚", ("sea", "beach"), "pt")


def test_clips_of_one_name_get_ids_of_their_own(tmp_path: Path):
    _clip(tmp_path / "wave.mp4")
    _clip(tmp_path / "wave.webm", codec="libvpx")
    _clip(tmp_path / "b" / "wave.mp4")
    ids = [video.video_id for video in read_clips(tmp_path).videos]
    assert sorted(ids) == ["wave", "wave-mp4", "wave-webm"]
    assert ids == [video.video_id for video in read_clips(tmp_path).videos]


def test_what_a_browser_cannot_play_is_made_into_an_mp4_once(tmp_path: Path):
    _clip(tmp_path / "hello.mkv", 2.0)
    _clip(tmp_path / "deep.mp4", 1.0, pixels="yuv444p")
    _clip(tmp_path / "plain.mov", 1.0)
    heard: list[tuple[int, int, str]] = []
    found = read_clips(tmp_path, on_done=lambda done, total, path: heard.append((done, total, path.name)))
    assert heard == [(1, 3, "deep.mp4"), (2, 3, "hello.mkv"), (3, 3, "plain.mov")]
    deep, hello, plain = found.videos
    assert plain.renditions[0].url == "plain.mov"
    for video, seconds in ((deep, 1.0), (hello, 2.0)):
        url = video.renditions[0].url
        assert url.startswith(".reelrank/")
        with av.open(str(tmp_path / url)) as container:
            stream = container.streams.video[0]
            assert (stream.codec_context.name, stream.codec_context.pix_fmt, stream.width, stream.height) == ("h264", "yuv420p", 64, 96)
            assert len(list(container.decode(stream))) == pytest.approx(seconds * 10, abs=1)
        assert video.duration_s == pytest.approx(seconds, abs=0.15)
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / ".reelrank").iterdir()}
    assert len(before) == 2
    assert read_clips(tmp_path) == found
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / ".reelrank").iterdir()} == before


def test_a_large_clip_is_made_smaller_when_it_is_made_anew(tmp_path: Path):
    _clip(tmp_path / "large.mkv", 0.3, size=(1_920, 1_080))
    (video,) = read_clips(tmp_path).videos
    assert (video.renditions[0].width, video.renditions[0].height) == (1_280, 720)


def test_a_clip_whose_header_gives_no_length_is_counted(tmp_path: Path):
    whole = _clip(tmp_path / "whole.webm", 2.0, codec="libvpx")
    live = tmp_path / "live.webm"
    with av.open(str(whole)) as reader, av.open(str(live), "w", format="webm", options={"live": "1"}) as writer:
        stream = writer.add_stream_from_template(reader.streams.video[0])
        for packet in reader.demux(reader.streams.video[0]):
            if packet.dts is not None:
                packet.stream = stream
                writer.mux(packet)
    with av.open(str(live)) as container:
        assert not container.duration
    lengths = {video.video_id: video.duration_s for video in read_clips(tmp_path).videos}
    assert lengths["live"] == pytest.approx(lengths["whole"], abs=0.15)


def test_a_broken_clip_is_skipped_with_its_reason_and_the_others_are_read(tmp_path: Path):
    _clip(tmp_path / "good.mp4")
    (tmp_path / "empty.mp4").write_bytes(b"")
    (tmp_path / "noise.webm").write_bytes(np.random.default_rng(0).bytes(5_000))
    with av.open(str(tmp_path / "song.mp4"), "w") as writer:
        tune = writer.add_stream("aac", rate=44_100, layout="mono")
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 44_100), np.float32), format="fltp", layout="mono")
        frame.sample_rate = 44_100
        writer.mux(tune.encode(frame))
        writer.mux(tune.encode(None))
    (tmp_path / "notes.txt").write_text("not a clip")
    found = read_clips(tmp_path)
    assert [video.video_id for video in found.videos] == ["good"]
    assert {skipped.path.name: skipped.reason for skipped in found.skipped}["song.mp4"] == "there is no picture in it"
    assert {skipped.path.name for skipped in found.skipped} == {"empty.mp4", "noise.webm", "song.mp4"}
    assert all(skipped.reason for skipped in found.skipped)


def test_a_folder_that_is_not_there_or_could_not_be_served_is_named(tmp_path: Path):
    with pytest.raises(NotADirectoryError, match="no folder of clips at"):
        read_clips(tmp_path / "nowhere")
    (tmp_path / "clips").mkdir()
    with pytest.raises(ValueError, match="outside of the media folder"):
        read_clips(tmp_path / "clips", cache=tmp_path / "elsewhere")


def test_real_clips_are_read_with_all_their_quirks(tmp_path: Path, real_data: Path):
    names = (
        "moviepy_no_duration.webm", "moviepy_video_with_failing_audio.mp4", "katna_codec_error_video.mp4", "bt709_full_range.mp4", "portrait_4k60.mp4",
        "asl_gestures_help.mkv", "elf.mp4", "elf.webm", "stream-of-water-audioless.webm",
    )  # fmt: skip
    for name in names:
        shutil.copy(real_data / "clips" / name, tmp_path / name)
    found = read_clips(tmp_path)
    assert found.skipped == ()
    clips = {video.video_id: video for video in found.videos}
    assert len(clips) == len(names)
    assert clips["moviepy_no_duration"].duration_s == pytest.approx(5, abs=0.3)
    assert (clips["portrait_4k60"].renditions[0].width, clips["portrait_4k60"].renditions[0].height) == (2_160, 3_840)
    assert clips["asl_gestures_help"].renditions[0].url.startswith(".reelrank/")
    assert clips["asl_gestures_help"].tags == ("asl", "gestures", "help")
    assert {"elf", "elf-webm"} <= set(clips)


def test_a_linked_folder_is_read_under_its_own_name(tmp_path: Path):
    _clip(tmp_path / "holidays" / "a.mp4")
    (tmp_path / "media").mkdir()
    (tmp_path / "media" / "shelf").symlink_to(tmp_path / "holidays", target_is_directory=True)
    (video,) = read_clips(tmp_path / "media" / "shelf", media_folder=tmp_path / "media").videos
    assert (video.author_id, video.renditions[0].url) == ("holidays", "shelf/a.mp4")
