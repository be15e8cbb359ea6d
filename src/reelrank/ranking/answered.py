"""What was answered a moment ago, by the name of the request: who asks the same again gets the same again."""

import threading
from collections import OrderedDict
from typing import Generic, TypeVar

Answer = TypeVar("Answer")


class Answered(Generic[Answer]):
    """The latest answers, at most so many. For several threads."""

    def __init__(self, at_most: int = 4_096) -> None:
        self._at_most = at_most
        self._lock = threading.Lock()
        self._answers: OrderedDict[str, Answer] = OrderedDict()

    def get(self, name: str) -> Answer | None:
        """The answer to a request of this name; None if there was none, or it was too long ago."""
        with self._lock:
            return self._answers.get(name)

    def keep(self, name: str, answer: Answer) -> None:
        """Keeps an answer for who asks again."""
        with self._lock:
            self._answers[name] = answer
            if len(self._answers) > self._at_most:
                self._answers.popitem(last=False)
