"""ArtifactStore: versioned folders with a manifest and checksums; one version of each name is current."""

import hashlib
import logging
import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import msgspec

from reelrank.storage.event_log import StorageError

logger = logging.getLogger(__name__)


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """What an artifact is: its name and version, when and from what it was made, and the checksum of each file."""

    name: str
    version: str
    made_at: float
    about: dict[str, str | int | float] = {}
    files: dict[str, str] = {}  # file name -> sha256


class Artifact(NamedTuple):
    """One published version: a folder that never changes again."""

    folder: Path
    manifest: Manifest


class ArtifactStore:
    """Artifacts below the folder `root`, as name/version/ with a link name/current."""

    def __init__(self, root: Path, keep: int = 3) -> None:
        self.root = root
        self.keep = keep

    def publish(self, name: str, made_at: float, write: Callable[[Path], None], about: dict[str, str | int | float] | None = None) -> Artifact:
        """Lets `write` fill a folder, seals it with a manifest and makes it current in one step.

        A reader sees the version before or this one, never a part. Of the others the last `keep - 1` stay.
        """
        home = self.root / name
        home.mkdir(parents=True, exist_ok=True)
        draft = Path(tempfile.mkdtemp(prefix=".draft-", dir=home))
        draft.chmod(0o755)  # other users of this machine may serve from it
        try:
            write(draft)
            version = f"{int(made_at * 1000):015d}-{draft.name.removeprefix('.draft-')}"
            files = {path.name: _sha256(path) for path in sorted(draft.iterdir())}
            manifest = Manifest(name=name, version=version, made_at=made_at, about=about or {}, files=files)
            (draft / "manifest.json").write_bytes(msgspec.json.format(msgspec.json.encode(manifest)))
            draft.rename(home / version)
        except BaseException:
            shutil.rmtree(draft, ignore_errors=True)
            raise
        self._point_current(home, version)
        others = [other for other in self.versions(name) if other != version]
        for old in others[: max(len(others) - self.keep + 1, 0)]:
            shutil.rmtree(home / old, ignore_errors=True)
        return Artifact(home / version, manifest)

    def current(self, name: str) -> Artifact | None:
        """The live version; None if nothing was published yet, or if its manifest is damaged: publishing again mends that."""
        link = self.root / name / "current"
        try:
            folder = link.resolve(strict=True)
        except FileNotFoundError:
            return None
        return _sealed(folder, name)

    def version(self, name: str, version: str) -> Artifact | None:
        """One version; None if there never was one of this name, if newer ones have pushed it out, or if its manifest is damaged."""
        return _sealed(self.root / name / version, name) if version in self.versions(name) else None

    def verify(self, artifact: Artifact) -> None:
        """Raises StorageError if a file is missing or not what was published."""
        for file, checksum in artifact.manifest.files.items():
            path = artifact.folder / file
            if not path.exists() or _sha256(path) != checksum:
                raise StorageError(f"{path} is not what was published (its checksum differs); roll back or publish {artifact.manifest.name} again")

    def versions(self, name: str) -> list[str]:
        """All versions on disk, oldest first."""
        home = self.root / name
        return sorted(path.name for path in home.iterdir() if path.is_dir() and not path.is_symlink() and path.name[0] != ".") if home.exists() else []

    def roll_back(self, name: str, version: str) -> None:
        """Makes an earlier version current again."""
        if version not in self.versions(name):
            raise StorageError(f"no version {version!r} of {name!r}; there are: {', '.join(self.versions(name)) or 'none'}")
        self._point_current(self.root / name, version)

    def _point_current(self, home: Path, version: str) -> None:
        link = home / f".current-{os.getpid()}"
        link.unlink(missing_ok=True)
        link.symlink_to(version)
        link.replace(home / "current")  # atomic


def _sealed(folder: Path, name: str) -> Artifact | None:
    try:
        return Artifact(folder, msgspec.json.decode((folder / "manifest.json").read_bytes(), type=Manifest))
    except (OSError, msgspec.DecodeError) as problem:
        logger.error("the manifest of %s can't be read, so %s counts as not published: %s", folder, name, problem)
        return None


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
