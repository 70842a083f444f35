"""The formats of an export: JSON to move in again, CSV for spreadsheets, iCalendar for calendars.

Each is written in pieces, so that an export of any size needs the memory of a page.
"""

import csv
import io
import uuid
from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Any, Final, Protocol

import orjson

from backend.app.domain import due_dates
from backend.app.schemas.transfer import FORMAT, VERSION

Task = Mapping[str, Any]

CSV_COLUMNS: Final = (
    *("id", "title", "description", "completed", "completed_at", "priority", "due_date", "time_zone", "recurrence"),
    *("recurrence_from", "tags", "parent_id", "created_at", "updated_at"),
)
# What spreadsheets take for the beginning of a formula (OWASP, CSV injection).
FORMULAS: Final = ("=", "+", "-", "@", "\t", "\r")
# RFC 5545, section 3.8.1.9: 1 to 4 are high, 5 is medium, 6 to 9 are low.
ICALENDAR_PRIORITIES: Final = {"high": 1, "medium": 5, "low": 9}


class Format(Protocol):
    """An export that is under way."""

    def head(self) -> bytes: ...

    def page(self, tasks: Sequence[Task]) -> bytes: ...

    def foot(self) -> bytes: ...


class JSONExport:
    """What an import takes."""

    def __init__(self) -> None:
        self._first = True

    def head(self) -> bytes:
        return b'{"format":"%s","version":%d,"tasks":[' % (FORMAT.encode(), VERSION)

    def page(self, tasks: Sequence[Task]) -> bytes:
        comma = b"" if self._first or not tasks else b","
        self._first = self._first and not tasks
        return comma + orjson.dumps(tasks)[1:-1]

    def foot(self) -> bytes:
        return b"]}\n"


class CSVExport:
    """RFC 4180. Tags are a JSON array; a text that begins like a formula has an apostrophe before it."""

    def head(self) -> bytes:
        return self._lines([CSV_COLUMNS])

    def page(self, tasks: Sequence[Task]) -> bytes:
        return self._lines([[_cell(task[name]) for name in CSV_COLUMNS] for task in tasks])

    def foot(self) -> bytes:
        return b""

    def _lines(self, rows: Sequence[Sequence[str]]) -> bytes:
        text = io.StringIO(newline="")
        csv.writer(text).writerows(rows)
        return text.getvalue().encode()


class ICalendarExport:
    """RFC 5545: a VTODO for each task, a VTIMEZONE before the first one that is at home there."""

    def __init__(self) -> None:
        self._zones: set[str] = set()

    def head(self) -> bytes:
        return b"BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//tasks-backend//tasks//EN\r\n"

    def page(self, tasks: Sequence[Task]) -> bytes:
        return b"".join(self._zone(task) + _todo(task) for task in tasks)

    def foot(self) -> bytes:
        return b"END:VCALENDAR\r\n"

    def _zone(self, task: Task) -> bytes:
        name = task["time_zone"]
        if name is None or name in self._zones or not isinstance(_due(task), datetime):
            return b""
        self._zones.add(name)
        from icalendar import Timezone  # noqa: PLC0415 - loaded by the first export of this kind

        return bytes(Timezone.from_tzid(name).to_ical())


FORMATS: Final[dict[str, tuple[str, type[Format]]]] = {
    "application/json": ("tasks.json", JSONExport),
    "text/csv": ("tasks.csv", CSVExport),
    "text/calendar": ("tasks.ics", ICalendarExport),
}


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool | list):
        return orjson.dumps(value).decode()
    text = str(value)
    return f"'{text}" if isinstance(value, str) and text.startswith(FORMULAS) else text


def _due(task: Task) -> date | datetime | None:
    """A day, or a date-time: in the task's time zone where it has one, else in UTC."""
    if task["due_date"] is None:
        return None
    written = due_dates.read(task["due_date"])
    if written.offset is None:
        return written.wall.date()
    moment = due_dates.instant(task["due_date"], None)
    return moment if task["time_zone"] is None else moment.astimezone(due_dates.zone(task["time_zone"]))


def _todo(task: Task) -> bytes:
    from icalendar import Todo, vRecur  # noqa: PLC0415 - as above

    todo = Todo()
    todo.add("uid", _uid(task["user_id"], task["id"]))
    todo.add("dtstamp", datetime.fromisoformat(task["updated_at"]))
    todo.add("created", datetime.fromisoformat(task["created_at"]))
    todo.add("last-modified", datetime.fromisoformat(task["updated_at"]))
    todo.add("summary", task["title"])
    todo.add("status", "COMPLETED" if task["completed"] else "NEEDS-ACTION")
    if task["description"] is not None:
        todo.add("description", task["description"])
    if task["completed_at"] is not None:
        todo.add("completed", datetime.fromisoformat(task["completed_at"]))
    if task["priority"] is not None:
        todo.add("priority", ICALENDAR_PRIORITIES[task["priority"]])
    if task["tags"]:
        todo.add("categories", task["tags"])
    if task["parent_id"] is not None:
        todo.add("related-to", _uid(task["user_id"], task["parent_id"]))
    point = _due(task)
    if point is not None:
        todo.add("due", point)
    if task["recurrence"] is not None:
        todo.add("dtstart", point)
        todo.add("rrule", vRecur.from_ical(task["recurrence"].upper()))
    return bytes(todo.to_ical())


def _uid(user_id: str, task_id: int) -> str:
    """The same in every export, and nobody's id in clear."""
    return str(uuid.uuid5(uuid.NAMESPACE_URL, f"urn:tasks:{user_id}:{task_id}"))
