"""What every connection to Kafka shares: the log, in which a server that stays away is one line now and then."""

import logging
import re
import threading
import time

_EVERY_S = 10.0
_CHANGING = re.compile(r"#\w+-\d+|\(after .*|\d+")  # in lines that say the same


class _NowAndThen(logging.Filter):
    """Lets the same line through every few seconds: librdkafka tells of every attempt to connect, and warns of properties that we chose."""

    def __init__(self) -> None:
        super().__init__()
        self._said: dict[str, float] = {}
        self._lock = threading.Lock()

    def filter(self, record: logging.LogRecord) -> bool:
        if "is experimental" in record.getMessage():
            return False
        line, now = _CHANGING.sub("", record.getMessage()), time.monotonic()
        with self._lock:
            if now - self._said.get(line, -_EVERY_S) < _EVERY_S:
                return False
            self._said = {other: at for other, at in self._said.items() if now - at < _EVERY_S} | {line: now}
            return True


log = logging.getLogger("reelrank.kafka")
log.addFilter(_NowAndThen())
