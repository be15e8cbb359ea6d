"""Building indexes: a model and its index go live together, and what is published later is found without a rebuild."""

from pathlib import Path

import pytest

from candidates.small_app import DAY, START, SmallApp
from models.small_towers import planted_towers
from reelrank.candidates.build_vectors import VectorBuilder
from reelrank.candidates.eligible import Eligible
from reelrank.candidates.followed_index import VectorsConfig
from reelrank.candidates.nearest import TWO_TOWER, NearestSource, two_tower
from reelrank.training.export_two_tower import export

VIDEOS, WINDOW = 60, 8
FEW = VectorsConfig(exact_up_to=20, live_share=0.2)


class Deployment:
    """A small app with towers, whose index does not fit in memory any more; the videos of even rows are alike, and so are the others."""

    def __init__(self, app: SmallApp) -> None:
        self.app = app
        for row in range(VIDEOS):
            app.publish(f"v{row}", author=f"author {row % 2}")
        app.watches("u", "v2", "v4", ago_s=DAY)
        self.builder = VectorBuilder(app.store, app.columns, app.artifacts, app.clock, FEW)
        self.towers = two_tower(app.artifacts, app.columns, FEW.exact_up_to)
        self.source = NearestSource(self.towers, app.columns, Eligible(app.columns, app.clock))

    def train(self) -> str:
        kinds = [row % 2 for row in range(VIDEOS)]

        def write(folder: Path) -> None:
            export(planted_towers(kinds, authors=kinds), WINDOW, folder)

        self.app.clock.advance_to(self.app.clock.now() + 1.0)
        return self.app.artifacts.publish(TWO_TOWER, self.app.clock.now(), write).manifest.version

    def build(self) -> str:
        self.app.clock.advance_to(self.app.clock.now() + 1.0)
        told = self.builder.build()
        self.source.refresh()
        return told

    @property
    def frozen(self) -> int:
        assert self.towers.value is not None
        return self.towers.value.videos.index.frozen


@pytest.fixture
def deployment(app: SmallApp) -> Deployment:
    return Deployment(app)


def test_towers_wait_for_their_index_and_those_before_them_serve_meanwhile(deployment: Deployment):
    first = deployment.train()
    deployment.source.refresh()
    assert deployment.towers.live is None
    assert "60 of two_tower_index" in deployment.build()
    assert (deployment.towers.version, deployment.frozen) == (first, VIDEOS)
    second = deployment.train()
    deployment.source.refresh()
    assert deployment.source.propose(deployment.app.query("u"), 5).models == {TWO_TOWER: first}
    deployment.build()
    assert deployment.source.propose(deployment.app.query("u"), 5).models == {TWO_TOWER: second}


def test_a_process_that_begins_serves_the_last_towers_that_have_an_index(deployment: Deployment):
    first = deployment.train()
    deployment.build()
    deployment.train()
    another = two_tower(deployment.app.artifacts, deployment.app.columns, FEW.exact_up_to)
    another.refresh()
    assert another.version == first


def test_a_version_that_is_rolled_back_to_still_has_its_index_however_often_others_were_built(deployment: Deployment):
    first = deployment.train()
    deployment.build()
    second = deployment.train()
    deployment.build()
    for _ in range(4):
        deployment.app.publish(*[f"w{deployment.app.columns.count + row}" for row in range(40)])
        assert "of two_tower_index" in deployment.build()
    assert deployment.towers.version == second and not deployment.builder.lacks
    deployment.app.artifacts.roll_back(TWO_TOWER)
    assert not deployment.builder.lacks
    deployment.source.refresh()
    assert deployment.towers.version == first


def test_what_waits_for_its_index_is_told_once_and_the_builder_knows(deployment: Deployment, caplog: pytest.LogCaptureFixture):
    assert not deployment.builder.lacks
    version = deployment.train()
    for _ in range(3):
        deployment.source.refresh()
    assert [record.message.partition(";")[0] for record in caplog.records if version in record.message] == [
        f"{deployment.app.artifacts.root / TWO_TOWER / version} waits for its index, which `reelrank index` builds"
    ]
    assert (deployment.towers.waiting, deployment.builder.lacks) == (version, True)
    deployment.build()
    assert (deployment.towers.waiting, deployment.builder.lacks) == ("", False)


def test_a_video_is_found_as_soon_as_the_columns_have_it_and_without_a_rebuild(deployment: Deployment):
    deployment.train()
    deployment.build()
    app = deployment.app
    app.publish("new and even", author="author 0", age_s=0.0)
    app.publish("new and odd", author="author 1", age_s=0.0)
    proposed = app.proposed(deployment.source, "u", quota=29)
    assert "new and even" in proposed and "new and odd" not in proposed
    assert deployment.frozen == VIDEOS
    app.remove("new and even", "v6")
    proposed = app.proposed(NearestSource(deployment.towers, app.columns, Eligible(app.columns, app.clock)), "u", quota=29)
    assert not {"new and even", "v6"} & set(proposed)


def test_it_is_built_again_when_many_videos_have_come_and_taken_over_between_two_searches(deployment: Deployment):
    version = deployment.train()
    deployment.build()
    deployment.app.publish(*[f"w{row}" for row in range(12)])
    assert "nothing to build" in deployment.build()
    before = deployment.app.proposed(deployment.source, "u", quota=80)
    deployment.app.publish("one more")
    deployment.source.refresh()
    assert "73 of two_tower_index" in deployment.build()
    assert (deployment.towers.version, deployment.frozen) == (version, 73)
    after = deployment.app.proposed(deployment.source, "u", quota=80)
    assert set(after) == {*before, "one more"}


def test_an_index_that_is_damaged_leaves_the_one_before_in_use_and_says_so_once(deployment: Deployment, caplog: pytest.LogCaptureFixture):
    version = deployment.train()
    deployment.build()
    deployment.app.publish(*[f"w{row}" for row in range(13)])
    deployment.builder.build()
    folder = deployment.app.artifacts.root / f"{TWO_TOWER}_index" / "current"
    (folder / "vectors.faiss").write_bytes(b"not an index")
    deployment.source.refresh()
    deployment.source.refresh()
    assert (deployment.towers.version, deployment.frozen) == (version, VIDEOS)
    assert [record.message for record in caplog.records if "stays in use" in record.message][1:] == []
    assert len(deployment.app.proposed(deployment.source, "u", quota=100)) == VIDEOS + 13 - 2


def test_few_videos_need_no_index(app: SmallApp):
    app.publish(*[f"v{row}" for row in range(12)])
    app.artifacts.publish(TWO_TOWER, START, lambda folder: export(planted_towers([row % 2 for row in range(12)]), WINDOW, folder))
    assert "nothing to build" in VectorBuilder(app.store, app.columns, app.artifacts, app.clock, FEW).build()
    towers = two_tower(app.artifacts, app.columns, FEW.exact_up_to)
    assert towers.refresh() and towers.value is not None
    assert (len(towers.value.videos.index), towers.value.videos.index.frozen) == (12, 0)
