"""A VTODO (RFC 5545, section 3.6.2) as a task: what becomes of each of its properties."""

import re
from typing import Any, Final

from backend.app.domain import reminders
from backend.app.domain.limits import REMINDERS_MAX
from backend.app.domain.rules import read_rule
from backend.app.web.foreign.calendar_alarm import Alarm
from backend.app.web.foreign.calendar_times import When, moment_text, when
from backend.app.web.foreign.calendar_zones import Zones
from backend.app.web.foreign.content_lines import ContentLine
from backend.app.web.foreign.drafts import Draft, Drafts

# How many categories of a task are looked at.
CATEGORIES_MAX: Final = 100
# What says nothing that is missed here.
SILENT: Final = frozenset({"DTSTAMP", "SEQUENCE", "CLASS", "VERSION", "PRODID", "CALSCALE", "METHOD"})
_TIMES: Final = {"CREATED": "created_at", "LAST-MODIFIED": "updated_at"}
_ONCE: Final = frozenset(
    {"SUMMARY", "DESCRIPTION", "STATUS", "PRIORITY", "PERCENT-COMPLETE", "UID", "RRULE", "DURATION"}
    | {"DUE", "DTSTART", "COMPLETED", *_TIMES}
)
# RFC 5545, section 3.8.1.9.
_HIGH_MAX, _MEDIUM, _LOW_MAX = 4, 5, 9
_MONTHS_COUNT: Final = ("MONTHLY", "YEARLY")
# What some programs write inside of a rule and at its end.
_BLANKS: Final = re.compile(r"\s+|;+\s*$")


class Todo:
    """The properties of one VTODO."""

    def __init__(self, line: int, drafts: Drafts, zones: Zones) -> None:
        self.line = line
        self._drafts = drafts
        self._zones = zones
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
            case name if name not in SILENT:
                self._note(line, f"{name} is not taken over")

    def remind(self, alarm: Alarm) -> None:
        """What its TRIGGER counts from is known at the end."""
        line = alarm.trigger
        if line is None:
            return
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
        # vCalendar 1.0 has a blank in place of the hyphen.
        status = self._text("STATUS").strip().upper().replace(" ", "-")
        completed = self._lines.get("COMPLETED")
        if status == "CANCELLED":
            self._note(self._lines["STATUS"], "a cancelled task is taken over as a completed one")
        elif status not in ("", "COMPLETED", "NEEDS-ACTION", "IN-PROCESS"):
            self._note(self._lines["STATUS"], "STATUS is not taken over: it is not known")
        elif status == "IN-PROCESS":
            self._note(self._lines["STATUS"], "a task that is in process is taken over as an open one")
        percent = self._lines.get("PERCENT-COMPLETE")
        text = "0" if percent is None else percent.value.strip()
        done = status in ("COMPLETED", "CANCELLED") or (not status and (completed is not None or text == "100"))
        if percent is not None and text != ("100" if done else "0"):
            self._note(percent, "PERCENT-COMPLETE is not taken over: a task is open or completed")
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
        start, rule = self._when("DTSTART"), self._lines.get("RRULE")
        due = self._end(start)
        # Our own export has the due date of a task that repeats as DTSTART, and DUE a second later.
        if start is not None and rule is not None and (due is None or due.is_second_after(start)):
            due = start
        members: dict[str, Any] = {}
        if start is not None and (due is None or start.due_date != due.due_date):
            members = {"start_date": start.due_date, "time_zone": start.time_zone}
        if due is not None:
            zone = due.time_zone or members.get("time_zone")
            members |= {"due_date": due.due_date, "time_zone": zone, "recurrence": self._rule(rule, start or due, due)}
        elif rule is not None:
            self._note(rule, "RRULE is not taken over: a task that repeats needs a due date")
        return members

    def _end(self, start: When | None) -> When | None:
        """DUE, or what comes to the same: DTSTART and DURATION (section 3.8.2.5)."""
        due, duration = self._when("DUE"), self._lines.get("DURATION")
        if duration is None:
            return due
        later = None if due is not None or start is None else start.after(duration.value.strip().upper())
        if later is None:
            self._note(duration, "DURATION is not taken over")
        return due or later

    def _rule(self, line: ContentLine | None, start: When, due: When) -> str | None:
        if line is None:
            return None
        text = _BLANKS.sub("", line.value).upper()
        try:
            rule = read_rule(text)
        except ValueError as error:
            self._note(line, f"RRULE is not taken over: it {error}")
            return None
        names_days = rule.weekdays or rule.numbered or rule.month_days or rule.months
        if start.day != due.day and (names_days or rule.frequency in _MONTHS_COUNT):
            self._note(line, "RRULE counts from DTSTART in the file, and from DUE here: its days may be others")
        if rule.until is not None:
            return text.replace(f"UNTIL={rule.until}", f"UNTIL={due.until(rule.until, start)}")
        return text

    def _reminders(self, members: dict[str, Any]) -> list[str]:
        kept: dict[str, None] = {}
        for line in self._triggers:
            try:
                text = self._reminder(line, members.get("start_date"), members.get("time_zone"))
                reminders.check([text], members.get("due_date"), members.get("time_zone"))
            except ValueError as error:
                self._note(line, f"a reminder is not taken over: {error}")
            else:
                kept.setdefault(text)
        return list(kept)

    def _reminder(self, line: ContentLine, start: str | None, time_zone: str | None) -> str:
        """A moment, or a duration before the due date: one before a start date is made a moment. Raises ValueError."""
        moment = when(line, self._zones)
        if moment is not None and moment.is_moment:
            self._note_zone(line, moment)
            return moment.due_date
        text = line.value.strip().upper()
        if start is None or line.parameters.get("RELATED", "START").upper() != "START":
            return text
        return f"{reminders.moment(text, start, time_zone).replace(tzinfo=None, microsecond=0).isoformat()}Z"

    def _when(self, name: str) -> When | None:
        line = self._lines.get(name)
        if line is None:
            return None
        found = when(line, self._zones)
        if found is None:
            self._note(line, f"{name} is not taken over: it is no day or moment")
        else:
            self._note_zone(line, found)
        return found

    def _note_zone(self, line: ContentLine, found: When) -> None:
        if found.note is not None:
            self._note(line, found.note.format(name=line.name))

    def _text(self, name: str) -> str:
        line = self._lines.get(name)
        return "" if line is None else line.text

    def _note(self, line: ContentLine, detail: str) -> None:
        self._drafts.notes.add(line.number, detail)
