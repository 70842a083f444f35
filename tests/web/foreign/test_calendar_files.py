"""Calendars as programs really write them: damaged, joined together, in old forms, with zones of their own."""

import pytest

from backend.app.web.foreign.calendar import read_calendar
from tests.support.foreign_files import details, read_bytes, read_file

BEGIN, END = "BEGIN:VCALENDAR", "END:VCALENDAR"


def todo(title: str, *lines: str) -> list[str]:
    return ["BEGIN:VTODO", f"SUMMARY:{title}", *lines, "END:VTODO"]


def unended(title: str) -> list[str]:
    return todo(title)[:-1]


ALARM = ["DUE:20261224T170000Z", "BEGIN:VALARM", "TRIGGER:-PT5M"]
# The lines of a file, the titles of its tasks, and the line and the beginning of each note.
FILES: dict[str, tuple[list[str], list[str], list[tuple[int, str]]]] = {
    "no END:VTODO": (
        [BEGIN, *unended("a"), *todo("b"), *unended("c"), END],
        ["a", "b", "c"],
        [(4, "the END of VTODO is missing"), (9, "the END of VTODO is missing")],
    ),
    "no END:VALARM": ([BEGIN, *todo("a", *ALARM), *todo("b"), END], ["a", "b"], [(7, "the END of VALARM is missing")]),
    "no end of either": (
        [BEGIN, *todo("a", *ALARM)[:-1], *todo("b"), END],
        ["a", "b"],
        [(7, "the END of VALARM is missing"), (7, "the END of VTODO is missing")],
    ),
    "no END:VEVENT": (
        [BEGIN, "BEGIN:VEVENT", *todo("a"), END],
        ["a"],
        [(2, "VEVENT is not"), (3, "the END of VEVENT is missing")],
    ),
    "no end of what is not known": (
        [BEGIN, "BEGIN:X-ANY", *todo("a"), END],
        ["a"],
        [(2, "a component is not"), (3, "the END of a component is missing")],
    ),
    "no END:VTIMEZONE": (
        [BEGIN, "BEGIN:VTIMEZONE", "BEGIN:STANDARD", *todo("a"), END],
        ["a"],
        [(4, "the END of a component is missing"), (4, "the END of VTIMEZONE is missing")],
    ),
    "cut off between tasks": ([BEGIN, *todo("a")], ["a"], [(4, "the file ends before END:VCALENDAR")]),
    "cut off in a task": ([BEGIN, *todo("a"), *unended("b")], ["a"], [(5, "a VTODO without an end")]),
    "one calendar after the other": ([BEGIN, *todo("a"), END, BEGIN, *todo("b"), END], ["a", "b"], []),
    "a byte order mark between": ([BEGIN, *todo("a"), END, f"\ufeff{BEGIN}", *todo("b"), END], ["a", "b"], []),
    "one calendar in the other": (
        [BEGIN, *todo("a"), BEGIN, *todo("b"), END],
        ["a", "b"],
        [(5, "the END of VCALENDAR is missing")],
    ),
    "a task after the end": (
        [BEGIN, END, *todo("a"), "X:y"],
        ["a"],
        [(3, "this component is outside"), (6, "X is not"), (6, "the file ends before")],
    ),
    "a line after the end": ([BEGIN, END, "SUMMARY:a"], [], [(3, "a line outside")]),
    "a place of an alarm": (
        [BEGIN, *todo("a", *ALARM, "BEGIN:VLOCATION", "END:VLOCATION", "END:VALARM"), END],
        ["a"],
        [(7, "a component is not")],
    ),
    "tasks that are called off": ([BEGIN, "METHOD:CANCEL", *todo("a"), END], ["a"], [(2, "METHOD:CANCEL is not")]),
    "a zone that is none": (
        [BEGIN, "X-WR-TIMEZONE:CEST", *todo("a", "DUE:20260101T000000"), END],
        ["a"],
        [(2, "X-WR-TIMEZONE is not"), (5, "the time zone of DUE")],
    ),
    "published tasks": ([BEGIN, "METHOD:PUBLISH", *todo("a"), END], ["a"], []),
}


