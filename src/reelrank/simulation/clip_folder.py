"""Any folder of clips as videos: reads what they are, and makes an MP4 of those that a browser cannot play."""

import contextlib
import csv
import hashlib
import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import av.error
import av.filter
import av.video.frame

from reelrank.domain.video import MAX_ID_CHARS, MAX_TAGS, Rendition, Video

ENDINGS = frozenset({".mp4", ".webm", ".mkv", ".mov"})
CACHE = ".reelrank"  # where the MP4s go, inside the folder, unless told otherwise
_MAX_SIDE = 1_280  # 720p, upright or not
# what browsers play, by the container's name in FFmpeg
_PICTURES = {"mp4": {"h264", "vp9", "av1"}, "webm": {"vp8", "vp9", "av1"}}
_SOUNDS = {"mp4": {"aac", "mp3", "mp3float", "opus", "flac"}, "webm": {"vorbis", "opus"}}
_PIXELS = {"yuv420p", "yuvj420p"}
_NOT_TAGS = frozenset(
    {"the", "and", "for", "with", "from", "into", "without", "video", "videos", "clip", "clips", "img", "image", "mov", "vid", "movie", "final", "copy", "edit"}
)


@dataclass(frozen=True, slots=True)
class Skipped:
    """A file that did not become a video, and why."""

    path: Path
    reason: str


@dataclass(frozen=True, slots=True)
class ClipFolder:
    """What a folder holds."""

    videos: tuple[Video, ...]
    skipped: tuple[Skipped, ...]


@dataclass(frozen=True, slots=True)
class _Probe:
    duration_s: float
    width: int  # as shown, after any turning
    height: int
    plays: bool  # in a browser, as it is


def read_clips(
    folder: Path,
    uploaded_at: float | None = None,
    media_folder: Path | None = None,
    cache: Path | None = None,
    on_done: Callable[[int, int, Path], None] | None = None,
) -> ClipFolder:
    """Reads every clip below `folder`; files stay where they are and renditions name them relative to `media_folder` (`folder` itself by default).

    Videos were uploaded at `uploaded_at`, or when their file was last changed. A `manifest.csv` with a column `file` may give `author`,
    `caption`, `tags`, `language` and `place`. `on_done` hears (done, total, path) after each file.
    """
    media_folder = Path(os.path.abspath(media_folder or folder))
    folder = Path(os.path.abspath(folder))
    cache = Path(os.path.abspath(cache or media_folder / CACHE))
    if not folder.is_dir():
        raise NotADirectoryError(f"no folder of clips at {folder}; name one that holds {', '.join(sorted(ENDINGS))} files")
    for inside in (folder, cache):
        if not inside.is_relative_to(media_folder):
            raise ValueError(f"{inside} is outside of the media folder {media_folder}, so it could not be served; name a media folder around it")
    told = _manifest(folder)
    paths = sorted(
        path
        for path in folder.rglob("*")
        if path.suffix.lower() in ENDINGS and path.is_file() and not any(part.startswith(".") for part in path.relative_to(folder).parts)
    )
    videos: dict[str, Video] = {}
    skipped: list[Skipped] = []
    for number, path in enumerate(paths, start=1):
        try:
            video_id = _free_id(path, folder, videos)
            videos[video_id] = _read(path, video_id, folder, media_folder, cache, uploaded_at, told.get(path.relative_to(folder).as_posix(), {}))
        except (av.error.FFmpegError, OSError, ValueError) as error:
            skipped.append(Skipped(path, _reason(error)))
        if on_done is not None:
            on_done(number, len(paths), path)
    return ClipFolder(tuple(videos.values()), tuple(skipped))


