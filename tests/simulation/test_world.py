"""A made-up world: the same for a seed, and hidden where it must be."""

import ast
from pathlib import Path

import numpy as np

import reelrank
from reelrank.domain.video import Video
from reelrank.films.themes import THEME_BY_NAME
from reelrank.simulation.world import LATENT, World, stranger


def _same(one: World, other: World) -> bool:
    return one.videos == other.videos and bool(np.array_equal(one.latents, other.latents)) and one.authors == other.authors


def test_a_seed_makes_the_same_world_every_time():
    one, other = World.from_seed(3, videos=40, users=20), World.from_seed(3, videos=40, users=20)
    assert _same(one, other)
    assert all(
        np.array_equal(a.tastes, b.tastes) and a.user_id == b.user_id and a.patience == b.patience for a, b in zip(one.people, other.people, strict=True)
    )


def test_another_seed_makes_another_world():
    assert not _same(World.from_seed(3, videos=40, users=20), World.from_seed(4, videos=40, users=20))


def test_more_people_leave_the_videos_as_they_are():
    assert _same(World.from_seed(3, videos=40, users=20), World.from_seed(3, videos=40, users=200))


def test_a_later_now_moves_the_uploads_and_nothing_else():
    early, late = World.from_seed(3, videos=40, users=5, now=1e9), World.from_seed(3, videos=40, users=5, now=1e9 + 500)
    assert [video.uploaded_at for video in late.videos] == [round(video.uploaded_at + 500, 3) for video in early.videos]
    assert [video.caption for video in late.videos] == [video.caption for video in early.videos]


def test_videos_are_varied_and_within_their_bounds():
    world = World.from_seed(7, users=10)
    assert len({video.video_id for video in world.videos}) == 300
    assert len({video.author_id for video in world.videos}) == 60
    assert all(4 <= video.duration_s <= 14 for video in world.videos)
    assert {video.tags[0] for video in world.videos} == set(THEME_BY_NAME)
    ages_s = np.array([world.now - video.uploaded_at for video in world.videos])
    assert ages_s.min() > 0
    assert 5 <= np.sum(ages_s < 3_600) <= 60, "some videos are only minutes old"
    assert ages_s.max() > 6 * 86_400


def test_captions_speak_several_scripts():
    captions = "".join(video.caption for video in World.from_seed(7, users=10).videos)
    assert any("\u0600" <= letter <= "\u06ff" for letter in captions), "Arabic"
    assert any("\u3040" <= letter <= "\u30ff" for letter in captions), "Japanese"
    assert any(ord(letter) > 0x1F300 for letter in captions), "emoji"


def test_every_video_and_person_has_a_hidden_vector_of_length_one():
    world = World.from_seed(7, users=50)
    assert world.latents.shape == (300, LATENT)
    np.testing.assert_allclose(np.linalg.norm(world.latents, axis=1), 1)
    for person in world.people:
        np.testing.assert_allclose(np.linalg.norm(person.tastes, axis=1), 1)


def test_tags_hint_at_what_is_hidden_but_do_not_give_it_away():
    world = World.from_seed(7, users=10)
    alike = world.latents @ world.latents.T  # (videos, videos) cosines
    same = world.themes[:, None] == world.themes[None, :]
    np.fill_diagonal(same, False)
    apart = ~same & ~np.eye(len(same), dtype=bool)
    assert alike[same].mean() > alike[apart].mean() + 0.3
    assert alike[same].max() < 0.999, "two videos of one theme are never the same underneath"
    by_tags: dict[tuple[str, ...], list[int]] = {}
    for row, video in enumerate(world.videos):
        by_tags.setdefault(tuple(sorted(video.tags)), []).append(row)
    twins = [rows for rows in by_tags.values() if len(rows) > 1]
    assert twins
    assert all(not np.allclose(world.latents[rows[0]], world.latents[rows[1]], atol=0.05) for rows in twins)


def test_no_field_of_a_video_carries_its_hidden_vector_or_quality():
    world = World.from_seed(7, users=10)
    assert set(Video.__struct_fields__) == {
        "video_id", "author_id", "duration_s", "uploaded_at", "caption", "tags", "sound_id", "effects", "language", "place", "renditions",
        "regions", "not_in", "min_age",
    }  # fmt: skip
    hidden = np.column_stack([world.latents, world.quality])
    for name in ("duration_s", "uploaded_at"):
        told = np.array([getattr(video, name) for video in world.videos])
        for column in hidden.T:
            assert abs(np.corrcoef(told, column)[0, 1]) < 0.25


def test_what_serves_never_looks_into_the_simulation():
    source = Path(reelrank.__file__).parent
    for folder in ("domain", "storage", "events", "features", "pipeline", "candidates", "ranking", "serving", "evaluation"):
        for path in (source / folder).rglob("*.py"):
            imported = [node.module or "" for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.ImportFrom)]
            imported += [name.name for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Import) for name in node.names]
            assert not [name for name in imported if name.startswith("reelrank.simulation")], path


def test_a_stranger_leaves_everybody_cold():
    video = stranger("somebody", 5.0, 0.0, "knots")
    assert not video.latent.any()
    assert video.theme == stranger("another", 9.0, 1.0, "knots").theme != stranger("somebody", 5.0, 0.0, "kites").theme
