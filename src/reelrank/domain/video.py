"""A video and the files it plays from."""

from typing import Annotated

import msgspec
from msgspec import Meta

MAX_TAGS = 8
MAX_ID_CHARS = 100
HEADROOM = 0.8  # of the bandwidth that a rendition may take

Id = Annotated[str, Meta(min_length=1, max_length=MAX_ID_CHARS, description="An id chosen by the app: 1-100 characters, none of them a control character.")]
Tag = Annotated[str, Meta(min_length=1, max_length=64)]
REGION = "[A-Za-z]{2}(-[A-Za-z0-9]{1,3})?"
Region = Annotated[str, Meta(pattern=f"^{REGION}$", description="A country (ISO 3166-1) such as PT, or a part of one such as US-CA.")]
Language = Annotated[str, Meta(min_length=1, max_length=16)]
Seconds = Annotated[float, Meta(ge=0, le=86_400)]
UtcSeconds = Annotated[float, Meta(ge=0, le=32_503_680_000)]  # until the year 3000


class Rendition(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One encoding of a video: a file below the media folder, or a URL of a CDN."""

    url: Annotated[str, Meta(min_length=1, max_length=2048)]
    bitrate_kbps: Annotated[int, Meta(ge=1, le=1_000_000)]
    width: Annotated[int, Meta(ge=1, le=16_384)]
    height: Annotated[int, Meta(ge=1, le=16_384)]


class Video(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What is known of a video when it is published.

    Author, tags, sound and duration never change afterwards: the counters of the past were folded with them.
    """

    video_id: Id
    author_id: Id
    duration_s: Seconds
    uploaded_at: UtcSeconds
    caption: Annotated[str, Meta(max_length=4_000)] = ""
    tags: Annotated[tuple[Tag, ...], Meta(max_length=MAX_TAGS)] = ()
    sound_id: Annotated[str, Meta(max_length=MAX_ID_CHARS)] = ""
    effects: Annotated[tuple[Tag, ...], Meta(max_length=16)] = ()
    language: Annotated[str, Meta(max_length=16)] = ""
    place: Annotated[str, Meta(max_length=64)] = ""
    regions: Annotated[tuple[Region, ...], Meta(max_length=300)] = ()  # where alone it may be shown; none = everywhere
    not_in: Annotated[tuple[Region, ...], Meta(max_length=300)] = ()  # where it may not be shown
    min_age: Annotated[int, Meta(ge=0, le=21)] = 0  # years that whoever sees it must have
    renditions: Annotated[tuple[Rendition, ...], Meta(max_length=16)] = ()

    def rendition_for(self, bandwidth_kbps: int | None) -> Rendition | None:
        """The best rendition that plays without stalls at `bandwidth_kbps`; the smallest if none does; None without files.

        What `HEADROOM` leaves is kept free. An unknown bandwidth gets the best.
        """
        ladder = sorted(self.renditions, key=lambda rendition: rendition.bitrate_kbps)
        if not ladder:
            return None
        if bandwidth_kbps is None:
            return ladder[-1]
        playable = [rendition for rendition in ladder if rendition.bitrate_kbps <= HEADROOM * bandwidth_kbps]
        return playable[-1] if playable else ladder[0]
