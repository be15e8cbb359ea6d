"""Tests of artifacts that are followed."""

from functools import partial
from pathlib import Path

import pytest

from reelrank.storage.artifacts import ArtifactStore
from reelrank.storage.published import Published


def text(folder: Path) -> str:
    return (folder / "text").read_text()


def write(content: str, folder: Path) -> None:
    (folder / "text").write_text(content)


def test_a_newer_version_is_loaded_once(tmp_path: Path) -> None:
    artifacts = ArtifactStore(tmp_path)
    published = Published(artifacts, "greeting", text)
    assert not published.refresh()
    assert published.value is None
    artifacts.publish("greeting", 1.0, lambda folder: write("hello", folder))
    assert published.refresh()
    assert not published.refresh()
    assert published.value == "hello"


def test_a_rolled_back_version_is_loaded_too(tmp_path: Path) -> None:
    artifacts = ArtifactStore(tmp_path)
    published = Published(artifacts, "greeting", text)
    first = artifacts.publish("greeting", 1.0, lambda folder: write("hello", folder))
    artifacts.publish("greeting", 2.0, lambda folder: write("goodbye", folder))
    published.refresh()
    assert published.value == "goodbye"
    artifacts.roll_back("greeting", first.manifest.version)
    published.refresh()
    assert published.value == "hello"


def test_a_version_that_can_not_be_loaded_leaves_the_one_before_and_is_tried_again(tmp_path: Path) -> None:
    artifacts = ArtifactStore(tmp_path)
    published = Published(artifacts, "greeting", text, again_after_s=0.0)
    artifacts.publish("greeting", 1.0, lambda folder: write("hello", folder))
    published.refresh()
    damaged = artifacts.publish("greeting", 2.0, lambda folder: write("goodbye", folder))
    (damaged.folder / "text").unlink()
    assert not published.refresh()
    assert published.value == "hello"
    (damaged.folder / "text").write_text("goodbye")
    assert published.refresh()
    assert published.value == "goodbye"


def test_a_name_and_a_value_that_were_read_together_belong_together_whatever_is_loaded_since(tmp_path: Path) -> None:
    artifacts = ArtifactStore(tmp_path)
    published = Published(artifacts, "greeting", text)
    assert published.live is None and published.version == ""
    first = artifacts.publish("greeting", 1.0, lambda folder: write("hello", folder))
    published.refresh()
    live = published.live
    second = artifacts.publish("greeting", 2.0, lambda folder: write("goodbye", folder))
    published.refresh()
    assert live is not None and published.live is not None
    assert (live.name, live.value, live.manifest) == (first.manifest.version, "hello", first.manifest)
    assert (published.version, published.value) == published.live[:2] == (second.manifest.version, "goodbye")
    assert live.since <= published.live.since


def test_a_version_that_is_refused_is_logged_and_counted_once_and_not_read_again_soon(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    artifacts = ArtifactStore(tmp_path)
    reads: list[Path] = []

    def unreadable(folder: Path) -> str:
        reads.append(folder)
        raise ValueError("features of another release")

    published = Published(artifacts, "greeting", unreadable)
    artifacts.publish("greeting", 1.0, lambda folder: write("hello", folder))
    assert [published.refresh() for _ in range(3)] == [False, False, False]
    assert (published.refused, len(reads), len(caplog.records)) == (1, 1, 1)
    assert "features of another release" in caplog.text
    artifacts.publish("greeting", 2.0, lambda folder: write("goodbye", folder))
    assert not published.refresh()
    assert (published.refused, len(reads)) == (2, 2)


def test_what_changed_since_it_was_loaded_can_be_loaded_as_it_was_published(tmp_path: Path) -> None:
    artifacts = ArtifactStore(tmp_path)
    published = Published(artifacts, "numbers", lambda folder: [int(text(folder))])
    artifacts.publish("numbers", 1.0, lambda folder: write("7", folder))
    published.refresh()
    assert published.live is not None and published.value is not None
    published.value.append(8)
    since = published.live.since
    assert published.reload()
    assert (published.value, published.live.since) == ([7], since)


def test_a_version_that_is_not_ready_waits_and_the_last_one_that_is_serves(tmp_path: Path) -> None:
    artifacts, ready = ArtifactStore(tmp_path), set[str]()
    versions = [artifacts.publish("greeting", float(at), partial(write, f"hello {at}")).manifest.version for at in (1, 2, 3)]
    published = Published(artifacts, "greeting", text, ready=lambda artifact: artifact.manifest.version in ready)
    assert not published.refresh() and published.live is None
    assert published.waiting == versions[2]
    ready.add(versions[1])
    assert published.refresh() and published.value == "hello 2"
    assert not published.refresh()
    ready.add(versions[2])
    assert published.refresh() and published.value == "hello 3"
    assert published.waiting == ""
