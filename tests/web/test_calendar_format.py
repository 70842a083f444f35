"""VTODOs without HTTP: what they say, and that other programs find the same days in them as the API."""

import itertools
import time
from datetime import datetime, timedelta
from typing import Any

import icalendar
import pytest
import recurring_ical_events

from backend.app.domain import due_dates, recurrence
from backend.app.web.calendar_format import zone_component
from backend.app.web.export_formats import ICalendarExport
from tests.support.calendars import BLANK, OCCURRENCES, in_api, properties, task_of, written

STEP_SECONDS = 0.02


def in_calendar(task: dict[str, Any]) -> list[str]:
    """What recurring-ical-events makes of it, told in the same way."""
    where = due_dates.local_zone(due_dates.read(task["due_date"]), task["time_zone"])
    calendar = icalendar.Calendar.from_ical(written(**task))
    found = recurring_ical_events.of(calendar, components=["VTODO"]).after(datetime(2020, 1, 1))  # noqa: DTZ001 - wall time
    starts = (one["DTSTART"].dt for one in itertools.islice(found, OCCURRENCES + 1))
    return [str(_wall(start, where) if isinstance(start, datetime) else start) for start in starts]


def _wall(start: datetime, where: Any) -> datetime:
    return (start.astimezone(where) if start.utcoffset() == timedelta() else start).replace(tzinfo=None)


@pytest.mark.no_cover  # twice as fast, and no line is reached by this alone
@pytest.mark.parametrize("seed", range(500))
def test_a_calendar_has_the_apis_next_twenty_due_dates(seed: int) -> None:
    """Also where the first day is none of the rule's, which some libraries leave out."""
    task = task_of(seed)
    try:
        recurrence.check(task["due_date"], task["recurrence"], task["time_zone"])
    except ValueError:
        return

    ours, theirs = in_api(task), in_calendar(task)

    assert theirs in (ours, ours[: OCCURRENCES + 1]) or theirs[:OCCURRENCES] == ours[1:]


