"""The table that is printed, and what in it is not as it should be."""

import os
from datetime import UTC, datetime


class Report:
    """Rows of what was tried and what came of it."""

    def __init__(self, versions: str) -> None:
        self._versions = versions
        self._rows: list[tuple[str, str]] = []
        self.failures: list[str] = []

    def add(self, what: str, result: str) -> None:
        self._rows.append((what, result))
        print(f"{what}: {result}", flush=True)

    def require(self, holds: bool, otherwise: str) -> None:
        if not holds:
            self.failures.append(otherwise)

    def text(self) -> str:
        """As it stands in docs/scaling.md."""
        head = f"{datetime.now(UTC):%Y-%m-%d}, {self._versions}, {os.cpu_count()} cores"
        return "\n".join((f"| {head} | |", "| --- | --- |", *(f"| {what} | {result} |" for what, result in self._rows)))
