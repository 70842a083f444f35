"""Todoist's CSV: one row a task, a section, or a comment on the task above it; indents are subtasks.

A section becomes a list; tasks before the first one are in the inbox.
"""

import csv
import re
from collections.abc import Iterator
from typing import Any, Final

from backend.app import problems
from backend.app.domain.limits import DESCRIPTION_MAX_CHARACTERS
from backend.app.schemas.transfer import ForeignArchive
from backend.app.web.foreign.drafts import Draft, Drafts
from backend.app.web.foreign.lines import decoded, lines_of
from backend.app.web.foreign.spoken_dates import spoken
from backend.app.web.turns import Steps

# 1 is the highest there.
PRIORITIES: Final = {"1": "high", "2": "medium", "3": "low", "4": None}
KNOWN: Final = frozenset({"TYPE", "CONTENT", "DESCRIPTION", "PRIORITY", "INDENT", "DATE", "DATE_LANG", "TIMEZONE"})
# What says nothing that is missed: who wrote it is the caller.
SILENT: Final = frozenset({"AUTHOR", "DEADLINE_LANG", "DURATION_UNIT"})
# Columns in which a section says nothing that is missed.
OF_SECTION: Final = KNOWN - {"DESCRIPTION", "DATE"}
INDENT_MAX: Final = 100
# What is read of a file's columns, and of a task's labels; and how long a row may be.
COLUMNS_MAX: Final = 50
LABELS_MAX: Final = 100
ROW_MAX_CHARACTERS: Final = 64 * 1024
ROW_MAX_LINES: Final = 2000
_LABEL: Final = re.compile(r"(?:^|\s)@(\S+)")
_NO_FILE: Final = "must be a CSV file of Todoist: its first line names at least TYPE and CONTENT"


async def read_todoist(text: bytes, steps: Steps, *, max_subtasks: int) -> ForeignArchive:
    """The tasks of a CSV file. Raises ValidationFailed."""
    drafts = Drafts(max_subtasks=max_subtasks)
    reader = _Reader(drafts)
    for line, cells in _rows(decoded(text)):
        reader.read(line, cells)
        if steps.is_over:
            await steps.next_step()
    reader.finish()
    return await drafts.archive(steps)


class _Lines:
    """The lines of a file for a reader that asks for them, at most so many characters and lines for one row."""

    def __init__(self, text: str) -> None:
        self.begins = 1
        self._lines = lines_of(text)
        self._taken = self._characters = 0

    def __iter__(self) -> Iterator[str]:
        for _, line in self._lines:
            self._taken += 1
            self._characters += len(line)
            if self._taken > ROW_MAX_LINES or self._characters > ROW_MAX_CHARACTERS:
                raise csv.Error
            yield f"{line}\n"

    def next_row(self) -> None:
        self.begins += self._taken
        self._taken = self._characters = 0


def _rows(text: str) -> Iterator[tuple[int, list[str]]]:
    """Each row, with the line that it begins on."""
    lines = _Lines(text)
    try:
        for cells in csv.reader(lines, strict=True):
            yield lines.begins, cells[: COLUMNS_MAX + 1]
            lines.next_row()
    except csv.Error:
        detail = f"is no CSV from line {lines.begins} on, or has a row that is too long"
        raise problems.ValidationFailed([{"pointer": "#", "detail": detail}]) from None


