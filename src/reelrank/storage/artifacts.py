"""ArtifactStore: versioned folders with a manifest and checksums; one version of each name is current."""

import fcntl
import hashlib
import logging
import os
import shutil
import tempfile
from collections.abc import Callable, Collection, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import msgspec

from reelrank.storage.event_log import StorageError

logger = logging.getLogger(__name__)

PARENT = "parent"  # in `about`: the version that was live when this one was published; empty if there was none
_LOCK = ".lock"


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


class Overtaken(StorageError):
    """Another version has become live meanwhile."""


class ArtifactStore:
    """Artifacts below the folder `root`, as name/version/ with a link name/current. Any number of processes may publish and read."""

    def __init__(self, root: Path, keep: int = 3) -> None:
        self.root = root
        self.keep = keep

    def publish(
        self,
        name: str,
        made_at: float,
        write: Callable[[Path], None],
        about: dict[str, str | int | float] | None = None,
        in_place_of: str | None = None,
        needed: Collection[str] = (),
    ) -> Artifact:
        """Lets `write` fill a folder, seals it with a manifest and makes it current in one step; `made_at` is now (UTC seconds).

        A reader sees the version before or this one, never a part. Of the others `keep - 1` stay: first those that were live before
        this one, the last of them first, then the newest; and besides whatever is `needed`. With `in_place_of`, the name of a version or empty for none, raises
        Overtaken if something else is live, and changes nothing.
        """
        home = self.root / name
        home.mkdir(parents=True, exist_ok=True)
        draft = Path(tempfile.mkdtemp(prefix=".draft-", dir=home))
        draft.chmod(0o755)  # other users of this machine may serve from it
        try:
            write(draft)
            files = {path.name: _sha256(path) for path in sorted(draft.iterdir())}
            version = f"{int(made_at * 1000):015d}-{draft.name.removeprefix('.draft-')}"
            with self._swapping(name):
                live = self.live(name)
                if in_place_of is not None and live != in_place_of:
                    raise Overtaken(f"{live or 'nothing'} of {name!r} is live, not {in_place_of or 'nothing'} any more")
                manifest = Manifest(name=name, version=version, made_at=made_at, about={**(about or {}), PARENT: live}, files=files)
                (draft / "manifest.json").write_bytes(msgspec.json.format(msgspec.json.encode(manifest)))
                draft.rename(home / version)
                self._point_current(home, version)
                self._prune(name, version, needed)
        except BaseException:
            shutil.rmtree(draft, ignore_errors=True)
            raise
        return Artifact(home / version, manifest)

    def live(self, name: str) -> str:
        """The name of the live version, whatever state it is in; empty if there is none."""
        try:
            return (self.root / name / "current").resolve(strict=True).name
        except (OSError, RuntimeError):  # a link to itself is either, by the release of Python
            return ""

    def current(self, name: str) -> Artifact | None:
        """The live version; None if nothing was published yet, or if its manifest is damaged: publishing again mends that."""
        version = self.live(name)
        return _sealed(self.root / name / version, name) if version else None

    def version(self, name: str, version: str) -> Artifact | None:
        """One version; None if there never was one of this name, if newer ones have pushed it out, or if its manifest is damaged."""
        return _sealed(self.root / name / version, name) if version in self.versions(name) else None

    def verify(self, artifact: Artifact) -> None:
        """Raises StorageError if a file is missing or not what was published."""
        for file, checksum in artifact.manifest.files.items():
            path = artifact.folder / file
            if not path.exists() or _sha256(path) != checksum:
                raise StorageError(f"{path} is not what was published (its checksum differs); roll back or publish {artifact.manifest.name} again")

    def names(self) -> list[str]:
        """Whatever has a version on disk."""
        return sorted(home.name for home in self.root.iterdir() if home.is_dir() and self.versions(home.name)) if self.root.exists() else []

    def versions(self, name: str) -> list[str]:
        """All versions on disk, in the order in which they were made."""
        home = self.root / name
        return sorted(path.name for path in home.iterdir() if path.is_dir() and not path.is_symlink() and path.name[0] != ".") if home.exists() else []

    def before(self, name: str, version: str) -> list[str]:
        """The versions on disk that were live before `version`, the last of them first: what it took the place of, and so on.

        A version that does not say so, or whose manifest is damaged, counts as having taken the place of the newest that is older by its name.
        """
        there, found = self.versions(name), [version]
        while True:
            artifact = _sealed(self.root / name / found[-1], name) if found[-1] in there else None
            older = [other for other in there if other < found[-1]]
            by_name = older[-1] if older else ""
            parent = by_name if artifact is None else str(artifact.manifest.about.get(PARENT, by_name))
            if parent not in there or parent in found:
                return found[1:]
            found.append(parent)

    def roll_back(self, name: str, version: str = "") -> tuple[str, str]:
        """Makes `version` live again, or without one what was live before the live one; returns the versions before and after.

        Raises StorageError if there is none.
        """
        if name not in self.names():
            raise StorageError(f"no version of {name!r}; there are versions of: {', '.join(self.names()) or 'nothing'}")
        with self._swapping(name):
            there, live = self.versions(name), self.live(name)
            earlier = [version] if version else [one for one in (self.before(name, live) if live else there[::-1]) if self.version(name, one) is not None]
            if not earlier:
                raise StorageError(f"nothing is kept of {name!r} that was live before {live}; there are: {', '.join(there)}")
            if earlier[0] not in there:
                raise StorageError(f"no version {version!r} of {name!r}; there are: {', '.join(there)}")
            self._point_current(self.root / name, earlier[0])
        return live, earlier[0]

    @contextmanager
    def _swapping(self, name: str) -> Generator[None]:
        """One at a time, in whatever process, changes what is live."""
        with (self.root / name / _LOCK).open("ab") as file:
            fcntl.flock(file, fcntl.LOCK_EX)  # the kernel lets go when the file is closed or the process dies
            yield

    def _prune(self, name: str, version: str, needed: Collection[str]) -> None:
        there = self.versions(name)
        stay = list(dict.fromkeys([version, *self.before(name, version), *reversed(there)]))[: self.keep]
        for old in set(there).difference(stay, needed):
            shutil.rmtree(self.root / name / old, ignore_errors=True)

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
