"""The formats of an export: JSON to move in again, CSV for spreadsheets, iCalendar for calendars.

Each is written in pieces, so that an export of any size needs the memory of a page.
"""

import csv
import io
import unicodedata
from array import array
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Final, Protocol

import orjson

from backend.app.schemas.transfer import FORMAT, VERSION
from backend.app.web import calendar_format

Task = Mapping[str, Any]
Completion = Mapping[str, Any]

CSV_COLUMNS: Final = (
    *("id", "title", "description", "completed", "completed_at", "priority", "due_date", "time_zone", "recurrence"),
    *("recurrence_from", "start_date", "tags", "reminders", "parent_id", "list_id", "position"),
    *("created_at", "updated_at"),
)
# What spreadsheets take for the beginning of a formula (OWASP, CSV injection), also in their wide and small forms,
# which NFKC makes plain; and the characters that come before a cell's text without being seen.
FORMULA_SIGNS: Final = frozenset("=+-@\N{MINUS SIGN}")
FORMULA_BLANKS: Final = frozenset("\t\r\n")
# What LibreOffice, and Excel in many countries, part cells at, unless they are in quotation marks.
OTHER_SEPARATORS: Final = (";", "\t")
_UNSEEN: Final = frozenset({"Cc", "Cf", "Zs", "Zl", "Zp", "Mn", "Me"})
BYTE_ORDER_MARK: Final = "\N{ZERO WIDTH NO-BREAK SPACE}".encode()


class Format(Protocol):
    """An export that is under way. So many tasks at once take some milliseconds at most."""

    tasks_at_once: ClassVar[int]

    def head(self) -> bytes: ...

    def page(self, tasks: Sequence[Task]) -> bytes: ...

    def foot(self) -> bytes: ...


class JSONExport:
    """What an import takes. Tasks come in the order of their ids, and completions after them."""

    tasks_at_once: ClassVar[int] = 50

    def __init__(self) -> None:
        self.lists: Sequence[Mapping[str, Any]] = ()
        self._known: set[int] = set()
        # The tasks of the file: eight bytes for each.
        self._ids = array("q")
        self._first = True

    def head(self) -> bytes:
        self._known = {one["id"] for one in self.lists}
        lists = orjson.dumps(self.lists)
        return b'{"format":"%s","version":%d,"lists":%s,"tasks":[' % (FORMAT.encode(), VERSION, lists)

    def page(self, tasks: Sequence[Task]) -> bytes:
        # One that came into a list after the lists were read is written as one of the inbox.
        tasks = [
            task if task["list_id"] is None or task["list_id"] in self._known else {**task, "list_id": None}
            for task in tasks
        ]
        self._ids.extend([task["id"] for task in tasks])
        return self._items(tasks)

    def begin_completions(self) -> bytes:
        self._first = True
        return b'],"completions":['

    def completions(self, completions: Sequence[Completion]) -> bytes:
        # Only of tasks that were written: one that was made since, or deleted before, would be missing in the file.
        return self._items([one for one in completions if self._has(one["task_id"])])

    def foot(self) -> bytes:
        return b"]}\n"

    def _has(self, task_id: int) -> bool:
        place = bisect_left(self._ids, task_id)
        return place < len(self._ids) and self._ids[place] == task_id

    def _items(self, items: Sequence[Mapping[str, Any]]) -> bytes:
        comma = b"" if self._first or not items else b","
        self._first = self._first and not items
        return comma + orjson.dumps(items)[1:-1]


class CSVExport:
    """RFC 4180. Tags are a JSON array; a text that begins like a formula has an apostrophe before it.

    Where a cell has what other programs take for the end of one, all of the row are in quotation marks.

    It begins with a byte order mark unless `mark` is false: Excel takes it for the local code page otherwise.
    """

    tasks_at_once: ClassVar[int] = 50

    def __init__(self, *, mark: bool = True) -> None:
        self._mark = mark

    def head(self) -> bytes:
        return (BYTE_ORDER_MARK if self._mark else b"") + self._lines([CSV_COLUMNS])

    def page(self, tasks: Sequence[Task]) -> bytes:
        return self._lines([[_cell(task[name]) for name in CSV_COLUMNS] for task in tasks])

    def foot(self) -> bytes:
        return b""

    def _lines(self, rows: Sequence[Sequence[str]]) -> bytes:
        text = io.StringIO(newline="")
        plain, quoted = csv.writer(text), csv.writer(text, quoting=csv.QUOTE_ALL)
        for row in rows:
            (quoted if any(sign in cell for cell in row for sign in OTHER_SEPARATORS) else plain).writerow(row)
        return text.getvalue().encode()


class ICalendarExport:
    """RFC 5545: a VTODO for each task, a VTIMEZONE before the first one that is at home there."""

    # A zone that is met for the first time takes about a millisecond.
    tasks_at_once: ClassVar[int] = 5

    def __init__(self) -> None:
        self._zones: set[str] = set()
        self._empty = True

    def head(self) -> bytes:
        return b"BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//tasks-backend//tasks//EN\r\n"

    def page(self, tasks: Sequence[Task]) -> bytes:
        self._empty = self._empty and not tasks
        return b"".join(self._component(task) for task in tasks)

    def foot(self) -> bytes:
        # A calendar has at least one component (section 3.6).
        return (calendar_format.zone_component("Etc/UTC") if self._empty else b"") + b"END:VCALENDAR\r\n"

    def _component(self, task: Task) -> bytes:
        zone, todo = calendar_format.todo(task)
        if zone is None or zone in self._zones:
            return todo
        self._zones.add(zone)
        return calendar_format.zone_component(zone) + todo


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
    return f"'{value}" if isinstance(value, str) and _is_like_a_formula(value) else str(value)


def _is_like_a_formula(text: str) -> bool:
    """Whether a cell may be computed: by its first character that is seen, or by a blank that hides one."""
    if not text or text[0].isalnum():
        return False
    if text[0] in FORMULA_BLANKS:
        return True
    seen = next((character for character in text if unicodedata.category(character) not in _UNSEEN), "")
    return unicodedata.normalize("NFKC", seen)[:1] in FORMULA_SIGNS if seen else False
