"""Due dates and time zones without HTTP: what is read, what is refused, and which moment it stands for."""

from datetime import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend.app.domain import due_dates

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
    assert due_dates.instant(text, time_zone) == datetime.fromisoformat(moment)
    assert str(due_dates.read(text)) == text.upper()


@pytest.mark.parametrize(
    "text",
    [
        "", "tomorrow", "2031-07-04T18:00:00", "2031-07-04 18:00:00Z", "2031-07-04T18:00Z", "2026-13-01", "2026-02-29",
        "2031-07-04T24:00:00Z", "2031-07-04T18:60:00Z", "2031-07-04T18:00:60Z", "2031-07-04T18:00:00.Z",
        "2031-07-04T18:00:00.1234567Z", "2031-07-04T18:00:00+0100", "2031-07-04T18:00:00+24:00",
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
        assert due_dates.instant(text, time_zone).year == 1
    else:
        with pytest.raises(ValueError, match="years 1 to 9999"):
            due_dates.instant(text, time_zone)


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
    assert due_dates.beginning("2026-12-24") == datetime.fromisoformat("2026-12-24T00:00:00+00:00")
    assert due_dates.beginning("2026-12-24T00:30:00+01:00") == datetime.fromisoformat("2026-12-23T23:30:00+00:00")


@given(st.text(max_size=40) | st.from_regex(r"[0-9]{4}-[0-9]{2}-[0-9]{2}([Tt][0-9:.+-]*)?[Zz]?", fullmatch=True))
def test_no_text_is_worse_than_refused(text: str) -> None:
    """Whatever is sent is a due date that comes back, or a ValueError."""
    try:
        found = due_dates.read(text)
    except ValueError:
        return

    assert str(found) == text.upper()


@given(st.text(max_size=30) | st.sampled_from(["Europe/Berlin", "UTC", "Asia/Kathmandu"]))
def test_no_name_is_worse_than_refused(name: str) -> None:
    try:
        assert due_dates.zone(name) is not None
    except ValueError:
        return
