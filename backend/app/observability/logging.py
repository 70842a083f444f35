"""How a log line is written: one JSON object a line, on standard output."""

import asyncio
import contextlib
import logging
import sys
import time
from functools import lru_cache
from typing import Any, TextIO

import orjson

log = logging.getLogger("tasks")


def log_request(fields: dict[str, Any]) -> None:
    """Log an answered request."""
    log.handle(_RequestRecord(fields))


class _RequestRecord(logging.LogRecord):
    """A record that does not look up who logs, in which thread and process: that is most of what logging costs."""

    def __init__(self, fields: dict[str, Any]) -> None:
        self.__dict__.update(_REQUEST_RECORD)
        self.created = time.time()
        self.fields = fields


_REQUEST_RECORD = logging.LogRecord(log.name, logging.INFO, __file__, 0, "request", None, None).__dict__


class BufferedHandler(logging.StreamHandler[TextIO]):
    """Writes what one turn of the event loop has logged at once: a write for each line is what a log costs most.

    From a warning on, and where no loop runs, nothing waits.
    """

    def __init__(self, stream: TextIO) -> None:
        super().__init__(stream)
        self._waiting: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self._waiting.append(self.format(record))
        if record.levelno >= logging.WARNING:
            self.flush()
        elif len(self._waiting) == 1:
            try:
                asyncio.get_running_loop().call_soon(self.flush)
            except RuntimeError:
                self.flush()

    def flush(self) -> None:
        if self._waiting:
            lines, self._waiting = self._waiting, []
            with contextlib.suppress(OSError, ValueError):  # nobody reads the log any more: no reason not to serve
                self.stream.write("\n".join(lines) + "\n")
                self.stream.flush()


class JSONFormatter(logging.Formatter):
    """One JSON object a line: time, level, event, and the fields that came with it."""

    def format(self, record: logging.LogRecord) -> str:
        fields = getattr(record, "fields", {})
        line = {
            "time": _rfc3339(record.created),
            "level": record.levelname.lower(),
            "event": record.getMessage(),
            **fields,
        }
        return orjson.dumps(line, default=str).decode()


def _rfc3339(seconds: float) -> str:
    return f"{_to_the_second(int(seconds))}.{int(seconds % 1 * 1000):03d}Z"


@lru_cache(maxsize=2)
def _to_the_second(seconds: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds))


def configure_logging(level: str) -> None:
    """Send our log to standard output as JSON lines; uvicorn's access log, which says less, is silenced."""
    handler = BufferedHandler(sys.stdout)
    handler.setFormatter(JSONFormatter())
    log.handlers = [handler]
    log.propagate = False
    log.setLevel(level.upper())
    exporting = logging.getLogger("opentelemetry")
    exporting.handlers, exporting.propagate = [handler], False
    access = logging.getLogger("uvicorn.access")
    access.handlers, access.propagate = [], False