def _read(path: Path, video_id: str, folder: Path, media_folder: Path, cache: Path, uploaded_at: float | None, told: dict[str, str]) -> Video:
    probe = _probe(path)
    played = path
    if not probe.plays:
        played = _as_mp4(path, cache)
        probe = _probe(played)
    bitrate_kbps = max(1, round(played.stat().st_size * 8 / 1000 / probe.duration_s))
    home = folder.resolve() if path.parent == folder else path.parent
    author_id = _safe(told.get("author") or home.name) or "folder"
    words = re.sub(r"[_\W]+", " ", path.stem).strip()
    tags = [tag.lower() for tag in re.split(r"[\s,;|]+", told.get("tags", "")) if tag] or _tags(words)
    return Video(
        video_id=video_id, author_id=author_id, duration_s=round(probe.duration_s, 3),
        uploaded_at=path.stat().st_mtime if uploaded_at is None else uploaded_at, caption=(told.get("caption") or words)[:4_000],
        tags=tuple(dict.fromkeys(tag[:64] for tag in tags))[:MAX_TAGS], language=told.get("language", "")[:16], place=told.get("place", "")[:64],
        renditions=(Rendition(played.relative_to(media_folder).as_posix(), bitrate_kbps, probe.width, probe.height),),
    )  # fmt: skip


def _probe(path: Path) -> _Probe:
    """Opens a file and decodes its first picture. Raises ValueError or FFmpegError if there is none."""
    with av.open(str(path), metadata_errors="replace") as container:
        if not container.streams.video:
            raise ValueError("there is no picture in it")
        stream = container.streams.video[0]
        if _codec(stream) is None:
            raise ValueError("no decoder for its picture is known")
        frame = next(container.decode(stream), None)
        if frame is None:
            raise ValueError("no picture of it can be decoded")
        width, height = (frame.width, frame.height) if frame.rotation % 180 == 0 else (frame.height, frame.width)
        kind = "mp4" if path.suffix.lower() in {".mp4", ".mov"} else path.suffix.lower().lstrip(".")
        sound = _codec(container.streams.audio[0]) or "unknown" if container.streams.audio else None
        plays = (
            _codec(stream) in _PICTURES.get(kind, ()) and frame.format.name in _PIXELS and (sound is None or sound in _SOUNDS.get(kind, ()))
        )  # fmt: skip
        duration_s = container.duration / av.time_base if container.duration else 0.0
    if duration_s <= 0:
        duration_s = _counted_duration_s(path)
    if duration_s <= 0:
        raise ValueError("it has no length")
    return _Probe(duration_s, width, height, plays)


def _codec(stream: av.VideoStream | av.AudioStream) -> str | None:
    """The name of a stream's codec, None if FFmpeg has no decoder for it."""
    context: av.CodecContext | None = stream.codec_context  # the library's types leave the None out
    return None if context is None else context.name


def _counted_duration_s(path: Path) -> float:
    """The end of the last packet: for files whose header gives no length."""
    begin, end = float("inf"), 0.0
    with av.open(str(path), metadata_errors="replace") as container:
        for packet in container.demux(container.streams.video[0]):
            if packet.pts is not None and packet.time_base is not None:
                begin = min(begin, float(packet.pts * packet.time_base))
                end = max(end, float((packet.pts + (packet.duration or 0)) * packet.time_base))
    return max(0.0, end - begin) if end else 0.0


def _as_mp4(path: Path, cache: Path) -> Path:
    """An MP4 (H.264, AAC, 720p at most) of a file, made once per state of the file."""
    stat = path.stat()
    state = hashlib.blake2b(f"{path}:{stat.st_size}:{stat.st_mtime_ns}".encode(), digest_size=6).hexdigest()
    target = cache / f"{_safe(path.stem)[:60]}-{state}.mp4"
    if target.exists():
        return target
    cache.mkdir(parents=True, exist_ok=True)
    unfinished = cache / f".{target.name}.{os.getpid()}.part"
    try:
        _transcode(path, unfinished)
        unfinished.replace(target)
    finally:
        unfinished.unlink(missing_ok=True)
    return target