@pytest.mark.parametrize("name", FILES)
def test_a_damaged_file_loses_nothing_in_silence(name: str) -> None:
    """What can be told apart is taken over, and what is missing or left out has a note with its line."""
    lines, titles, notes = FILES[name]

    archive = read_file(read_calendar, "\n".join(lines))

    assert [task.title for task in archive.tasks] == titles
    found = [(note.line, note.detail) for note in archive.dropped]
    assert len(found) == len(notes), found
    assert all(
        line == known and detail.startswith(begin) for (line, detail), (known, begin) in zip(found, notes, strict=True)
    ), found


def test_each_calendar_of_a_file_has_its_own_zone() -> None:
    """X-WR-TIMEZONE is of the calendar that it is in."""
    due = "DUE:20260724T180000"
    lines = [BEGIN, "X-WR-TIMEZONE:Europe/Berlin", *todo("a", due), END, BEGIN, *todo("b", due), END]

    archive = read_file(read_calendar, "\n".join(lines))

    assert [task.due_date for task in archive.tasks] == ["2026-07-24T18:00:00+02:00", "2026-07-24T18:00:00Z"]
    assert details(archive) == ["the time zone of DUE is not known: it is taken as UTC"]


@pytest.mark.parametrize("end", [b"\r\n", b"\n", b"\r"])
@pytest.mark.parametrize("blank", [b" ", b"\t"])
@pytest.mark.parametrize("first", range(20, 28))
def test_a_character_that_a_fold_cuts_is_whole_again(end: bytes, blank: bytes, first: int) -> None:
    """RFC 5545, section 3.1: simple programs fold between octets; the lines of notes stay those of the file."""
    title = "é€🦊" * 8
    octets = f"SUMMARY:{title}".encode()
    folded = (end + blank).join([octets[:first], octets[first : first + 40], octets[first + 40 :]])
    lines = [b"BEGIN:VCALENDAR", b"BEGIN:VTODO", folded, b"X-Y:z", b"END:VTODO", b"END:VCALENDAR"]

    archive = read_bytes(read_calendar, end.join(lines))

    assert [task.title for task in archive.tasks] == [title]
    assert [note.line for note in archive.dropped] == [6]


# vCalendar 1.0, section 2.1: a property's line or lines, and the title.
ENCODED = [
    (["SUMMARY;ENCODING=QUOTED-PRINTABLE:=C3=84rger =3D gro=C3=9F"], "Ärger = groß"),
    (["SUMMARY;CHARSET=UTF-8;ENCODING=QUOTED-PRINTABLE:very =", "long =", " line"], "very long line"),
    (["SUMMARY;QUOTED-PRINTABLE;X=1:a=0D=0Ab=0Dc"], "a\nb\nc"),
    (["SUMMARY;QUOTED-PRINTABLE:=C4rger\\, C:\\new"], "Ärger\\, C:\\new"),
    (["SUMMARY;CHARSET=ISO-8859-1;ENCODING=quoted-printable:=C4rger"], "Ärger"),
    (["SUMMARY;CHARSET=Shift_JIS;ENCODING=QUOTED-PRINTABLE:=83e=83X=83g"], "テスト"),
    (["SUMMARY;CHARSET=punycode;ENCODING=QUOTED-PRINTABLE:=C3=84rger"], "Ärger"),
    (["SUMMARY;CHARSET=windows-1250;ENCODING=QUOTED-PRINTABLE:=A3=F3d=9F"], "Łódź"),
    (["SUMMARY;ENCODING=BASE64:w4RyZ2Vy"], "Ärger"),
    (["SUMMARY;ENCODING=B:w4RyZ2V"], "w4RyZ2V"),
    (["SUMMARY;ENCODING=8BIT:a\\, b"], "a, b"),
    (["SUMMARY;X-FLAG:a\\, b"], "a, b"),
]


@pytest.mark.parametrize(("lines", "title"), ENCODED)
def test_old_forms_of_text_are_read(lines: list[str], title: str) -> None:
    archive = read_file(read_calendar, "\n".join([BEGIN, "VERSION:1.0", "BEGIN:VTODO", *lines, "END:VTODO", END]))

    assert ([task.title for task in archive.tasks], details(archive)) == ([title], [])


