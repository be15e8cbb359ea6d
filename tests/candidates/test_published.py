"""Tests of artifacts that are followed."""

from pathlib import Path

from reelrank.candidates.published import Published
from reelrank.storage.artifacts import ArtifactStore


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


def test_a_version_that_can_not_be_loaded_leaves_the_one_before(tmp_path: Path) -> None:
    artifacts = ArtifactStore(tmp_path)
    published = Published(artifacts, "greeting", text)
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
    assert live == (first.manifest.version, "hello")
    assert (published.version, published.value) == published.live == (second.manifest.version, "goodbye")
