"""Tasks that repeat, their due dates as the API gives them, and what their calendars say."""

import random
from datetime import date
from typing import Any

from backend.app.domain import due_dates
from backend.app.domain.recurrence import advance
from backend.app.web.export_formats import ICalendarExport
from tests.support.recurrence_rules import random_rule

OCCURRENCES = 20
# Moments that UTC has, and their zone's calendar has not; the last one is the other way round.
BEYOND = [
    ("9999-12-31T23:59:59Z", "Asia/Tokyo"),
    ("9999-12-31T20:00:00-03:00", "Europe/Berlin"),
    ("0001-01-01T00:30:00Z", "America/New_York"),
    ("0001-01-01T12:00:00+12:00", "America/New_York"),
    ("9999-12-31", "America/New_York"),
]
BLANK: dict[str, Any] = {
    "user_id": "u1", "id": 1, "title": "t", "description": None, "completed": False, "completed_at": None,
    "priority": None, "due_date": None, "start_date": None, "time_zone": None, "recurrence": None, "tags": [],
    "reminders": [],
    "parent_id": None,
    "created_at": "2026-01-01T00:00:00.000000Z", "updated_at": "2026-01-02T03:04:05.678901Z",
}  # fmt: skip
ZONES = [
    "Europe/Berlin", "America/New_York", "Asia/Kolkata", "Pacific/Kiritimati", "America/Santiago", "UTC", "Etc/GMT",
    "Australia/Lord_Howe", "Africa/Casablanca", "Africa/Cairo", "Asia/Gaza", "Europe/Dublin", "America/Nuuk",
    "Antarctica/Troll", "Pacific/Chatham", "America/St_Johns", "Asia/Tehran", "Pacific/Apia", "Asia/Jerusalem",
]  # fmt: skip
OFFSETS = ["Z", "+00:00", "+01:00", "-05:00", "+05:45", "+14:00", "-12:00", "-09:30", "+23:59", "-23:59", "+13:00"]


def written(**members: Any) -> bytes:
    """A whole calendar with this task."""
    file = ICalendarExport()
    return file.head() + file.page([BLANK | members]) + file.foot()


def properties(**members: Any) -> dict[str, str]:
    """The VTODO's properties: what follows their names."""
    text = written(**members).decode().replace("\r\n ", "")
    lines = text[text.index("BEGIN:VTODO") :].split("\r\n")
    return {name: line[len(name) :] for line in lines if (name := line.partition(":")[0].partition(";")[0])}


def task_of(seed: int) -> dict[str, Any]:
    """A task that repeats: on a day, or at a moment, with whatever offset in whatever zone."""
    choose = random.Random(seed)  # noqa: S311 - no secret
    day = date(choose.randint(2023, 2060), choose.randint(1, 12), choose.randint(1, 28))
    hour = f"T{choose.choice(['00', '02', '09', '23'])}:30:00"
    return {
        "due_date": day.isoformat() + (hour + choose.choice(OFFSETS) if choose.random() < 0.75 else ""),
        "time_zone": choose.choice(ZONES) if choose.random() < 0.6 else None,
        "recurrence": random_rule(choose),
    }


def in_api(task: dict[str, Any]) -> list[str]:
    """The due dates of a task that is completed twenty times: local days, with wall times where it has them."""
    due, rule, found = task["due_date"], task["recurrence"], [task["due_date"]]
    for _ in range(OCCURRENCES):
        following = advance(due, rule, time_zone=task["time_zone"], completed_at=None)
        if following is None:
            break
        due, rule = following.due, following.rule
        found.append(due)
    walls = [(due_dates.local(due, task["time_zone"]), due.offset) for due in map(due_dates.read, found)]
    return [str(wall.date() if offset is None else wall) for wall, offset in walls]
