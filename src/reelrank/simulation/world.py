"""One seed, one world: videos, their authors and the people who watch, with tastes that no tag gives away."""

import zlib
from dataclasses import dataclass
from functools import cached_property
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from reelrank.domain.arrays import Column
from reelrank.domain.video import Video
from reelrank.films.themes import CAPTIONS_BY_LANGUAGE, EFFECTS, FIRST_NAMES, PLACES, SOUNDS, TAILS, THEMES, Place, Theme

LATENT = 12  # dimensions of the hidden space that tastes and videos live in; none of them is a tag
INTERESTS = 2  # a person has this many tastes and likes what meets one of them
DEMO_NOW = 1_760_000_000.0  # the world's last moment unless told otherwise
_UPLOAD_DAYS = 9.0
_MINUTES_OLD = 0.08  # share of videos uploaded within the last hour

Ints = NDArray[np.int64]
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Author:
    """Somebody who uploads: one or two themes, a language, a city."""

    author_id: str
    themes: tuple[int, ...]
    place: Place


@dataclass(frozen=True, slots=True)
class VideoTraits:
    """What a person feels of a video and no service is told: `latent` (LATENT,) of length 1, `quality` around 0."""

    author_id: str
    theme: int
    duration_s: float
    uploaded_at: float
    latent: Column
    quality: float


@dataclass(frozen=True, slots=True)
class PersonTraits:
    """Who somebody is. `tastes` (INTERESTS, LATENT) are of length 1 each."""

    user_id: str
    place: Place
    tastes: Column
    freshness_appetite: float  # how much a new video gains
    patience: float  # videos a visit lasts when all are so-so
    like_proneness: float  # likes per well-liked video
    active_hour: float  # local hour around which this person watches
    activity: float  # visits compared with others


@dataclass(frozen=True)
class World:
    """A closed little platform. Equal seeds and sizes make equal worlds; `now` only moves it in time."""

    seed: int
    now: float
    authors: tuple[Author, ...]
    videos: tuple[Video, ...]
    people: tuple[PersonTraits, ...]
    latents: Column  # (videos, LATENT)
    quality: Column  # (videos,)
    themes: Ints  # (videos,) the first theme of each

    @classmethod
    def from_seed(cls, seed: int, videos: int = 300, users: int = 2_000, authors: int = 60, now: float = DEMO_NOW) -> "World":
        """Makes a world. Videos, authors and people are drawn apart, so more people leave the videos as they are."""
        about_rng, author_rng, video_rng, people_rng = np.random.default_rng(seed).spawn(4)
        centers = _unit(about_rng.normal(size=(len(THEMES), LATENT)))  # (themes, LATENT)
        made_authors = _make_authors(author_rng, authors)
        styles = author_rng.normal(size=(authors, LATENT)) / np.sqrt(LATENT)  # an author's hand shows in all their videos

        by = _share_out(video_rng, videos, authors)
        themes = np.array([_choice(video_rng, made_authors[row].themes) for row in by], dtype=np.int64)
        latents = _unit(0.75 * centers[themes] + 0.7 * styles[by] + 0.6 * video_rng.normal(size=(videos, LATENT)) / np.sqrt(LATENT))
        quality = 0.8 * video_rng.normal(size=videos) + 0.3 * styles[by, 0]
        films = tuple(_make_video(video_rng, seed, index, made_authors[by[index]], int(themes[index]), now) for index in range(videos))
        return cls(
            seed=seed, now=now, authors=made_authors, videos=films, people=_make_people(people_rng, users, centers),
            latents=latents, quality=quality, themes=themes,
        )  # fmt: skip

    @cached_property
    def traits(self) -> dict[str, VideoTraits]:
        """What people feel of each video, by id."""
        columns = zip(self.videos, self.themes.tolist(), self.latents, self.quality.tolist(), strict=True)
        return {
            video.video_id: VideoTraits(video.author_id, theme, video.duration_s, video.uploaded_at, latent, quality)
            for video, theme, latent, quality in columns
        }


def stranger(author_id: str, duration_s: float, uploaded_at: float, tag: str = "") -> VideoTraits:
    """A video from outside the world, of which nobody feels anything in particular."""
    theme = -1 - zlib.crc32(tag.encode()) if tag else -1  # below 0: none of ours, yet the same for the same tag
    return VideoTraits(author_id, theme, duration_s, uploaded_at, np.zeros(LATENT), 0.0)


def _unit(vectors: Column) -> Column:
    return vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)


