"""Published: the current version of an artifact, loaded, and swapped whole when another one becomes current."""

import logging
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Generic, NamedTuple, TypeVar

from reelrank.storage.artifacts import Artifact, ArtifactStore, Manifest

logger = logging.getLogger(__name__)

Loaded = TypeVar("Loaded")


class Version(NamedTuple, Generic[Loaded]):
    """A version by its name, what was loaded from it, its manifest, and since when (`time.monotonic` seconds) it is in use here."""

    name: str
    value: Loaded
    manifest: Manifest
    since: float


class Published(Generic[Loaded]):
    """Follows the artifact `name`. Whoever reads `live` or `value` once holds one version, whole, however long they use it.

    A version that can't be loaded is refused: it is logged and counted once, and tried again every `again_after_s`. One that
    is not `ready` waits, which is logged once, and what was live before it is in use meanwhile.
    """

    def __init__(
        self,
        artifacts: ArtifactStore,
        name: str,
        load: Callable[[Path], Loaded],
        again_after_s: float = 30.0,
        ready: Callable[[Artifact], bool] = lambda _: True,
    ) -> None:
        self.name = name
        self.live: Version[Loaded] | None = None  # None until something is published; replaced whole, so that name and value belong together
        self.refused = 0  # versions
        self.waiting = ""  # the current version, as long as it is not ready
        self._artifacts = artifacts
        self._load = load
        self._ready = ready
        self._again_after_s = again_after_s
        self._refused_version = ""
        self._again_at = 0.0
        self._lock = threading.Lock()

    @classmethod
    def held(cls, artifacts: ArtifactStore, name: str, load: Callable[[Path], Loaded], version: str) -> "Published[Loaded]":
        """One version, for good, whatever becomes current; none if it is not kept any more."""
        return _Held(artifacts, name, load, version)

    @property
    def value(self) -> Loaded | None:
        """What is loaded; None until something is published."""
        live = self.live
        return None if live is None else live.value

    @property
    def version(self) -> str:
        """The name of what is loaded; empty until something is published."""
        live = self.live
        return "" if live is None else live.name

    def refresh(self) -> bool:
        """Loads the current version if it is another one than before; returns whether it did. One that can't be loaded leaves what there was."""
        return self._load_current(again=False)

    def reload(self) -> bool:
        """The same, also if it is the one that is loaded: for what changes after loading."""
        return self._load_current(again=True)

    def _load_current(self, again: bool) -> bool:
        with self._lock:
            current = self._newest_ready()
            if current is None:
                return False
            version, same = current.manifest.version, current.manifest.version == self.version
            if (same and not again) or (version == self._refused_version and time.monotonic() < self._again_at):
                return False
            try:
                self._artifacts.verify(current)
                loaded = self._load(current.folder)
            except Exception as problem:  # whatever damaged files do to their reader
                self._refuse(current, problem)
                return False
            since = self.live.since if same and self.live is not None else time.monotonic()
            self.live = Version(version, loaded, current.manifest, since)
            return True

    def _newest_ready(self) -> Artifact | None:
        """The current version, or as long as that is not ready the last one before it that is."""
        current = self._artifacts.current(self.name)
        if current is None or current.manifest.version == self.version or self._ready(current):
            self.waiting = ""
            return current
        if current.manifest.version != self.waiting:
            self.waiting = current.manifest.version
            logger.warning("%s waits for its index, which `reelrank index` builds; %s", current.folder, self._without_it())
        before = (self._artifacts.version(self.name, version) for version in self._artifacts.before(self.name, current.manifest.version))
        return next((one for one in before if one is not None and (one.manifest.version == self.version or self._ready(one))), None)

    def _refuse(self, current: Artifact, problem: Exception) -> None:
        self._again_at = time.monotonic() + self._again_after_s
        if current.manifest.version != self._refused_version:
            self._refused_version = current.manifest.version
            self.refused += 1
            logger.error("%s can't be loaded and %s: %r; roll back, or publish it again", current.folder, self._without_it(), problem)

    def _without_it(self) -> str:
        return f"{self.version} stays in use" if self.version else "it is done without"


class _Held(Published[Loaded]):
    """A Published that never turns to another version."""

    def __init__(self, artifacts: ArtifactStore, name: str, load: Callable[[Path], Loaded], version: str) -> None:
        super().__init__(artifacts, name, load)
        self._held = artifacts.version(name, version)
        self.reload()

    def refresh(self) -> bool:
        return False

    def reload(self) -> bool:
        if self._held is None:
            return False
        self._artifacts.verify(self._held)
        self.live = Version(self._held.manifest.version, self._load(self._held.folder), self._held.manifest, time.monotonic())
        return True
