"""The contract of ArtifactStore, over every backend."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec
import pytest

from reelrank.storage.artifacts import PARENT, Artifact, ArtifactStore, Overtaken
from reelrank.storage.event_log import StorageError
from storage.backends import ARTIFACT_STORES, Start


@pytest.fixture(params=ARTIFACT_STORES)
def backend(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def artifacts(backend: str, tmp_path: Path) -> ArtifactStore:
    return ARTIFACT_STORES[backend](tmp_path / "artifacts")


def writes(text: str) -> Callable[[Path], None]:
    def write(folder: Path) -> None:
        (folder / "a.txt").write_text(text)
        (folder / "b.txt").write_text(text)

    return write


def current_of(artifacts: ArtifactStore, name: str = "index") -> Artifact:
    current = artifacts.current(name)
    assert current is not None
    return current


def test_nothing_is_current_before_the_first_version(artifacts: ArtifactStore) -> None:
    assert artifacts.current("index") is None
    assert artifacts.versions("index") == []


@pytest.mark.parametrize("manifest", [b"", b"{", b"\xff", b"[]"])
def test_a_damaged_manifest_counts_as_nothing_until_the_next_version(artifacts: ArtifactStore, manifest: bytes) -> None:
    (artifacts.publish("index", 1.0, writes("first")).folder / "manifest.json").write_bytes(manifest)
    assert artifacts.current("index") is None
    published = artifacts.publish("index", 2.0, writes("second"))
    assert artifacts.current("index") == published


def test_what_was_published_last_is_current(artifacts: ArtifactStore) -> None:
    first = artifacts.publish("index", 1.0, writes("first"))
    published = artifacts.publish("index", 2.0, writes("second"), {"videos": 7})
    current = current_of(artifacts)
    assert current == published
    assert (current.folder / "a.txt").read_text() == "second"
    assert (current.manifest.name, current.manifest.made_at, current.manifest.about) == ("index", 2.0, {"videos": 7, PARENT: first.manifest.version})
    assert set(current.manifest.files) == {"a.txt", "b.txt"}
    assert artifacts.current("other") is None


def test_a_version_that_could_not_be_written_leaves_nothing(artifacts: ArtifactStore) -> None:
    published = artifacts.publish("index", 1.0, writes("first"))

    def write(folder: Path) -> None:
        (folder / "a.txt").write_text("half")
        raise OSError("no space")

    with pytest.raises(OSError, match="no space"):
        artifacts.publish("index", 2.0, write)
    assert current_of(artifacts) == published
    assert sorted(path.name for path in (artifacts.root / "index").iterdir()) == sorted([published.manifest.version, "current", ".lock"])


def test_a_file_that_was_changed_or_lost_is_found_out(artifacts: ArtifactStore) -> None:
    artifact = artifacts.publish("index", 1.0, writes("first"))
    artifacts.verify(artifact)
    (artifact.folder / "a.txt").write_text("First")
    with pytest.raises(StorageError, match=r"a\.txt is not what was published .*roll back or publish index again"):
        artifacts.verify(artifact)
    (artifact.folder / "a.txt").write_text("first")
    artifacts.verify(artifact)
    (artifact.folder / "b.txt").unlink()
    with pytest.raises(StorageError, match=r"b\.txt"):
        artifacts.verify(artifact)


def test_every_version_that_is_kept_can_be_read(artifacts: ArtifactStore) -> None:
    published = [artifacts.publish("index", float(number), writes(str(number))) for number in range(4)]
    assert artifacts.version("index", published[0].manifest.version) is None  # pushed out by newer ones
    assert [artifacts.version("index", one.manifest.version) for one in published[1:]] == published[1:]
    for no_version in ("current", "..", "", "never"):
        assert artifacts.version("index", no_version) is None
    assert artifacts.version("other", published[3].manifest.version) is None


def test_a_version_can_be_rolled_back_to(artifacts: ArtifactStore) -> None:
    first = artifacts.publish("index", 1.0, writes("first"))
    second = artifacts.publish("index", 2.0, writes("second"))
    artifacts.roll_back("index", first.manifest.version)
    assert current_of(artifacts) == first
    artifacts.roll_back("index", second.manifest.version)
    assert current_of(artifacts) == second
    with pytest.raises(StorageError, match=rf"no version 'third' of 'index'; there are: {first.manifest.version}"):
        artifacts.roll_back("index", "third")
    with pytest.raises(StorageError, match="no version of 'other'; there are versions of: index"):
        artifacts.roll_back("other", "first")


def told(artifacts: ArtifactStore, made_at: float, text: str) -> str:
    return artifacts.publish("index", made_at, writes(text)).manifest.version


def text_of(artifacts: ArtifactStore) -> str:
    return (current_of(artifacts).folder / "a.txt").read_text()


def test_rolling_back_makes_what_was_live_before_live_again_and_from_there_what_was_live_before_that(artifacts: ArtifactStore) -> None:
    one, two, three = (told(artifacts, made_at, "any") for made_at in (1.0, 2.0, 3.0))
    assert artifacts.before("index", three) == [two, one]
    assert artifacts.roll_back("index") == (three, two)
    assert artifacts.roll_back("index") == (two, one)
    with pytest.raises(StorageError, match=f"nothing is kept of 'index' that was live before {one}; there are: {one}, {two}, {three}"):
        artifacts.roll_back("index")
    assert artifacts.roll_back("index", three) == (one, three)


def test_what_was_rolled_back_to_is_kept_and_never_what_it_was_rolled_back_from(artifacts: ArtifactStore) -> None:
    told(artifacts, 1.0, "good")
    told(artifacts, 2.0, "bad")
    told(artifacts, 3.0, "worse")
    artifacts.roll_back("index")
    artifacts.roll_back("index")
    told(artifacts, 4.0, "learned on the good one, and bad")
    assert len(artifacts.versions("index")) == artifacts.keep
    artifacts.roll_back("index")
    assert text_of(artifacts) == "good"


def test_what_counts_as_before_is_what_was_live_and_not_what_the_clock_said(artifacts: ArtifactStore) -> None:
    told(artifacts, 10.0, "first")
    told(artifacts, 20.0, "second")
    told(artifacts, 15.0, "third")
    artifacts.roll_back("index")
    assert text_of(artifacts) == "second"


def test_versions_of_an_earlier_release_go_by_their_names(artifacts: ArtifactStore) -> None:
    versions = [told(artifacts, made_at, "any") for made_at in (1.0, 2.0, 3.0)]
    for version in versions:
        manifest = artifacts.root / "index" / version / "manifest.json"
        made = msgspec.json.decode(manifest.read_bytes())
        del made["about"][PARENT]
        manifest.write_bytes(msgspec.json.encode(made))
    assert artifacts.before("index", versions[2]) == [versions[1], versions[0]]
    assert artifacts.roll_back("index") == (versions[2], versions[1])


def test_a_damaged_version_can_be_rolled_back_from_and_is_passed_over_on_the_way_back(artifacts: ArtifactStore) -> None:
    one, two, three = (told(artifacts, made_at, "any") for made_at in (1.0, 2.0, 3.0))
    for damaged in (two, three):
        (artifacts.root / "index" / damaged / "manifest.json").write_bytes(b"{")
    assert artifacts.roll_back("index") == (three, one)


def test_two_that_name_each_other_do_not_go_round_for_ever(artifacts: ArtifactStore) -> None:
    one, two = told(artifacts, 1.0, "any"), told(artifacts, 2.0, "any")
    manifest = artifacts.root / "index" / one / "manifest.json"
    manifest.write_bytes(manifest.read_bytes().replace(f'"{PARENT}": ""'.encode(), f'"{PARENT}": "{two}"'.encode()))
    assert artifacts.before("index", two) == [one]
    assert artifacts.before("index", one) == [two]


def test_it_takes_the_place_only_of_what_it_is_meant_to(artifacts: ArtifactStore) -> None:
    first = artifacts.publish("index", 1.0, writes("first"), in_place_of="").manifest.version
    second = artifacts.publish("index", 2.0, writes("second"), in_place_of=first).manifest.version
    for meant in ("", first):
        with pytest.raises(Overtaken, match=f"{second} of 'index' is live, not {meant or 'nothing'} any more"):
            artifacts.publish("index", 3.0, writes("third"), in_place_of=meant)
    assert artifacts.versions("index") == [first, second]
    assert artifacts.live("index") == second


def test_of_those_who_publish_at_once_in_place_of_the_same_one_wins(artifacts: ArtifactStore) -> None:
    first = told(artifacts, 1.0, "first")
    ready = threading.Barrier(8)

    def publish(number: int) -> bool:
        ready.wait()
        try:
            artifacts.publish("index", 2.0 + number, writes(str(number)), in_place_of=first)
        except Overtaken:
            return False
        return True

    with ThreadPoolExecutor(8) as publishers:
        assert sum(publishers.map(publish, range(8))) == 1
    assert len(artifacts.versions("index")) == 2


def test_a_link_to_itself_counts_as_nothing_until_the_next_version(artifacts: ArtifactStore) -> None:
    told(artifacts, 1.0, "first")
    link = artifacts.root / "index" / "current"
    link.unlink()
    link.symlink_to("current")
    assert artifacts.current("index") is None
    told(artifacts, 2.0, "second")
    assert text_of(artifacts) == "second"


def test_only_the_last_versions_are_kept(backend: str, tmp_path: Path) -> None:
    artifacts = ARTIFACT_STORES[backend](tmp_path, keep=2)
    versions = [artifacts.publish("index", float(number), writes("x")).manifest.version for number in range(5)]
    assert artifacts.versions("index") == versions[-2:]


@pytest.mark.parametrize("keep", [1, 3])
def test_a_version_from_a_clock_that_went_back_is_still_kept(backend: str, tmp_path: Path, keep: int) -> None:
    artifacts = ARTIFACT_STORES[backend](tmp_path, keep=keep)
    for made_at in (10.0, 11.0, 12.0):
        artifacts.publish("index", made_at, writes("before"))
    published = artifacts.publish("index", 5.0, writes("now"))
    assert current_of(artifacts) == published
    assert len(artifacts.versions("index")) == keep


def test_two_versions_of_the_same_moment_both_count(artifacts: ArtifactStore) -> None:
    artifacts.publish("index", 1.0, writes("first"))
    second = artifacts.publish("index", 1.0, writes("second"))
    assert current_of(artifacts) == second
    assert (second.folder / "a.txt").read_text() == "second"
    assert len(artifacts.versions("index")) == 2


def test_a_reader_in_another_process_always_finds_a_whole_version(backend: str, artifacts: ArtifactStore, start: Start) -> None:
    program = """
import itertools, sys
from pathlib import Path
from storage.backends import ARTIFACT_STORES
artifacts = ARTIFACT_STORES[sys.argv[1]](Path(sys.argv[2]), keep=1_000_000)
for number in itertools.count():
    artifacts.publish("index", float(number), lambda folder: [(folder / name).write_text(str(number)) for name in ("a.txt", "b.txt")] and None)
    print(number, flush=True)
"""
    child = start(program, backend, artifacts.root)
    assert child.stdout is not None
    child.stdout.readline()
    for _ in range(100):
        current = current_of(artifacts)
        artifacts.verify(current)
        assert (current.folder / "a.txt").read_text() == (current.folder / "b.txt").read_text() == str(int(current.manifest.made_at))
    child.kill()
    artifacts.verify(current_of(artifacts))
