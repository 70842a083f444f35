"""A pytest plugin: a test fails that made anything say what must not be said (leaks.py)."""

import logging
import subprocess
from collections.abc import Generator
from typing import Any

import pytest

from backend.app.observability.logging import JSONFormatter
from tests.support import leaks


class Lines:
    """Every line that this run produced since the last look, whoever reads it besides."""

    def __init__(self) -> None:
        self._lines: list[str] = []

    def listen(self) -> None:
        """To our own log before it is written, and to programs whose output a test takes for itself."""
        formatted, communicated = JSONFormatter.format, subprocess.Popen.communicate

        def format_and_keep(formatter: JSONFormatter, record: logging.LogRecord) -> str:
            line = formatted(formatter, record)
            self._lines.append(line)
            return line

        def communicate_and_keep(process: subprocess.Popen[Any], *arguments: Any, **options: Any) -> Any:
            outputs = communicated(process, *arguments, **options)
            for output in filter(None, outputs):
                self.add(output if isinstance(output, str) else output.decode(errors="replace"))
            return outputs

        JSONFormatter.format = format_and_keep  # type: ignore[method-assign, assignment] # it formats
        subprocess.Popen.communicate = communicate_and_keep  # type: ignore[method-assign, assignment] # likewise

    def add(self, text: str) -> None:
        self._lines += text.splitlines()

    def take(self) -> list[str]:
        lines, self._lines = self._lines, []
        return lines


_lines = Lines()


def pytest_configure() -> None:
    _lines.listen()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """A test fails that made anything say what must not be said (leaks.py)."""
    report = yield
    for heading, text in report.sections:
        if heading.endswith(report.when):  # others were judged before
            _lines.add(text)
    if leaked := leaks.found(_lines.take()):
        report.outcome = "failed"
        report.longrepr = "\n".join(["What was written holds", *leaked])
    return report
