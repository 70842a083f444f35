"""Due dates and time zones without HTTP: what is read, what is refused, and which moment it stands for."""

from datetime import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend.app.domain import due_dates
from tests.support.calendars import BEYOND

MOMENTS = [
    ("2026-12-24", None, "2026-12-24T23:59:59.999999+00:00"),
    ("2026-12-24", "Europe/Berlin", "2026-12-24T22:59:59.999999+00:00"),
    ("2026-12-24", "America/New_York", "2026-12-25T04:59:59.999999+00:00"),
    # Midnight comes twice in Havana that night: the day ends with the second one's beginning.
    ("2026-10-31", "America/Havana", "2026-11-01T03:59:59.999999+00:00"),
    ("2026-12-24T18:00:00Z", None, "2026-12-24T18:00:00+00:00"),
    ("2026-12-24t18:00:00z", "Europe/Berlin", "2026-12-24T18:00:00+00:00"),
    ("2026-12-24T18:00:00.5+05:45", None, "2026-12-24T12:15:00.500000+00:00"),
    ("2026-12-24T18:00:00.123456-23:59", None, "2026-12-25T17:59:00.123456+00:00"),
    ("0001-01-01", None, "0001-01-01T23:59:59.999999+00:00"),
    ("9999-12-31", None, "9999-12-31T23:59:59.999999+00:00"),
]


@pytest.mark.parametrize(("text", "time_zone", "moment"), MOMENTS)
def test_a_due_date_stands_for_a_moment(text: str, time_zone: str | None, moment: str) -> None:
    """A day lasts until its last microsecond where the task is; a date-time is what it is."""
    assert due_dates.due_at(text, time_zone) == datetime.fromisoformat(moment)
    assert str(due_dates.read(text)) == text.upper()


WRITTEN = [
    # .NET's round-trip format, DateTimeOffset and DateTime
    ("2026-12-24T18:00:00.1234567Z", "2026-12-24T18:00:00.123456Z"),
    ("2026-12-24T18:00:00.1234567+01:00", "2026-12-24T18:00:00.123456+01:00"),
    ("2026-12-24T18:00:00.0000000+01:00", "2026-12-24T18:00:00.000000+01:00"),
    # Go's RFC3339Nano leaves zeros out, Java's Instant writes 0, 3, 6 or 9 digits
    ("2026-12-24T18:00:00.1Z", "2026-12-24T18:00:00.1Z"),
    ("2026-12-24T18:00:00.12-08:00", "2026-12-24T18:00:00.12-08:00"),
    ("2026-12-24T18:00:00.123Z", "2026-12-24T18:00:00.123Z"),
    ("2026-12-24T18:00:00.123456789Z", "2026-12-24T18:00:00.123456Z"),
    ("2026-12-24T18:00:00.999999999Z", "2026-12-24T18:00:00.999999Z"),
    ("2026-12-24T18:00:00.12345678Z", "2026-12-24T18:00:00.123456Z"),
    # Python's isoformat, and str(), which has a blank
    ("2026-12-24T18:00:00+00:00", "2026-12-24T18:00:00+00:00"),
    ("2026-12-24T18:00:00.123456+00:00", "2026-12-24T18:00:00.123456+00:00"),
    ("2026-12-24 18:00:00+01:00", "2026-12-24T18:00:00+01:00"),
    ("2026-12-24 18:00:00.5Z", "2026-12-24T18:00:00.5Z"),
    # RFC 3339 itself: small letters, an unknown local offset, the greatest offsets
    ("2026-12-24t18:00:00z", "2026-12-24t18:00:00z"),
    ("2026-12-24t18:00:00.1234567z", "2026-12-24t18:00:00.123456z"),
    ("2026-12-24T18:00:00-00:00", "2026-12-24T18:00:00-00:00"),
    ("2026-12-24T18:00:00+23:59", "2026-12-24T18:00:00+23:59"),
    ("1990-12-31T15:59:59-08:00", "1990-12-31T15:59:59-08:00"),
    ("2026-12-24", "2026-12-24"),
]


@pytest.mark.parametrize(("text", "kept"), WRITTEN)
def test_what_libraries_write_is_read(text: str, kept: str) -> None:
    """It is kept as it was given, with a T and at most six digits of a second, which are cut and never rounded up."""
    assert due_dates.normalized(text) == kept
    assert due_dates.normalized(kept) == kept
    assert due_dates.read(text) == due_dates.read(kept)
    if "T" in kept.upper() and "T" in kept:
        assert due_dates.moment(text) == datetime.fromisoformat(kept)


SPELLED = [
    ("2026-12-24", "2026-12-24", True),
    ("2026-12-24", "2026-12-25", False),
    ("2026-12-24", "2026-12-24T00:00:00Z", False),
    ("2026-12-24T18:00:00Z", "2026-12-24T18:00:00+00:00", True),
    ("2026-12-24t18:00:00z", "2026-12-24T18:00:00-00:00", True),
    ("2026-12-24T18:00:00.5+01:00", "2026-12-24T18:00:00.500000+01:00", True),
    ("2026-12-24T18:00:00.1234567Z", "2026-12-24T18:00:00.123456Z", True),
    ("2026-12-24T18:00:00.5Z", "2026-12-24T18:00:00Z", False),
    # The same moment, but its day and its time of day are others: a rule goes on from them.
    ("2026-12-24T18:00:00Z", "2026-12-24T19:00:00+01:00", False),
    # What older versions stored beyond today's bounds is only itself.
    ("0001-01-01T00:00:00+23:59", "0001-01-01T00:00:00+23:59", True),
    ("0001-01-01T00:00:00+23:59", "2026-12-24", False),
]


