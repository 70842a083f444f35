"""How log lines are written: together, and at once where it matters."""

import asyncio
import io
import logging
from typing import Any

from backend.app.observability.logging import BufferedHandler


class Written(io.StringIO):
    """A stream that counts its writes."""

    def __init__(self) -> None:
        super().__init__()
        self.writes: list[str] = []

    def write(self, text: str) -> int:
        self.writes.append(text)
        return super().write(text)


def lines_on(stream: Any) -> logging.Logger:
    logger = logging.Logger("together", logging.INFO)
    logger.addHandler(BufferedHandler(stream))
    return logger


async def test_lines_of_one_turn_are_written_together() -> None:
    """In their order, at the end of the loop's turn, in one write."""
    stream = Written()
    logger = lines_on(stream)

    for word in ("one", "two", "three"):
        logger.info(word)
    before = list(stream.writes)
    await asyncio.sleep(0)

    assert (before, stream.writes) == ([], ["one\ntwo\nthree\n"])


async def test_a_warning_does_not_wait() -> None:
    """Nor does what was logged before it."""
    stream = Written()
    logger = lines_on(stream)

    logger.info("before")
    logger.warning("now")

    assert stream.writes == ["before\nnow\n"]


def test_without_a_loop_every_line_is_written_at_once() -> None:
    """While the program starts and ends there may be none."""
    stream = Written()
    logger = lines_on(stream)

    logger.info("starting")

    assert stream.writes == ["starting\n"]


def test_a_log_that_nobody_reads_stops_nothing() -> None:
    """A closed pipe or file loses the line, and no more."""
    stream = Written()
    logger = lines_on(stream)
    stream.close()

    logger.warning("lost")
