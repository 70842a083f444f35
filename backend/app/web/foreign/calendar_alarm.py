"""A VALARM (RFC 5545, section 3.6.6) as a reminder: when it comes, and what else it says."""

from typing import Final

from backend.app.web.foreign.content_lines import ContentLine
from backend.app.web.foreign.drafts import Notes

# What says nothing that is missed: a reminder has the title of its task.
_SILENT: Final = frozenset({"DESCRIPTION", "SUMMARY", "UID", "X-WR-ALARMUID", "ACKNOWLEDGED", "X-APPLE-DEFAULT-ALARM"})
# Apple's, and section 8.1 of RFC 9074.
_PLACES: Final = frozenset({"X-APPLE-PROXIMITY", "PROXIMITY"})


class Alarm:
    """The properties of one VALARM."""

    def __init__(self, line: int, notes: Notes) -> None:
        self._line = line
        self._notes = notes
        self._trigger: ContentLine | None = None
        self._action = ""
        self._is_at_place = False

    def add(self, line: ContentLine) -> None:
        if line.name == "TRIGGER" and self._trigger is None:
            self._trigger = line
        elif line.name == "ACTION" and not self._action:
            self._action = line.value.strip().upper()
        elif line.name in _PLACES:
            self._is_at_place = True
        elif line.name not in _SILENT:
            self._notes.add(line.number, f"{line.name} of an alarm is not taken over")

    @property
    def trigger(self) -> ContentLine | None:
        """The TRIGGER (section 3.8.6.3) of an alarm that is one; else there is a note."""
        if self._is_at_place:
            self._notes.add(self._line, "a reminder of a place is not taken over")
        elif self._action == "NONE":
            self._notes.add(self._line, "an alarm that does nothing (ACTION:NONE) is not taken over")
        elif self._trigger is None:
            self._notes.add(self._line, "an alarm without a TRIGGER is not taken over")
        else:
            if self._action not in ("", "DISPLAY", "AUDIO"):
                self._notes.add(self._line, "the ACTION of an alarm is not taken over: it is a reminder like others")
            return self._trigger
        return None
