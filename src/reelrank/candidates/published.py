"""Published: the current version of an artifact, loaded, and swapped whole when a newer one is published."""

import logging
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Generic, NamedTuple, TypeVar

from reelrank.storage.artifacts import ArtifactStore

logger = logging.getLogger(__name__)

Loaded = TypeVar("Loaded")


class Version(NamedTuple, Generic[Loaded]):
    """A version by its name, and what was loaded from it."""

    name: str
    value: Loaded


class Published(Generic[Loaded]):
    """Follows the artifact `name`. Whoever reads `live` or `value` once holds one version, whole, however long they use it."""

    def __init__(self, artifacts: ArtifactStore, name: str, load: Callable[[Path], Loaded]) -> None:
        self.name = name
        self.live: Version[Loaded] | None = None  # None until something is published; replaced whole, so that name and value belong together
        self._artifacts = artifacts
        self._load = load
        self._lock = threading.Lock()

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
            current = self._artifacts.current(self.name)
            if current is None or (current.manifest.version == self.version and not again):
                return False
            try:
                self._artifacts.verify(current)
                self.live = Version(current.manifest.version, self._load(current.folder))
            except Exception as problem:  # whatever damaged files do to their reader
                logger.error("%s can't be loaded and is left out: %r; roll back, or let the index role publish it again", current.folder, problem)
                return False
            return True
