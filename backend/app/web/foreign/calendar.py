"""iCalendar's VTODOs (RFC 5545) as Apple Reminders, Nextcloud, Thunderbird and our own export write them."""

from typing import Final

from backend.app import problems
from backend.app.schemas.transfer import ForeignArchive
from backend.app.web.foreign.calendar_alarm import Alarm
from backend.app.web.foreign.calendar_todo import SILENT, Todo
from backend.app.web.foreign.calendar_zones import Zones, zone_named
from backend.app.web.foreign.content_lines import ContentLine, content_lines, joined_characters
from backend.app.web.foreign.drafts import Drafts
from backend.app.web.foreign.lines import decoded
from backend.app.web.turns import Steps

COMPONENTS_DEEP_MAX: Final = 10
CALENDAR, TODO, ALARM, ZONE = "VCALENDAR", "VTODO", "VALARM", "VTIMEZONE"
_KNOWN: Final = frozenset({CALENDAR, TODO, ALARM, ZONE, "VEVENT", "VJOURNAL", "VFREEBUSY"})
_NO_FILE: Final = "must be an iCalendar file: it begins with BEGIN:VCALENDAR"


async def read_calendar(text: bytes, steps: Steps, *, max_subtasks: int) -> ForeignArchive:
    """The VTODOs of a file. Raises ValidationFailed for what is no iCalendar file."""
    drafts = Drafts(max_subtasks=max_subtasks)
    reader = _Reader(drafts)
    for line in content_lines(_decoded(text)):
        if line is not None:
            reader.read(line)
        if steps.is_over:
            await steps.next_step()
    reader.finish()
    return await drafts.archive(steps)


def _decoded(content: bytes) -> str:
    """Raises ValidationFailed."""
    try:
        return decoded(content)
    except problems.ValidationFailed:
        return decoded(joined_characters(content))


class _Reader:
    """Reads lines one after the other; what is inside a component that is not known is not looked at.

    A component whose END is missing ends where one begins that cannot be inside it.
    """

    def __init__(self, drafts: Drafts) -> None:
        self._drafts = drafts
        self._inside: list[str] = []
        self._seen = False
        self._last_line = 1
        self._zones = Zones()
        self._todo: Todo | None = None
        self._alarm: Alarm | None = None

    def read(self, line: ContentLine | int) -> None:
        if not isinstance(line, int) and (line.mark, line.value.strip().upper()) == ("BEGIN:", CALENDAR):
            self._seen = True
        self._refuse_before_beginning()
        if isinstance(line, int):
            self._drafts.notes.add(line, "a line that cannot be read is left out")
            return
        self._last_line = line.number
        if line.mark == "BEGIN:":
            self._begin(line, line.value.strip().upper())
        elif line.mark == "END:":
            self._end(line, line.value.strip().upper())
        else:
            self._add(line)

    def finish(self) -> None:
        self._refuse_before_beginning()
        if self._todo is not None:
            self._drafts.notes.add(self._todo.line, "a VTODO without an end is not taken over")
        elif self._inside:
            self._drafts.notes.add(self._last_line, "the file ends before END:VCALENDAR: it may have been cut off")

    def _refuse_before_beginning(self) -> None:
        if not self._seen:
            raise problems.ValidationFailed([{"pointer": "#", "detail": _NO_FILE}])

    def _begin(self, line: ContentLine, name: str) -> None:
        if name == CALENDAR:
            self._close(line, 0)
            self._zones = Zones()
        elif not self._inside:
            self._drafts.notes.add(
                line.number, "this component is outside of a calendar: it is read as if it were inside"
            )
            self._inside = [CALENDAR]
        elif name == TODO:
            self._close(line, 1)
        if len(self._inside) >= COMPONENTS_DEEP_MAX:
            detail = f"has too many components inside each other on line {line.number}"
            raise problems.ValidationFailed([{"pointer": "#", "detail": detail}])
        self._inside.append(name)
        match self._inside[1:]:
            case ["VTODO"]:
                self._todo = Todo(line.number, self._drafts, self._zones)
            case ["VTODO", "VALARM"]:
                self._alarm = Alarm(line.number, self._drafts.notes)
            case ["VTIMEZONE"] | ["VTIMEZONE", _]:
                self._zones.enter(name)
            case [_] | ["VTODO", _] | ["VTODO", "VALARM", _]:
                self._drafts.notes.add(line.number, f"{name if name in _KNOWN else 'a component'} is not taken over")

    def _end(self, line: ContentLine, name: str) -> None:
        if name not in self._inside:
            self._drafts.notes.add(line.number, "an END without its BEGIN is left out")
            return
        self._close(line, len(self._inside) - self._inside[::-1].index(name))
        self._end_innermost()

    def _close(self, line: ContentLine, depth: int) -> None:
        """End what is inside more than so many components, though nothing in the file says so."""
        while len(self._inside) > depth:
            name = self._inside[-1]
            what = name if name in _KNOWN else "a component"
            self._drafts.notes.add(line.number, f"the END of {what} is missing before this line")
            self._end_innermost()

    def _end_innermost(self) -> None:
        match self._inside[1:]:
            case ["VTODO"] if self._todo is not None:
                self._todo.finish()
                self._todo = None
            case ["VTODO", "VALARM"] if self._alarm is not None and self._todo is not None:
                self._todo.remind(self._alarm)
            case ["VTIMEZONE"]:
                self._zones.leave()
        self._inside.pop()

    def _add(self, line: ContentLine) -> None:
        match self._inside:
            case []:
                self._drafts.notes.add(line.number, "a line outside of a calendar is left out")
            case [_]:
                self._add_to_calendar(line)
            case [_, "VTODO"] if self._todo is not None:
                self._todo.add(line)
            case [_, "VTODO", "VALARM"] if self._alarm is not None:
                self._alarm.add(line)
            case [_, "VTIMEZONE"] | [_, "VTIMEZONE", _]:
                self._zones.add(line, self._inside[-1])

    def _add_to_calendar(self, line: ContentLine) -> None:
        if line.name == "X-WR-TIMEZONE":
            self._zones.default = zone_named(line.text)
            if self._zones.default is None:
                self._drafts.notes.add(line.number, "X-WR-TIMEZONE is not taken over: it is no zone that is known")
        elif line.name == "METHOD" and line.value.strip().upper() == "CANCEL":
            self._drafts.notes.add(line.number, "METHOD:CANCEL is not heeded: the tasks are taken over as they are")
        elif line.name not in SILENT:
            self._drafts.notes.add(line.number, f"{line.name} is not taken over")