BERLIN = "Europe/Berlin"
SCHEDULES: list[tuple[str, str | None, str | None, dict[str, str]]] = [
    # Once: DUE alone, and in UTC where there is no zone.
    ("2026-01-05", None, None, {"DUE": ";VALUE=DATE:20260105"}),
    ("2026-01-05", BERLIN, None, {"DUE": ";VALUE=DATE:20260105"}),
    ("2026-01-05T10:00:00.5Z", None, None, {"DUE": ":20260105T100000Z"}),
    ("2026-01-05T10:00:00+01:00", None, None, {"DUE": ":20260105T090000Z"}),
    ("2026-01-05T10:00:00+01:00", BERLIN, None, {"DUE": f";TZID={BERLIN}:20260105T100000"}),
    ("2026-01-05T10:00:00Z", BERLIN, None, {"DUE": f";TZID={BERLIN}:20260105T110000"}),
    ("2026-01-05T10:00:00+01:00", "UTC", None, {"DUE": ":20260105T090000Z"}),
    # An hour that comes twice: the second, and one that is left out, are moments that a wall time does not say.
    ("2026-10-25T02:30:00+02:00", BERLIN, None, {"DUE": f";TZID={BERLIN}:20261025T023000"}),
    ("2026-10-25T02:30:00+01:00", BERLIN, None, {"DUE": ":20261025T013000Z"}),
    ("2026-03-29T02:30:00+01:00", BERLIN, None, {"DUE": f";TZID={BERLIN}:20260329T023000"}),
    ("2026-03-29T02:30:00+02:00", BERLIN, None, {"DUE": ":20260329T003000Z"}),
    # Again and again: DTSTART is the due date, and what ends later says that it is due.
    ("2026-01-05", None, "FREQ=DAILY", {"DTSTART": ";VALUE=DATE:20260105", "DURATION": ":P1D", "RRULE": ":FREQ=DAILY"}),
    ("2026-01-05T10:00:00Z", None, "FREQ=DAILY", {"DTSTART": ":20260105T100000Z", "DUE": ":20260105T100001Z"}),
    ("2026-01-05T23:59:59+01:00", BERLIN, "FREQ=DAILY",
     {"DTSTART": f";TZID={BERLIN}:20260105T235959", "DUE": f";TZID={BERLIN}:20260106T000000"}),
    ("2026-01-05T00:30:00+01:00", None, "FREQ=DAILY", {"DTSTART": ";TZID=Etc/GMT-1:20260105T003000"}),
    ("2026-01-05T00:30:00-12:00", None, "FREQ=DAILY", {"DTSTART": ";TZID=Etc/GMT+12:20260105T003000"}),
    ("2026-01-05T00:30:00-13:00", None, "FREQ=DAILY", {"DTSTART": ";TZID=UTC-1300:20260105T003000"}),
    ("2026-01-05T00:30:00+05:45", None, "FREQ=DAILY", {"DTSTART": ";TZID=UTC+0545:20260105T003000"}),
    ("2026-01-05T00:30:00-09:30", None, "FREQ=DAILY", {"DTSTART": ";TZID=UTC-0930:20260105T003000"}),
    # UNTIL has the type of DTSTART, and includes what the API includes.
    ("2026-01-05", None, "FREQ=DAILY;UNTIL=20270101T000000Z", {"RRULE": ":FREQ=DAILY;UNTIL=20270101"}),
    ("2026-01-05", BERLIN, "FREQ=DAILY;UNTIL=20261231T230000Z", {"RRULE": ":FREQ=DAILY;UNTIL=20270101"}),
    ("2026-01-05", BERLIN, "FREQ=DAILY;UNTIL=20270101T120000", {"RRULE": ":FREQ=DAILY;UNTIL=20270101"}),
    ("2026-01-05T10:00:00Z", None, "FREQ=DAILY;UNTIL=20270101", {"RRULE": ":FREQ=DAILY;UNTIL=20270101T235959Z"}),
    ("2026-01-05T10:00:00+01:00", BERLIN, "FREQ=DAILY;UNTIL=20270701", {"RRULE": ":FREQ=DAILY;UNTIL=20270701T215959Z"}),
    ("2026-01-05T10:00:00+01:00", BERLIN, "FREQ=DAILY;UNTIL=20270101T100000",
     {"RRULE": ":FREQ=DAILY;UNTIL=20270101T090000Z"}),
    ("2026-01-05T10:00:00+01:00", None, "FREQ=DAILY;UNTIL=20270101T100000",
     {"RRULE": ":FREQ=DAILY;UNTIL=20270101T090000Z"}),
    ("2026-01-05T10:00:00+01:00", BERLIN, "FREQ=DAILY;UNTIL=20270101T080000Z",
     {"RRULE": ":FREQ=DAILY;UNTIL=20270101T080000Z"}),
    ("2026-01-05T02:30:00+01:00", BERLIN, "FREQ=DAILY;UNTIL=20260329T023000",
     {"RRULE": ":FREQ=DAILY;UNTIL=20260329T013000Z"}),
    ("2026-01-05T10:00:00-05:00", "America/New_York", "FREQ=DAILY;UNTIL=99991231T235959",
     {"RRULE": ":FREQ=DAILY;UNTIL=99991231T235959Z"}),
    # The rule in its plain form.
    ("2026-01-05", None, "wkst=su;interval=02;byday=+1mo,-1fr;bymonth=01,7;freq=monthly",
     {"RRULE": ":FREQ=MONTHLY;INTERVAL=2;BYMONTH=1,7;BYDAY=-1FR,1MO;WKST=SU"}),
    ("2026-01-30", None, "FREQ=MONTHLY;BYDAY=MO,TU,WE,TH,FR;BYSETPOS=-1;COUNT=3",
     {"RRULE": ":FREQ=MONTHLY;COUNT=3;BYDAY=MO,TU,WE,TH,FR;BYSETPOS=-1"}),
    ("2026-01-31", None, "FREQ=MONTHLY;BYMONTHDAY=-1", {"RRULE": ":FREQ=MONTHLY;BYMONTHDAY=-1"}),
    ("2026-01-05", None, "FREQ=MONTHLY;BYDAY=MO,1TU", {"RRULE": ":FREQ=MONTHLY;BYDAY=1MO,1TU,2MO,3MO,4MO,5MO"}),
    # Said so that all readers take it alike: some need the day of a leap year, and the months of a day.
    ("2024-02-29", None, "FREQ=YEARLY", {"RRULE": ":FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=29"}),
    ("2024-02-29", None, "FREQ=YEARLY;BYMONTH=2;INTERVAL=4",
     {"RRULE": ":FREQ=YEARLY;INTERVAL=4;BYMONTH=2;BYMONTHDAY=29"}),
    ("2026-12-24", None, "FREQ=YEARLY", {"RRULE": ":FREQ=YEARLY"}),
    ("2026-12-31", None, "FREQ=YEARLY;BYMONTH=1,12", {"RRULE": ":FREQ=MONTHLY;BYMONTH=1,12;BYMONTHDAY=31"}),
    ("2026-01-01", None, "FREQ=YEARLY;BYMONTHDAY=1;COUNT=3", {"RRULE": ":FREQ=MONTHLY;COUNT=3;BYMONTHDAY=1"}),
    ("2026-01-01", None, "FREQ=YEARLY;INTERVAL=2;BYMONTHDAY=1", {"RRULE": ":FREQ=YEARLY;INTERVAL=2;BYMONTHDAY=1"}),
    ("2026-02-13", None, "FREQ=YEARLY;BYMONTHDAY=13;BYDAY=FR", {"RRULE": ":FREQ=YEARLY;BYMONTHDAY=13;BYDAY=FR"}),
    ("2026-01-01", None, "FREQ=YEARLY;BYMONTHDAY=1;BYSETPOS=1", {"RRULE": ":FREQ=YEARLY;BYMONTHDAY=1;BYSETPOS=1"}),
    # A COUNT from a day that is none of the rule's would be read in two ways, a great one is left.
    ("2026-01-01", None, "FREQ=WEEKLY;BYDAY=MO;COUNT=2", {"RRULE": ":FREQ=WEEKLY;UNTIL=20260112;BYDAY=MO"}),
    ("2026-01-01", None, "FREQ=WEEKLY;BYDAY=MO;COUNT=367", {"RRULE": ":FREQ=WEEKLY;COUNT=367;BYDAY=MO"}),
    # What does not come again is due once: expanded, such a rule has no day at all.
    ("2026-01-01", None, "FREQ=DAILY;UNTIL=20200101", {"DUE": ";VALUE=DATE:20260101"}),
    ("2026-01-06", None, "FREQ=DAILY;INTERVAL=7;BYDAY=MO", {"DUE": ";VALUE=DATE:20260106"}),
    # Rows from before such dates were refused, the ends of the calendar, and a zone that the system has not any more.
    ("0001-01-01T00:00:00+23:59", None, "FREQ=DAILY", {"COMMENT": ":due_date: 0001-01-01T00:00:00+23:59"}),
    ("2016-12-31T23:59:60Z", "Asia/Tokyo", None, {"COMMENT": ":due_date: 2016-12-31T23:59:60Z"}),
    ("2026-01-01", None, "FREQ=HOURLY", {"DUE": ";VALUE=DATE:20260101"}),
    ("9999-12-31T23:59:59Z", "Asia/Tokyo", "FREQ=DAILY", {"DUE": ":99991231T235959Z"}),
    ("0001-01-01T00:30:00Z", "America/New_York", None, {"DUE": ":00010101T003000Z"}),
    ("9999-12-31", "Pacific/Kiritimati", None, {"DUE": ";VALUE=DATE:99991231"}),
    ("0001-01-01", None, "FREQ=DAILY", {"DTSTART": ";VALUE=DATE:00010101", "DURATION": ":P1D"}),
    ("1500-01-01T10:00:00Z", BERLIN, "FREQ=DAILY", {"DTSTART": ":15000101T100000Z"}),
    ("2026-01-05T10:00:00+01:00", "Gone/Zone", None, {"DUE": ":20260105T090000Z"}),
    ("2026-01-05", "Gone/Zone", "FREQ=DAILY", {"DUE": ";VALUE=DATE:20260105"}),
]  # fmt: skip