class _Reader:
    """Reads rows one after the other; a task is complete when the next one begins."""

    def __init__(self, drafts: Drafts) -> None:
        self._drafts = drafts
        self._columns: list[str] = []
        self._task: Draft | None = None
        # The task that each indent was last, from the first one on.
        self._above: list[int] = []

    def read(self, line: int, cells: list[str]) -> None:
        if not self._columns:
            self._columns = [name.strip().upper() for name in cells[:COLUMNS_MAX]]
            if not {"TYPE", "CONTENT"} <= set(self._columns):
                raise problems.ValidationFailed([{"pointer": "#", "detail": _NO_FILE}])
            return
        row = self._row(line, cells)
        match row.get("TYPE", "").strip().lower():
            case "task":
                self._begin(line, row)
            case "note":
                self._comment(line, row)
            case "section":
                self._begin_section(line, row)
            case "" if not any(cell.strip() for cell in cells):
                pass
            case _:
                self._drafts.notes.add(line, "a row that is no task, section or note is not taken over")

    def _row(self, line: int, cells: list[str]) -> dict[str, str]:
        """The cells by the names of their columns, of which the first one of a name is read."""
        row: dict[str, str] = {}
        lost = any(cell.strip() for cell in cells[len(self._columns) :])
        for name, cell in zip(self._columns, cells, strict=False):
            lost = lost or (name in row and bool(cell.strip()))
            row.setdefault(name, cell)
        if lost:
            self._drafts.notes.add(line, "cells without a column of their own are not taken over")
        return row

    def finish(self) -> None:
        """Raises ValidationFailed for a file without a first line."""
        if not self._columns:
            raise problems.ValidationFailed([{"pointer": "#", "detail": _NO_FILE}])
        self._end()

    def _begin(self, line: int, row: dict[str, str]) -> None:
        self._end()
        content = row.get("CONTENT", "")
        labels = _LABEL.findall(content)
        title = " ".join(_LABEL.sub(" ", content).split()) if labels else content
        members: dict[str, Any] = {"title": title, "description": row.get("DESCRIPTION")}
        if len(labels) > LABELS_MAX:
            self._drafts.notes.add(line, f"labels beyond the first {LABELS_MAX} are not taken over")
        priority = row.get("PRIORITY", "").strip()
        if priority and priority not in PRIORITIES:
            self._drafts.notes.add(line, "PRIORITY is not taken over: it is none of 1 to 4")
        members["priority"] = PRIORITIES.get(priority)
        self._task = Draft(line, {**members, **self._date(line, row)}, key=line, tags=labels[:LABELS_MAX])
        self._indent(line, row.get("INDENT", "").strip())
        self._note_others(line, row, KNOWN)

    def _begin_section(self, line: int, row: dict[str, str]) -> None:
        self._end()
        self._above = []
        self._note_others(line, row, OF_SECTION)
        self._drafts.begin_list(line, row.get("CONTENT", ""))

    def _note_others(self, line: int, row: dict[str, str], known: frozenset[str]) -> None:
        for name, cell in row.items():
            if name not in known | SILENT and cell.strip():
                self._drafts.notes.add(line, f"{name if name.isidentifier() else 'a column'} is not taken over")

    def _date(self, line: int, row: dict[str, str]) -> dict[str, str]:
        text = row.get("DATE", "").strip()
        if not text:
            return {}
        found = spoken(text, row.get("TIMEZONE", "").strip() or None)
        if found is None:
            self._drafts.notes.add(line, "DATE is not taken over: it is written in a way that is not known here")
        return found or {}

    def _indent(self, line: int, text: str) -> None:
        depth = int(text) if text.isascii() and text.isdigit() and 1 <= int(text[:4]) <= INDENT_MAX else 1
        if text not in ("", str(depth)):
            self._drafts.notes.add(line, f"INDENT is not taken over: it is none of 1 to {INDENT_MAX}")
        if depth > 1 and not self._above:
            self._drafts.notes.add(line, "INDENT is not taken over: there is no task above this one")
        depth = min(depth, len(self._above) + 1)
        if depth > 1 and self._task is not None:
            self._task.parent = self._above[depth - 2]
        self._above[depth - 1 :] = [line]

    def _comment(self, line: int, row: dict[str, str]) -> None:
        if self._task is None:
            self._drafts.notes.add(line, "a comment without a task before it is not taken over")
            return
        before, comment = self._task.members.get("description") or "", row.get("CONTENT", "")
        if len(before) + 1 + len(comment) > DESCRIPTION_MAX_CHARACTERS:
            self._drafts.notes.add(line, "a comment for which the description has no room is not taken over")
        else:
            self._task.members["description"] = f"{before}\n{comment}".strip("\n")

    def _end(self) -> None:
        if self._task is not None:
            self._drafts.add(self._task)
            self._task = None