CATEGORIES = [
    ("a,b", ["a", "b"]),
    ("a\\,b,c", ["a,b", "c"]),
    ("a\\\\,b", ["a\\", "b"]),
    ("a\\\\\\,b", ["a\\,b"]),
    ("a\\;b\\", ["a;b\\"]),
]


@pytest.mark.parametrize(("text", "tags"), CATEGORIES)
def test_categories_are_parted_at_commas_that_are_none_of_a_name(text: str, tags: list[str]) -> None:
    """RFC 5545, section 3.3.11: a backslash before a comma may be one that is escaped itself."""
    assert read_file(read_calendar, "\n".join([BEGIN, *todo("x", f"CATEGORIES:{text}"), END])).tasks[0].tags == tags


def observance(start: str, before: str, after: str, *more: str) -> list[str]:
    return [
        "BEGIN:STANDARD",
        *more,
        f"DTSTART:{start}",
        f"TZOFFSETFROM:{before}",
        f"TZOFFSETTO:{after}",
        "END:STANDARD",
    ]


WINTER = observance("16011028T030000", "+0200", "+0100", "RRULE:FREQ=YEARLY;BYDAY=-1SU;BYMONTH=10")
SUMMER = observance("16010325T020000", "+0100", "+0200", "RRULE:FREQ=YEARLY;BYDAY=-1SU;BYMONTH=3")
# What a VTIMEZONE without an IANA name says, a wall time, and when that is; without an offset it is not known.
ZONES = [
    ([*WINTER, *SUMMER], "20261224T180000", "2026-12-24T18:00:00+01:00"),
    ([*WINTER, *SUMMER], "20260724T180000", "2026-07-24T18:00:00+02:00"),
    ([*SUMMER, *WINTER], "20260329T015959", "2026-03-29T01:59:59+01:00"),
    ([*SUMMER, *WINTER], "20260329T020000", "2026-03-29T02:00:00+02:00"),
    ([*WINTER, *SUMMER], "16010101T000000", "1601-01-01T00:00:00+01:00"),
    ([*WINTER, *SUMMER], "00010601T000000", "0001-06-01T00:00:00+01:00"),
    (observance("20200329T010000Z", "+1100", "+1100"), "20220201T100000", "2022-02-01T10:00:00+11:00"),
    (observance("20200301T000000", "+01", "+0300", "RRULE:FREQ=YEARLY"), "20260101T000000", "2026-01-01T00:00:00Z"),
    (observance("20200301T000000", "+0100", "+0300", "RRULE:FREQ=YEARLY"),
     "20260101T000000", "2026-01-01T00:00:00+03:00"),
    (observance("19700101T000000", "+0000", "+0300", "RRULE:FREQ=YEARLY;COUNT=1"),
     "20220305T180000", "2022-03-05T18:00:00+03:00"),
    # Until they were no longer changed, by COUNT and by UNTIL.
    (
        [*observance("20000101T000000", "+0000", "+0100"),
         *observance("20010325T020000", "+0100", "+0200", "RRULE:FREQ=YEARLY;BYMONTH=3;COUNT=5"),
         *observance("20011028T030000", "+0200", "+0100", "RRULE:FREQ=YEARLY;BYMONTH=10")],
        "20060701T000000", "2006-07-01T00:00:00+01:00",
    ),
    (
        [*observance("20000101T000000", "+0000", "+0100"),
         *observance("20010325T020000", "+0100", "+0200", "RRULE:FREQ=YEARLY;BYMONTH=3;UNTIL=20050327T010000Z"),
         *observance("20011028T030000", "+0200", "+0100", "RRULE:FREQ=YEARLY;BYMONTH=10")],
        "20100701T000000", "2010-07-01T00:00:00+01:00",
    ),
    (
        [*observance("20000101T000000", "+0000", "+0100", "RDATE:20020101T000000,20040101T000000"),
         *observance("20010101T000000", "+0100", "+0200", "RDATE:20030101T000000")],
        "20030601T000000", "2003-06-01T00:00:00+02:00",
    ),
    (observance("19700101T000000", "-001730", "-001730"), "20260101T000000", "2026-01-01T00:00:00-00:18"),
    *(
        (lines, "20260101T000000", "2026-01-01T00:00:00Z")
        for lines in (
            [],
            observance("soon", "+0100", "+0100"),
            observance("20000101T000000", "+0100", "0100"),
            observance("20000101T000000", "+0100", "+01"),
            observance("20000101T000000", "+0100", "+9900"),
            observance("20000101T000000", "+0100", "+0100", "RRULE:FREQ=DAILY"),
            observance("20000101T000000", "+0100", "+0100", "RRULE:FREQ=YEARLY;BYMONTH=3,10"),
            ["BEGIN:STANDARD", "RRULE:FREQ=YEARLY;BYMONTH=3", "TZOFFSETTO:+0100", "END:STANDARD"],
            observance("20000101T000000", "+0100", "+0100") * 7,
            observance("20000101T000000", "+0100", "+0100") * 8,
        )
    ),
]  # fmt: skip


