"""The log, as tests of the middleware read it."""

import io
import json
import logging
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from backend.app.observability.logging import JSONFormatter, configure_logging

Lines = Callable[[], list[dict[str, Any]]]


@pytest.fixture
def written() -> io.StringIO:
    """Where the log is written during a test."""
    return io.StringIO()


@pytest.fixture
def lines(written: io.StringIO) -> Iterator[Lines]:
    """What was logged, read line by line; afterwards the log is as it was."""
    loggers = [logging.getLogger(name) for name in ("tasks", "uvicorn.access")]
    before = [(logger.handlers, logger.propagate, logger.level) for logger in loggers]
    configure_logging("info")
    loggers[0].handlers = [logging.StreamHandler(written)]
    loggers[0].handlers[0].setFormatter(JSONFormatter())

    yield lambda: [json.loads(line) for line in written.getvalue().split("\n") if line]

    for logger, (handlers, propagate, level) in zip(loggers, before, strict=True):
        logger.handlers, logger.propagate = handlers, propagate
        logger.setLevel(level)