def _transcode(source: Path, target: Path) -> None:
    with (
        av.open(str(source), metadata_errors="replace") as reader,
        contextlib.closing(av.open(str(target), "w", format="mp4", options={"movflags": "+faststart"})) as writer,
    ):
        shown = reader.streams.video[0]
        heard = reader.streams.audio[0] if reader.streams.audio and _codec(reader.streams.audio[0]) else None
        rate = Fraction(min(60, max(1, round(shown.average_rate or 25))))
        picture = writer.add_stream("libx264", rate=rate, options={"preset": "veryfast", "crf": "24"})
        picture.pix_fmt = "yuv420p"
        picture.codec_context.thread_count = 1
        tune = writer.add_stream("aac", rate=44_100, layout="stereo") if heard else None
        resample = av.AudioResampler("fltp", "stereo", 44_100)
        last = -1
        for packet in reader.demux([stream for stream in (shown, heard) if stream is not None]):
            try:
                decoded = packet.decode()
            except av.error.InvalidDataError:
                continue  # a broken stretch: the rest of the file may well play
            for frame in decoded:
                if isinstance(frame, av.VideoFrame):
                    upright = _upright(frame)
                    if last < 0:
                        picture.width, picture.height = _fit(upright.width, upright.height)
                    number = round(frame.time * rate) if frame.time is not None else last + 1
                    if number <= last:
                        continue
                    ready = upright.reformat(picture.width, picture.height, "yuv420p")
                    ready.pts, ready.time_base, last = number, 1 / rate, number
                    ready.pict_type = av.video.frame.PictureType.NONE
                    writer.mux(picture.encode(ready))
                elif tune is not None and isinstance(frame, av.AudioFrame):
                    for piece in resample.resample(frame):
                        writer.mux(tune.encode(piece))
        if last < 0:
            raise ValueError("no picture of it can be decoded")
        writer.mux(picture.encode(None))
        if tune is not None:
            writer.mux(tune.encode(None))


def _fit(width: int, height: int) -> tuple[int, int]:
    """The size to encode: no side above 720p's, both even."""
    shrink = min(1.0, _MAX_SIDE / max(width, height))
    return max(2, round(width * shrink / 2) * 2), max(2, round(height * shrink / 2) * 2)


def _upright(frame: av.VideoFrame) -> av.VideoFrame:
    """The frame as a player would turn it."""
    turns = {90: ("cclock",), -90: ("clock",), 270: ("clock",), 180: ("clock", "clock"), -180: ("clock", "clock")}.get(round(frame.rotation), ())
    if not turns:
        return frame
    graph = av.filter.Graph()
    steps = [graph.add_buffer(width=frame.width, height=frame.height, format=frame.format, time_base=frame.time_base or Fraction(1, 1000))]
    steps += [graph.add("transpose", way) for way in turns] + [graph.add("buffersink")]
    graph.link_nodes(*steps).configure()
    graph.push(frame)
    turned = graph.pull()
    assert isinstance(turned, av.VideoFrame)
    return turned


def _manifest(folder: Path) -> dict[str, dict[str, str]]:
    path = folder / "manifest.csv"
    if not path.is_file():
        return {}
    with path.open(newline="", encoding="utf-8-sig") as lines:
        return {row["file"]: {name: value or "" for name, value in row.items() if isinstance(value, str)} for row in csv.DictReader(lines) if row.get("file")}


def _safe(name: str) -> str:
    return re.sub(r"[^\w.-]+", "-", name).strip("-.")[:MAX_ID_CHARS]


def _free_id(path: Path, folder: Path, taken: dict[str, Video]) -> str:
    """The file's stem; with ending and folders if another clip has that already."""
    relative = path.relative_to(folder)
    whole = _safe("-".join((*relative.parts[:-1], path.stem, path.suffix[1:].lower())))
    numbered = (f"{whole[: MAX_ID_CHARS - 6]}-{number}" for number in range(2, 10_000))
    return next(name for name in (_safe(path.stem), whole, *numbered) if name and name not in taken)


def _tags(words: str) -> list[str]:
    found = re.findall(r"[^\W\d_]{3,}", re.sub(r"(?<=[a-z])(?=[A-Z])", " ", words))
    return [word.lower() for word in found if word.lower() not in _NOT_TAGS]


def _reason(error: Exception) -> str:
    if isinstance(error, av.error.FFmpegError):
        return f"it can't be read as a video: {error.strerror}"
    return str(error)