@pytest.mark.parametrize(("lines", "wall", "due"), ZONES, ids=range(len(ZONES)))
def test_a_zone_with_a_name_of_its_own_is_what_the_file_says(lines: list[str], wall: str, due: str) -> None:
    """RFC 5545, section 3.6.5; the task gets the offset, and a note that its zone has no name."""
    zone = ["BEGIN:VTIMEZONE", "TZID:Customized: Time, Zone", *lines, "END:VTIMEZONE"]
    quoted, bare = f'DUE;TZID="Customized: Time, Zone":{wall}', f"DUE;TZID=Customized: Time, Zone:{wall}"

    for line in (quoted, bare):
        archive = read_file(read_calendar, "\n".join([BEGIN, *zone, *todo("x", line), END]))

        assert (archive.tasks[0].due_date, archive.tasks[0].time_zone) == (due, None)
        assert details(archive) == [
            "the time zone of DUE is not known: it is taken as UTC"
            if due.endswith("Z")
            else "the time zone of DUE has no name that is known: only its offset is taken over"
        ]


def test_a_zone_may_say_its_place() -> None:
    """libical's X-LIC-LOCATION has the IANA name of a zone whose TZID is made up."""
    zone = ["BEGIN:VTIMEZONE", "TZID:made up", "X-LIC-LOCATION:Europe/Berlin", "END:VTIMEZONE"]
    due = "DUE;TZID=made up:20260724T180000"

    [task] = read_file(read_calendar, "\n".join([BEGIN, *zone, *todo("x", due), END])).tasks

    assert (task.due_date, task.time_zone) == ("2026-07-24T18:00:00+02:00", "Europe/Berlin")


@pytest.mark.parametrize(
    ("name", "due"),
    [
        ("UTC+0545", "+05:45"),
        ("UTC-03:00", "-03:00"),
        ("GMT+1", "+01:00"),
        ("-0930", "-09:30"),
        ("Etc/GMT-1", "+01:00"),
    ],
)
def test_a_zone_that_is_an_offset_needs_no_note(name: str, due: str) -> None:
    """As our own export has it where a task that repeats has an offset and no zone."""
    [task] = read_file(read_calendar, "\n".join([BEGIN, *todo("x", f'DUE;TZID="{name}":20260724T180000'), END])).tasks

    assert task.due_date == f"2026-07-24T18:00:00{due}"


def test_an_offset_beyond_the_calendar_is_none() -> None:
    archive = read_file(read_calendar, "\n".join([BEGIN, *todo("x", "DUE;TZID=UTC+1:00010101T000000"), END]))

    assert (archive.tasks[0].due_date, details(archive)) == (None, ["DUE is not taken over: it is no day or moment"])


def test_zones_are_bounded() -> None:
    """A file that defines very many has the first of them."""
    zones = [
        line
        for number in range(60)
        for line in (
            "BEGIN:VTIMEZONE",
            f"TZID:z{number}",
            *observance("20000101T000000", "+0100", "+0100"),
            "END:VTIMEZONE",
        )
    ]
    tasks = [line for number in (0, 59) for line in todo("x", f"DUE;TZID=z{number}:20260101T000000")]

    archive = read_file(read_calendar, "\n".join([BEGIN, *zones, *tasks, END]))

    assert [task.due_date for task in archive.tasks] == ["2026-01-01T00:00:00+01:00", "2026-01-01T00:00:00Z"]