@pytest.mark.parametrize(("due", "time_zone", "rule", "expected"), SCHEDULES)
def test_a_schedule_is_told_as_rfc_5545_has_it(
    due: str, time_zone: str | None, rule: str | None, expected: dict[str, str]
) -> None:
    """The types, the order of DTSTART and DUE, and each TZID defined before it is used."""
    found = properties(due_date=due, time_zone=time_zone, recurrence=rule)

    assert {name: found.get(name) for name in expected} == expected
    assert ("DTSTART" in found) == ("RRULE" in found)
    assert ("DTSTART" in found) == ("DURATION" in found or ("DUE" in found and rule is not None and "RRULE" in found))
    text = written(due_date=due, time_zone=time_zone, recurrence=rule)
    for value in found.values():
        if value.startswith(";TZID="):
            zone = value[6:].partition(":")[0]
            assert text.index(f"\r\nTZID:{zone}\r\n".encode()) < text.index(b"BEGIN:VTODO")


def test_the_last_second_has_none_after_it() -> None:
    """Due when the calendar ends, and once more: the duration says what no DUE can."""
    found = properties(due_date="9999-12-30T23:59:59Z", recurrence="FREQ=DAILY")
    assert (found["DUE"], found["DTSTART"]) == (":99991231T000000Z", ":99991230T235959Z")


TEXTS = [
    ("a\\b;c,d", "a\\\\b\\;c\\,d"),
    ("a\nb", "a\\nb"),
    ("a\r\nb\rc", "a\\nb\\nc"),
    ("a\x0bb\x0cc\x85d\u2028e\u2029f", "a\\nb\\nc\\nd\\ne\\nf"),
    ("a\x01\x1b\x7f\x80\x9f\x08b", "ab"),
    ("a\tb", "a\tb"),
    ("END:VTODO\r\nBEGIN:VALARM", "END:VTODO\\nBEGIN:VALARM"),
    ("\N{ZERO WIDTH NO-BREAK SPACE}é🦊", "\N{ZERO WIDTH NO-BREAK SPACE}é🦊"),
]