def _choice(rng: np.random.Generator, options: tuple[T, ...]) -> T:
    return options[int(rng.integers(len(options)))]


def _place(rng: np.random.Generator) -> Place:
    weights = np.array([place.weight for place in PLACES])
    return PLACES[int(rng.choice(len(PLACES), p=weights / weights.sum()))]


def _share_out(rng: np.random.Generator, videos: int, authors: int) -> Ints:
    """The author of each video: everybody has one if there are enough, busy ones many."""
    busy = rng.lognormal(sigma=0.7, size=authors)
    more = rng.choice(authors, size=max(0, videos - authors), p=busy / busy.sum())
    return rng.permutation(np.concatenate([np.arange(min(videos, authors)), more]).astype(np.int64))


def _make_authors(rng: np.random.Generator, count: int) -> tuple[Author, ...]:
    made: dict[str, Author] = {}
    while len(made) < count:
        main = len(made) % len(THEMES)  # every theme has somebody
        second = int(rng.integers(len(THEMES)))
        themes = (main,) if rng.random() < 0.55 or second == main else (main, second)
        handle = f"{_choice(rng, FIRST_NAMES)}.{_choice(rng, THEMES[main].handles)}"
        if handle in made:
            handle = f"{handle}{int(rng.integers(2, 99))}"
        if handle not in made:
            made[handle] = Author(handle, themes, _place(rng))
    return tuple(made.values())


def _make_video(rng: np.random.Generator, seed: int, index: int, author: Author, theme_row: int, now: float) -> Video:
    theme: Theme = THEMES[theme_row]
    minutes_old = rng.random() < _MINUTES_OLD
    age_s = rng.uniform(90, 3_600) if minutes_old else 3_600 + 86_400 * _UPLOAD_DAYS * rng.beta(1.1, 1.6)
    language = author.place.language
    own_words = CAPTIONS_BY_LANGUAGE.get(language)
    if own_words is not None and rng.random() < 0.55:
        caption = _choice(rng, own_words)
    else:
        caption, language = _choice(rng, theme.captions) + _choice(rng, TAILS), "en"
    others = list(rng.permutation(theme.tags)[: int(rng.integers(1, 4))])
    tags = (theme.name, *(str(tag) for tag in others))
    effects = tuple(str(effect) for effect in rng.permutation(EFFECTS)[: int(rng.choice([0, 0, 0, 1, 1, 2]))])
    # a theme leans towards a few sounds, the rest is fashion
    sound = SOUNDS[(theme_row * 5 + int(rng.integers(4))) % len(SOUNDS)] if rng.random() < 0.6 else _choice(rng, SOUNDS)
    return Video(
        video_id=f"{theme.name}-{seed}-{index:04d}", author_id=author.author_id, duration_s=round(float(rng.integers(8, 29)) / 2, 1),
        uploaded_at=round(now - age_s, 3), caption=caption, tags=tags, sound_id=sound, effects=effects, language=language, place=author.place.name,
    )  # fmt: skip


def _make_people(rng: np.random.Generator, count: int, centers: Column) -> tuple[PersonTraits, ...]:
    # a taste starts near two themes and wanders off: it explains more than the tags do
    near = centers[rng.integers(len(THEMES), size=(count, INTERESTS))] + 0.6 * centers[rng.integers(len(THEMES), size=(count, INTERESTS))]
    tastes = _unit(near + 0.8 * rng.normal(size=(count, INTERESTS, LATENT)) / np.sqrt(LATENT))
    appetite = rng.gamma(2.0, 0.15, size=count)
    patience = np.clip(rng.lognormal(mean=np.log(18), sigma=0.5, size=count), 4, 90)
    proneness = np.clip(rng.beta(1.5, 6.0, size=count), 0.02, 0.9)
    hours = (rng.choice([8.0, 13.0, 20.0, 22.5], p=[0.2, 0.15, 0.4, 0.25], size=count) + rng.normal(size=count)) % 24
    activity = rng.lognormal(sigma=0.8, size=count)
    people: list[PersonTraits] = []
    for index in range(count):
        person = PersonTraits(
            user_id=f"{_choice(rng, FIRST_NAMES)}{index:04d}", place=_place(rng), tastes=tastes[index], freshness_appetite=float(appetite[index]),
            patience=float(patience[index]), like_proneness=float(proneness[index]), active_hour=float(hours[index]), activity=float(activity[index]),
        )  # fmt: skip
        people.append(person)
    return tuple(people)
