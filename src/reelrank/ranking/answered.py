"""What was answered a moment ago, by the name of the request: who asks the same again gets the same again."""

import threading
from collections import OrderedDict
from typing import Generic, TypeVar

REPEATED_WITHIN_S = 60.0  # afterwards the same name stands for another request

Answer = TypeVar("Answer")


class Answered(Generic[Answer]):
    """The answers of the last minute, at most so many. For several threads."""

    def __init__(self, at_most: int = 4_096) -> None:
        self._at_most = at_most
        self._lock = threading.Lock()
        self._answers: OrderedDict[str, tuple[float, Answer]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._answers)

    def get(self, name: str) -> Answer | None:
        """The answer to a request of this name; None if there was none, or it was too long ago."""
        with self._lock:
            found = self._answers.get(name)
            return None if found is None else found[1]

    def keep(self, name: str, answer: Answer, now: float) -> None:
        """Keeps the answer to a request of the moment `now` (UTC seconds) for who asks again, as long as somebody may."""
        with self._lock:
            self._answers[name] = now, answer
            while len(self._answers) > self._at_most or next(iter(self._answers.values()))[0] <= now - REPEATED_WITHIN_S:
                self._answers.popitem(last=False)