@pytest.mark.parametrize(("text", "expected"), TEXTS)
def test_text_has_no_characters_that_rfc_5545_forbids(text: str, expected: str) -> None:
    """Section 3.3.11: no controls but tabs; and nothing that any reader takes for the end of a line."""
    found = properties(title=text, description=text, tags=[text])

    assert found["SUMMARY"] == found["DESCRIPTION"] == found["CATEGORIES"] == f":{expected}"


@pytest.mark.parametrize("letter", ["x", "é", "€", "🦊", "\\", "\n"])
@pytest.mark.parametrize("length", [60, 66, 67, 68, 69, 70, 73, 74, 75, 76, 148, 149, 1000])
def test_long_lines_are_folded_between_characters(letter: str, length: int) -> None:
    """Section 3.1: at most 75 octets, each line readable alone; unfolded it is the same again."""
    file = written(title=letter * length)
    [todo] = icalendar.Calendar.from_ical(file).walk("VTODO")

    assert all(len(line) <= 75 and line.decode() is not None for line in file.split(b"\r\n"))
    assert str(todo["SUMMARY"]) == letter * length


def test_a_task_says_all_that_it_is() -> None:
    found = properties(completed=True, completed_at="2026-01-03T00:00:00.5Z", priority="medium", parent_id=2)

    assert (found["STATUS"], found["COMPLETED"], found["PRIORITY"]) == (":COMPLETED", ":20260103T000000Z", ":5")
    assert (found["CREATED"], found["LAST-MODIFIED"], found["DTSTAMP"]) == (
        ":20260101T000000Z",
        *[":20260102T030405Z"] * 2,
    )
    assert found["RELATED-TO"] != found["UID"]


@pytest.mark.parametrize(
    ("members", "trigger"),
    [
        ({"reminders": ["-PT30M"], "due_date": "2026-12-24T18:00:00Z"}, "TRIGGER;RELATED=END:-PT30M"),
        ({"reminders": ["PT9H"], "due_date": "2026-12-24"}, "TRIGGER;RELATED=END:PT9H"),
        # What repeats has its due date as DTSTART, from which a TRIGGER counts by itself.
        ({"reminders": ["-P1D"], "due_date": "2026-12-24", "recurrence": "FREQ=DAILY"}, "TRIGGER:-P1D"),
        ({"reminders": ["2026-12-24T09:00:00.5+01:00"]}, "TRIGGER;VALUE=DATE-TIME:20261224T080000Z"),
    ],
)
def test_a_reminder_is_an_alarm(members: dict[str, Any], trigger: str) -> None:
    """RFC 5545, section 3.6.6: with an action, a text and a trigger, inside its task."""
    file = written(title="a; b", **members).decode()
    [alarm] = icalendar.Calendar.from_ical(file).walk("VALARM")

    assert f"\r\nBEGIN:VALARM\r\nACTION:DISPLAY\r\nDESCRIPTION:a\\; b\r\n{trigger}\r\nEND:VALARM\r\nEND:VTODO" in file
    assert str(alarm["ACTION"]) == "DISPLAY"


def test_what_was_stored_before_it_was_refused_breaks_no_export() -> None:
    """A start date and reminders that cannot be read any more are left out."""
    found = properties(start_date="0001-01-01T00:00:00+23:59", due_date="2026-12-24", reminders=["soon", "-P1D"])

    assert (found["DUE"], "DTSTART" in found, found["TRIGGER"]) == (";VALUE=DATE:20261224", False, ";RELATED=END:-P1D")


def test_an_empty_calendar_has_a_component() -> None:
    """Section 3.6: at least one, so that a strict reader takes it."""
    file = ICalendarExport()

    assert (file.head() + file.page([]) + file.foot()).count(b"BEGIN:VTIMEZONE") == 1


def test_what_is_written_at_once_is_short() -> None:
    """Long texts that are no ASCII, and zones that are met for the first time: some milliseconds of the event loop."""
    long = {"title": "Übung; " * 28, "description": "ä; b, " * 160, "tags": ["ä" * 50] * 20}
    tasks = [BLANK | task_of(seed) | long for seed in range(500)]
    zone_component(BERLIN)
    file, slowest = ICalendarExport(), []

    for start in range(0, len(tasks), file.tasks_at_once):
        started = time.thread_time()
        file.page(tasks[start : start + file.tasks_at_once])
        slowest.append(time.thread_time() - started)

    assert sorted(slowest)[-len(slowest) // 20] < STEP_SECONDS