@pytest.mark.parametrize(("one", "other", "expected"), SPELLED)
def test_two_spellings_of_a_due_date(one: str, other: str, expected: bool) -> None:
    """They are the same where moment and offset are, or the day."""
    assert due_dates.same(one, other) is expected
    assert due_dates.same(other, one) is expected


@pytest.mark.parametrize("text", ["2026-12-24", "soon", "2026-12-24T18:00:00"])
def test_a_day_is_no_moment(text: str) -> None:
    with pytest.raises(ValueError, match="must be"):
        due_dates.moment(text)


def test_a_leap_second_is_told_apart() -> None:
    """RFC 3339 has them, and nothing that a task is stored in does: the sentence says what to send."""
    with pytest.raises(ValueError, match="leap second"):
        due_dates.read("2016-12-31T23:59:60Z")


@pytest.mark.parametrize(
    "text",
    [
        "", "tomorrow", "2031-07-04T18:00:00", "2031-07-04  18:00:00Z", "2031-07-04_18:00:00Z",
        "2031-07-04T18:00Z", "2026-13-01", "2026-02-29",
        "2031-07-04T24:00:00Z", "2031-07-04T18:60:00Z", "2031-07-04T18:00:61Z", "2031-07-04T18:00:00.Z",
        "2031-07-04T18:00:00.1234567890Z", "2031-07-04T18:00:00+0100", "2031-07-04T18:00:00+24:00",
        "2031-07-04T18:00:00+01", "31-07-04", "20310704", "2026-W52-4", "2031-07-04T18:00:00,5Z", " 2031-07-04",
        "2031-07-04\n", "٢٠٢٦-12-24", "0000-01-01", "12026-01-01", "2031-07-04Z", "2031-07-04T18:00:00+01:99",
        "0001-01-01T00:00:00+01:00", "9999-12-31T23:00:00-02:00",
    ],
)  # fmt: skip
def test_what_is_no_due_date_is_refused(text: str) -> None:
    """Naive, half, impossible, or out of range: a sentence, which does not hold what was sent."""
    with pytest.raises(ValueError, match="must be") as refusal:
        due_dates.read(text)

    assert not text.strip() or text not in str(refusal.value)


@pytest.mark.parametrize(("text", "time_zone"), [("9999-12-31", "America/New_York"), ("0001-01-01", "Asia/Tokyo")])
def test_a_day_may_end_beyond_the_calendar(text: str, time_zone: str) -> None:
    """The first and the last day there are, in zones where UTC has another one."""
    if time_zone == "Asia/Tokyo":
        assert due_dates.due_at(text, time_zone).year == 1
    else:
        with pytest.raises(ValueError, match="years 1 to 9999"):
            due_dates.due_at(text, time_zone)


@pytest.mark.parametrize(("text", "time_zone"), BEYOND)
def test_a_moment_must_be_in_its_zones_calendar(text: str, time_zone: str) -> None:
    """Or no calendar could show it: it is refused when it is written."""
    with pytest.raises(ValueError, match="years 1 to 9999"):
        due_dates.check(text, time_zone)

    due_dates.check(text, None)


@pytest.mark.parametrize(
    "name",
    ["", "Mars/Olympus", "europe/berlin", "../../etc/passwd", "/usr/share/zoneinfo/UTC", "localtime", "posixrules",
     "Europe", "Europe/", "UTC\0", "a" * 300],
)  # fmt: skip
def test_what_is_no_time_zone_is_refused(name: str) -> None:
    """Only names that are listed: no folders, no paths, no other case."""
    with pytest.raises(ValueError, match="IANA"):
        due_dates.zone(name)


def test_the_beginning_of_a_day_is_utc() -> None:
    """What `due_before=2026-12-25` and `due_after=2026-12-24` have between them is that day."""
    assert due_dates.first_moment("2026-12-24") == datetime.fromisoformat("2026-12-24T00:00:00+00:00")
    assert due_dates.first_moment("2026-12-24T00:30:00+01:00") == datetime.fromisoformat("2026-12-23T23:30:00+00:00")


@given(st.text(max_size=40) | st.from_regex(r"[0-9]{4}-[0-9]{2}-[0-9]{2}([Tt][0-9:.+-]*)?[Zz]?", fullmatch=True))
def test_no_text_is_worse_than_refused(text: str) -> None:
    """Whatever is sent is a due date that comes back, or a ValueError."""
    try:
        found = due_dates.read(text)
    except ValueError:
        return

    assert due_dates.read(due_dates.normalized(text)) == found
    assert datetime.fromisoformat(str(found)) == datetime.fromisoformat(due_dates.normalized(text).upper())


@given(st.text(max_size=30) | st.sampled_from(["Europe/Berlin", "UTC", "Asia/Kathmandu"]))
def test_no_name_is_worse_than_refused(name: str) -> None:
    try:
        assert due_dates.zone(name) is not None
    except ValueError:
        return
