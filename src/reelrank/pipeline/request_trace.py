"""RequestTrace: what each stage did to one request, in milliseconds and counts."""

import time
from collections.abc import Generator
from contextlib import contextmanager


class RequestTrace:
    """Collects the figures of one request; `stages` is what `why` shows and the log keeps."""

    def __init__(self) -> None:
        self.stages: dict[str, dict[str, float]] = {}
        self.degraded: list[str] = []

    @contextmanager
    def stage(self, name: str) -> Generator[dict[str, float]]:
        """Times a stage; the block may add its own counts to the figures. The times of one that runs twice add up."""
        figures = self.stages.setdefault(name, {})
        began = time.perf_counter()
        try:
            yield figures
        finally:
            figures["ms"] = round(figures.get("ms", 0.0) + (time.perf_counter() - began) * 1000, 3)

    def degrade(self, what: str) -> None:
        """Notes that a part was left out, so that the answer can say so."""
        if what not in self.degraded:
            self.degraded.append(what)
