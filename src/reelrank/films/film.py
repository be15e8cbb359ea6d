"""Renders made-up videos to real files: H.264 and AAC, upright, a small and a large rendition of each."""

import contextlib
import itertools
import multiprocessing
import os
import signal
import zlib
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from fractions import Fraction
from pathlib import Path
from typing import NamedTuple

import av
import msgspec
import numpy as np

from reelrank.domain.video import Rendition, Video
from reelrank.films import motion, motion_shapes
from reelrank.films.canvas import HEIGHT, WIDTH, Canvas, palette, turned
from reelrank.films.lettering import lettering
from reelrank.films.melody import SAMPLE_RATE, melody
from reelrank.films.themes import THEME_BY_NAME, THEMES, Theme

FPS = 24
_LOOP_S = 2.8  # a film's picture repeats about this often, so that only one round is drawn and encoded
# (width, height, x264's quality), the largest first
_LADDER = ((WIDTH, HEIGHT, 27), (216, 384, 31))
_AAC = {"bit_rate": 56_000, "options": {"aac_coder": "fast"}}

MOTIONS: dict[str, motion.Style] = {
    "waves": motion.waves, "ribbons": motion.ribbons, "hills": motion.hills, "strings": motion.strings, "halftone": motion.halftone, "tiles": motion.tiles,
    "shards": motion.shards, "rays": motion.rays, "bubbles": motion_shapes.bubbles, "confetti": motion_shapes.confetti, "petals": motion_shapes.petals,
    "breathing": motion_shapes.breathing, "bounce": motion_shapes.bounce, "orbits": motion_shapes.orbits, "ripples": motion_shapes.ripples,
    "rings": motion_shapes.rings, "bloom": motion_shapes.bloom, "streaks": motion_shapes.streaks, "holds": motion_shapes.holds, "stars": motion_shapes.stars,
}  # fmt: skip


def theme_of(video: Video) -> Theme:
    """The theme a film is drawn in: that of the first tag which is one, else any, but always the same for a video."""
    known = [THEME_BY_NAME[tag] for tag in video.tags if tag in THEME_BY_NAME]
    return known[0] if known else THEMES[zlib.crc32(video.video_id.encode()) % len(THEMES)]


def frames(video: Video, count: int, rng: np.random.Generator) -> Iterator[av.VideoFrame]:
    """One round of a video's picture: `count` frames of which the last leads back to the first."""
    theme = theme_of(video)
    colours = turned(palette(theme.palette), rng.uniform(-0.3, 0.3))  # two films on one theme are kin, not twins
    behind, shapes = motion.backdrop(colours, rng), MOTIONS[theme.motion](colours, rng)
    title = lettering(theme.name, WIDTH)
    shadow = 0.55 * lettering(theme.name, WIDTH, softness=16, spread=7)
    canvas = Canvas()
    for number in range(count):
        behind(canvas, number / count)
        shapes(canvas, number / count)
        canvas.paint(shadow, colours.dark, 84, 0)
        canvas.paint(title, colours.light, 80, 0)
        frame = av.VideoFrame(WIDTH, HEIGHT, "yuv420p")
        y, u, v = (np.frombuffer(memoryview(plane), np.uint8).reshape(plane.height, plane.line_size)[:, : plane.width] for plane in frame.planes)
        canvas.into((y, u, v))
        frame.pts, frame.time_base = number, Fraction(1, FPS)
        yield frame


def file_name(video: Video, width: int) -> str:
    return f"{video.video_id}.{width}.mp4"


