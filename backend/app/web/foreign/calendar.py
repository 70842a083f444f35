"""iCalendar's VTODOs (RFC 5545) as Apple Reminders, Nextcloud, Thunderbird and our own export write them."""

from typing import Any, Final

from backend.app import problems
from backend.app.domain import reminders
from backend.app.domain.limits import REMINDERS_MAX
from backend.app.domain.rules import read_rule
from backend.app.schemas.transfer import ForeignArchive
from backend.app.web.foreign.calendar_times import When, moment_text, when, zone_named
from backend.app.web.foreign.content_lines import ContentLine, content_lines
from backend.app.web.foreign.drafts import Draft, Drafts
from backend.app.web.foreign.lines import decoded
from backend.app.web.turns import Steps

COMPONENTS_DEEP_MAX: Final = 10
TODO: Final = "VTODO"
# How many categories of a task are looked at.
CATEGORIES_MAX: Final = 100
# What says nothing that is missed here.
_SILENT: Final = frozenset(
    {"DTSTAMP", "SEQUENCE", "CLASS", "VERSION", "PRODID", "CALSCALE", "METHOD", "PERCENT-COMPLETE"}
)
_TIMES: Final = {"CREATED": "created_at", "LAST-MODIFIED": "updated_at"}
_WHEN: Final = frozenset({"DUE", "DTSTART", "COMPLETED"})
_ONCE: Final = _WHEN | {"SUMMARY", "DESCRIPTION", "STATUS", "PRIORITY", "UID", "RRULE", "DURATION", *_TIMES}
# RFC 5545, section 3.8.1.9.
_HIGH_MAX, _MEDIUM, _LOW_MAX = 4, 5, 9
_NO_FILE: Final = "must be an iCalendar file: it begins with BEGIN:VCALENDAR"


async def read_calendar(text: bytes, steps: Steps, *, max_subtasks: int) -> ForeignArchive:
    """The VTODOs of a file. Raises ValidationFailed for what is no iCalendar file."""
    drafts = Drafts(max_subtasks=max_subtasks)
    reader = _Reader(drafts)
    for line in content_lines(decoded(text)):
        if line is not None:
            reader.read(line)
        if steps.is_over:
            await steps.next_step()
    reader.finish()
    return await drafts.archive(steps)


class _Reader:
    """Reads lines one after the other; what is inside a component that is not known is not looked at."""

    def __init__(self, drafts: Drafts) -> None:
        self._drafts = drafts
        self._inside: list[str] = []
        self._seen = False
        self._zone: str | None = None
        self._todo: _Todo | None = None

    def read(self, line: ContentLine | int) -> None:
        if not isinstance(line, int) and (line.mark, line.value.strip().upper()) == ("BEGIN:", "VCALENDAR"):
            self._seen = True
        self._refuse_before_beginning()
        if isinstance(line, int):
            self._drafts.notes.add(line, "a line that cannot be read is left out")
        elif line.mark == "BEGIN:":
            self._begin(line, line.value.strip().upper())
        elif line.mark == "END:":
            self._end(line, line.value.strip().upper())
        elif self._inside == ["VCALENDAR"]:
            self._of_calendar(line)
        elif self._inside[1:] == [TODO] and self._todo is not None:
            self._todo.add(line)
        elif self._inside[1:] == [TODO, "VALARM"] and line.name == "TRIGGER" and self._todo is not None:
            self._todo.remind(line)

    def finish(self) -> None:
        self._refuse_before_beginning()
        if self._todo is not None:
            self._drafts.notes.add(self._todo.line, "a VTODO without an end is not taken over")

    def _refuse_before_beginning(self) -> None:
        if not self._seen:
            raise problems.ValidationFailed([{"pointer": "#", "detail": _NO_FILE}])

    def _begin(self, line: ContentLine, name: str) -> None:
        if len(self._inside) >= COMPONENTS_DEEP_MAX:
            detail = f"has too many components inside each other on line {line.number}"
            raise problems.ValidationFailed([{"pointer": "#", "detail": detail}])
        self._inside.append(name)
        match self._inside[1:]:
            case ["VTODO"]:
                self._todo = _Todo(line.number, self._drafts, self._zone)
            case [] | ["VTODO", "VALARM"] | ["VTIMEZONE"] | ["VTIMEZONE", _]:
                pass
            case [_] | ["VTODO", _]:
                known = name if name in ("VEVENT", "VJOURNAL", "VFREEBUSY") else "a component"
                self._drafts.notes.add(line.number, f"{known} is not taken over")

    def _end(self, line: ContentLine, name: str) -> None:
        if not self._inside or self._inside[-1] != name:
            self._drafts.notes.add(line.number, "an END without its BEGIN is left out")
            return
        if self._inside[1:] == [TODO] and self._todo is not None:
            self._todo.finish()
            self._todo = None
        self._inside.pop()

    def _of_calendar(self, line: ContentLine) -> None:
        if line.name == "X-WR-TIMEZONE":
            self._zone = zone_named(line.text)
        elif line.name not in _SILENT:
            self._drafts.notes.add(line.number, f"{line.name} is not taken over")