def render(video: Video, folder: Path, rng: np.random.Generator) -> tuple[Rendition, ...]:
    """Writes a video's files into the media folder and returns them as renditions, the largest first."""
    total = max(1, round(video.duration_s * FPS))
    count = -(-total // max(1, round(video.duration_s / _LOOP_S)))
    drawn = list(frames(video, count, rng))
    sound = _encoded(melody(video.sound_id, total / FPS))
    folder.mkdir(parents=True, exist_ok=True)
    for width, height, quality in _LADDER:
        path = folder / file_name(video, width)
        unfinished = folder / f".{path.name}.{os.getpid()}.part"
        try:
            _write(unfinished, drawn, total, sound, (width, height), quality)
            unfinished.replace(path)
        finally:
            unfinished.unlink(missing_ok=True)
    renditions = rendered(video, folder)
    assert renditions is not None
    return renditions


def rendered(video: Video, folder: Path) -> tuple[Rendition, ...] | None:
    """The renditions a media folder already has of a video; None unless all are there."""
    found: list[Rendition] = []
    for width, height, _ in _LADDER:
        name = file_name(video, width)
        try:
            size = (folder / name).stat().st_size
        except FileNotFoundError:
            return None
        found.append(Rendition(name, max(1, round(size * 8 / 1000 / max(video.duration_s, 1 / FPS))), width, height))
    return tuple(found)


def render_all(videos: Iterable[Video], folder: Path, workers: int = 2, on_done: Callable[[int, int], None] | None = None, seed: int = 0) -> Iterator[Video]:
    """Renders what the folder lacks, in order, and yields each video with its renditions as soon as it has them.

    `on_done` hears (done, total). The caller may publish the first ones while the rest is drawn, and may stop early.
    """
    waiting: list[Video] = []
    ready: list[Video] = []
    for video in videos:
        found = rendered(video, folder)
        waiting.append(video) if found is None else ready.append(msgspec.structs.replace(video, renditions=found))
    total, done = len(ready) + len(waiting), 0
    for video in ready:
        done += 1
        if on_done is not None:
            on_done(done, total)
        yield video
    if not waiting:
        return
    pool = ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn"), initializer=_step_back)
    try:
        left = iter(waiting)
        drawing: dict[Future[tuple[Rendition, ...]], Video] = {}
        while True:
            for video in itertools.islice(left, 2 * workers - len(drawing)):  # few at a time: whoever stops early need not wait for the rest
                drawing[pool.submit(_render_seeded, video, folder, seed)] = video
            if not drawing:
                return
            for finished in wait(drawing, return_when=FIRST_COMPLETED).done:
                done += 1
                video = msgspec.structs.replace(drawing.pop(finished), renditions=finished.result())
                if on_done is not None:
                    on_done(done, total)
                yield video
    finally:
        pool.shutdown(cancel_futures=True)


def _step_back() -> None:
    """Drawing films gives way to serving them, and leaves Ctrl-C to whoever asked for the films."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if hasattr(os, "nice"):
        os.nice(5)


def _render_seeded(video: Video, folder: Path, seed: int) -> tuple[Rendition, ...]:
    return render(video, folder, np.random.default_rng([seed, zlib.crc32(video.video_id.encode())]))


class _Piece(NamedTuple):
    """One encoded packet: when it starts and how long it lasts, in ticks of its stream."""

    begin: int
    length: int
    is_keyframe: bool
    data: bytes


def _encoded(sound: np.ndarray) -> list[_Piece]:
    """A sound as AAC, for all renditions alike."""
    encoder = av.CodecContext.create("aac", "w")
    assert isinstance(encoder, av.AudioCodecContext)
    encoder.sample_rate, encoder.layout, encoder.format, encoder.bit_rate, encoder.options = SAMPLE_RATE, "mono", "fltp", _AAC["bit_rate"], _AAC["options"]
    encoder.time_base = Fraction(1, SAMPLE_RATE)
    samples = av.AudioFrame.from_ndarray(sound, format="fltp", layout="mono")
    samples.sample_rate, samples.time_base, samples.pts = SAMPLE_RATE, Fraction(1, SAMPLE_RATE), 0
    packets = [*encoder.encode(samples), *encoder.encode(None)]
    return [_Piece(packet.pts or 0, packet.duration or 0, True, bytes(packet)) for packet in packets]


def _write(path: Path, drawn: list[av.VideoFrame], total: int, sound: list[_Piece], size: tuple[int, int], quality: int) -> None:
    """Encodes one round of the picture, and lets it follow itself until the film is `total` frames long."""
    with contextlib.closing(av.open(str(path), "w", format="mp4", options={"movflags": "+faststart"})) as container:
        # no B-frames and one key frame per round: the first packet can come after the last
        options = {"preset": "superfast", "crf": str(quality), "bf": "0", "g": str(len(drawn)), "sc_threshold": "0"}
        picture = container.add_stream("libx264", rate=FPS, options=options)
        picture.width, picture.height = size
        picture.pix_fmt = "yuv420p"
        context = picture.codec_context
        context.thread_count = 1
        context.time_base = Fraction(1, FPS)
        context.color_range, context.colorspace, context.color_primaries, context.color_trc = 1, 1, 1, 1  # BT.709, video range
        tune = container.add_stream("aac", rate=SAMPLE_RATE, layout="mono", **_AAC)

        packets: list[av.Packet] = []
        for number, frame in enumerate(drawn):
            shown = frame if size == (WIDTH, HEIGHT) else frame.reformat(*size, interpolation="FAST_BILINEAR", threads=1)
            shown.pts, shown.time_base = number, Fraction(1, FPS)
            packets += picture.encode(shown)
        packets += picture.encode(None)
        one_round = [(bool(packet.is_keyframe), bytes(packet)) for packet in packets]
        pictures = [_Piece(number, 1, *one_round[number % len(one_round)]) for number in range(total)]

        timed = [(piece.begin / FPS, picture, Fraction(1, FPS), piece) for piece in pictures]
        timed += [(piece.begin / SAMPLE_RATE, tune, Fraction(1, SAMPLE_RATE), piece) for piece in sound]
        for _, stream, time_base, piece in sorted(timed, key=lambda at: at[0]):
            packet = av.Packet(piece.data)
            packet.stream, packet.time_base, packet.is_keyframe = stream, time_base, piece.is_keyframe
            packet.pts = packet.dts = piece.begin
            packet.duration = piece.length
            container.mux(packet)