class _Todo:
    """The properties of one VTODO."""

    def __init__(self, line: int, drafts: Drafts, zone: str | None) -> None:
        self.line = line
        self._drafts = drafts
        self._zone = zone
        self._lines: dict[str, ContentLine] = {}
        self._tags: list[str] = []
        self._parent: str | None = None
        self._is_exception = False
        self._triggers: list[ContentLine] = []

    def add(self, line: ContentLine) -> None:
        if line.is_cut:
            self._note(line, "the end of a long line is cut off")
        match line.name:
            case "CATEGORIES":
                texts = line.texts
                self._tags += texts[: CATEGORIES_MAX - len(self._tags)]
                if len(self._tags) == CATEGORIES_MAX:
                    self._note(line, f"categories beyond the first {CATEGORIES_MAX} are not taken over")
            case "RELATED-TO" if line.parameters.get("RELTYPE", "PARENT").upper() == "PARENT" and self._parent is None:
                self._parent = line.text
            case "RECURRENCE-ID":
                self._is_exception = True
            case name if name in _ONCE and name not in self._lines:
                self._lines[name] = line
            case name if name not in _SILENT:
                self._note(line, f"{name} is not taken over")

    def remind(self, line: ContentLine) -> None:
        """A TRIGGER (section 3.8.6.3); what it counts from is known at the end."""
        if len(self._triggers) < REMINDERS_MAX:
            self._triggers.append(line)
        else:
            self._note(line, f"reminders beyond the first {REMINDERS_MAX} are not taken over")

    def finish(self) -> None:
        if self._is_exception:
            self._drafts.notes.add(self.line, "a single occurrence that was changed (RECURRENCE-ID) is not taken over")
            return
        members: dict[str, Any] = {"title": self._text("SUMMARY"), "description": self._text("DESCRIPTION")}
        members |= self._state() | self._due() | {"priority": self._priority()}
        members["reminders"] = self._reminders(members) or None
        for name, member in _TIMES.items():
            if name in self._lines:
                members[member] = moment_text(self._lines[name])
                if members[member] is None:
                    self._note(self._lines[name], f"{name} is not taken over: it is no moment")
        uid = self._lines.get("UID")
        key = None if uid is None else uid.text
        self._drafts.add(Draft(self.line, members, key=key, parent=self._parent, tags=self._tags))

    def _state(self) -> dict[str, Any]:
        status = self._text("STATUS").strip().upper()
        completed = self._lines.get("COMPLETED")
        if status == "CANCELLED":
            self._note(self._lines["STATUS"], "a cancelled task is taken over as a completed one")
        elif status not in ("", "COMPLETED", "NEEDS-ACTION", "IN-PROCESS"):
            self._note(self._lines["STATUS"], "STATUS is not taken over: it is not known")
        elif status == "IN-PROCESS":
            self._note(self._lines["STATUS"], "a task that is in process is taken over as an open one")
        done = status in ("COMPLETED", "CANCELLED") or (not status and completed is not None)
        moment = moment_text(completed) if completed is not None and done else None
        if completed is not None and moment is None:
            self._note(completed, "COMPLETED is not taken over: the task is open, or it is no moment")
        return {"completed": done, "completed_at": moment}

    def _priority(self) -> str | None:
        line = self._lines.get("PRIORITY")
        text = "" if line is None else line.value.strip()
        if line is None or text == "0":
            return None
        number = int(text) if len(text) == 1 and text.isascii() and text.isdigit() else _LOW_MAX + 1
        if number > _LOW_MAX:
            self._note(line, "PRIORITY is not taken over: it is none of 0 to 9")
            return None
        return "high" if number <= _HIGH_MAX else "medium" if number == _MEDIUM else "low"

    def _due(self) -> dict[str, Any]:
        due, start, rule = self._when("DUE"), self._when("DTSTART"), self._lines.get("RRULE")
        # Our own export has the due date of a task that repeats as DTSTART, and DUE a second or a day later.
        begins = start is not None and rule is not None and (due is None or due.is_second_after(start))
        chosen = start if begins else due
        if "DURATION" in self._lines and not begins:
            self._note(self._lines["DURATION"], "DURATION is not taken over")
        members: dict[str, Any] = {}
        if start is not None and not begins and start != due:
            members = {"start_date": start.due_date, "time_zone": start.time_zone}
        if chosen is not None:
            zone = chosen.time_zone or members.get("time_zone")
            members |= {"due_date": chosen.due_date, "time_zone": zone, "recurrence": self._rule(rule)}
        elif rule is not None:
            self._note(rule, "RRULE is not taken over: a task that repeats needs a due date")
        return members

    def _reminders(self, members: dict[str, Any]) -> list[str]:
        kept: dict[str, None] = {}
        for line in self._triggers:
            text = moment_text(line) or line.value.strip().upper()
            of_start = line.parameters.get("RELATED", "START").upper() == "START" and "start_date" in members
            try:
                reminders.check([text], members.get("due_date"), members.get("time_zone"))
            except ValueError as error:
                self._note(line, f"a reminder is not taken over: {error}")
                continue
            if of_start and text[:1] in "+-P":
                self._note(line, "a reminder that counts from DTSTART is not taken over")
            else:
                kept.setdefault(text)
        return list(kept)

    def _rule(self, line: ContentLine | None) -> str | None:
        if line is None:
            return None
        try:
            read_rule(line.value.strip())
        except ValueError as error:
            self._note(line, f"RRULE is not taken over: it {error}")
            return None
        return line.value.strip().upper()

    def _when(self, name: str) -> When | None:
        line = self._lines.get(name)
        if line is None:
            return None
        found = when(line, self._zone)
        if found is None:
            self._note(line, f"{name} is not taken over: it is no day or moment")
        elif found.guessed:
            self._note(line, f"the time zone of {name} is not known: it is taken as UTC")
        return found

    def _text(self, name: str) -> str:
        line = self._lines.get(name)
        return "" if line is None else line.text

    def _note(self, line: ContentLine, detail: str) -> None:
        self._drafts.notes.add(line.number, detail)
