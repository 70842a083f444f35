"""When reminders come: RFC 5545's durations, moments, and the edges of the calendar."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from backend.app.domain import reminders
from backend.app.domain.reminders import Lead

AT = "2026-03-30T09:00:00+02:00"
LATE = "2099-01-01T00:00:00Z"


@pytest.mark.parametrize(
    ("text", "days", "seconds"),
    [
        ("-PT30M", 0, -1800),
        ("PT0S", 0, 0),
        ("-PT0S", 0, 0),
        ("+PT9H", 0, 32400),
        ("-P1D", -1, 0),
        ("-P2W", -14, 0),
        ("-P1DT2H3M4S", -1, -7384),
        ("-PT2H3M", 0, -7380),
        ("-PT3M4S", 0, -184),
        ("-P366D", -366, 0),
        ("-PT8784H", 0, -8784 * 3600),
    ],
)
def test_a_duration_of_the_grammar_is_read(text: str, days: int, seconds: int) -> None:
    """RFC 5545, section 3.3.6: days are the calendar's, hours are exact."""
    assert reminders.read(text) == Lead(days, timedelta(seconds=seconds))
    assert reminders.normalized(text) == text


@pytest.mark.parametrize(
    "text",
    [
        *("", "P", "-P", "PT", "-PT", "-P1DT", "-PT5", "-P1", "-P1H", "-PT1D", "-P1W2D", "-P1M", "-P1Y", "--PT1M"),
        *("-PT1H30S", "-PT1.5H", "-PT1,5H", "-PT-5M", "-pt30m", " -PT30M", "-PT30M ", "-PT30M\n", "-PT\u06635M"),
        *("-PT1M\0", "P" * 100, "-P9999999999999999999D", "-PT9999999999S", "-P1D" * 3, "30M", "R5/PT30M"),
        *("2026-12-24", "2026-12-24T09:00:00", "2026-12-24T09:00:60Z", "2026-02-30T09:00:00Z", "now"),
        "0001-01-01T00:00:00+14:00",
    ],
)
def test_what_is_neither_is_refused(text: str) -> None:
    """In one sentence that does not hold the text."""
    with pytest.raises(ValueError, match="must be a date-time with its offset") as refused:
        reminders.normalized(text)
    assert not text.strip() or f"'{text}'" not in str(refused.value)


@pytest.mark.parametrize("text", ["-P367D", "-P53W", "-P366DT1S", "-PT8784H1M", "P9999D", "-PT999999999S"])
def test_a_duration_has_an_end(text: str) -> None:
    """A year, and a leap year's day more."""
    with pytest.raises(ValueError, match="at most 366 days"):
        reminders.read(text)


@pytest.mark.parametrize(
    ("text", "due_date", "time_zone", "moment"),
    [
        ("-PT30M", "2026-12-24T18:00:00+01:00", None, "2026-12-24T16:30:00"),
        ("PT0S", "2026-12-24T18:00:00+01:00", None, "2026-12-24T17:00:00"),
        # The clocks of Berlin went forward on the 29th: a day before is the same wall time, 24 hours are not.
        ("-P1D", AT, "Europe/Berlin", "2026-03-29T07:00:00"),
        ("-P2D", AT, "Europe/Berlin", "2026-03-28T08:00:00"),
        ("-PT48H", AT, "Europe/Berlin", "2026-03-28T07:00:00"),
        ("-P2DT1H", AT, "Europe/Berlin", "2026-03-28T07:00:00"),
        ("-P2D", AT, None, "2026-03-28T07:00:00"),
        # RFC 5545, section 3.6.6: before a day counts from its midnight.
        ("-PT15H", "2026-12-24", None, "2026-12-23T09:00:00"),
        ("PT9H", "2026-12-24", "Europe/Berlin", "2026-12-24T08:00:00"),
        ("-P1W", "2026-12-24", "Asia/Tokyo", "2026-12-16T15:00:00"),
        ("2026-12-20T09:00:00+01:00", "2026-12-24", None, "2026-12-20T08:00:00"),
        ("2026-12-25T09:00:00Z", None, None, "2026-12-25T09:00:00"),
    ],
)
def test_a_reminder_comes(text: str, due_date: str | None, time_zone: str | None, moment: str) -> None:
    """At its moment, or counted from the due date where the task is at home."""
    reminders.check([text], due_date, time_zone)
    assert reminders.moment(text, due_date, time_zone) == datetime.fromisoformat(f"{moment}+00:00")


@pytest.mark.parametrize(
    ("text", "due_date", "time_zone", "sentence"),
    [
        ("-PT30M", None, None, "needs a due_date"),
        ("PT1S", "2026-12-24T18:00:00Z", None, "must not come after the due_date"),
        ("PT24H", "2026-12-24", None, "must not come after the due_date"),
        ("P1D", "2026-12-24", "Europe/Berlin", "must not come after the due_date"),
        ("-P1D", "0001-01-01", None, "in the years 1 to 9999"),
        ("-PT30M", "0001-01-01T00:00:00Z", None, "in the years 1 to 9999"),
        ("P1D", "9999-12-31T23:59:59Z", None, "in the years 1 to 9999"),
        ("-PT0S", "0001-01-01", "Asia/Tokyo", "in the years 1 to 9999"),
    ],
)
def test_what_does_not_go_with_the_due_date_is_refused(
    text: str, due_date: str | None, time_zone: str | None, sentence: str
) -> None:
    """Also at both ends of the calendar."""
    with pytest.raises(ValueError, match=sentence):
        reminders.check([text], due_date, time_zone)


def test_each_moment_comes_once_and_what_cannot_come_is_left_out() -> None:
    """A system may have fewer zones than the one that took the task."""
    texts = ["-PT60M", "2026-12-24T17:00:00Z", "-PT1H", "-PT90M"]

    found = reminders.moments(texts, "2026-12-24T18:00:00Z", None)

    assert [f"{moment:%H:%M}" for moment in found] == ["16:30", "17:00"]
    assert reminders.moments(["-P1D", LATE], "2026-12-24", "No/Zone") == [datetime(2099, 1, 1, tzinfo=UTC)]


@pytest.mark.parametrize(
    ("members", "moment"),
    [
        ({"reminders": []}, None),
        ({"reminders": ["2001-01-01T00:00:00Z"]}, None),
        ({"reminders": ["2001-01-01T00:00:00Z", LATE, "2100-01-01T00:00:00Z"]}, "2099-01-01T00:00:00.000000Z"),
        ({"reminders": [LATE], "completed": True}, None),
        ({"reminders": ["-P1D"], "due_date": "2099-01-02"}, "2099-01-01T00:00:00.000000Z"),
    ],
)
def test_the_next_one_is_shown(members: dict[str, Any], moment: str | None) -> None:
    """None where the task is completed, or does not remind any more."""
    task = {"completed": False, "due_date": None, "time_zone": None, **members}
    assert reminders.next_moment(task) == moment


@pytest.mark.parametrize(
    ("texts", "due_date", "following", "time_zone", "moved"),
    [
        (["-PT30M", "-P1D"], "2026-12-24", "2026-12-31", None, ["-PT30M", "-P1D"]),
        (["2026-12-24T09:00:00+01:00"], "2026-12-24", "2026-12-31", None, ["2026-12-31T09:00:00+01:00"]),
        (["2026-12-23T09:00:00.5Z"], "2026-12-24", "2027-01-24", None, ["2027-01-23T09:00:00.5Z"]),
        # The wall time stays over a change of the clocks.
        (["2026-03-28T09:00:00+01:00"], "2026-03-28", "2026-03-30", "Europe/Berlin", ["2026-03-30T09:00:00+02:00"]),
        (["9999-12-31T09:00:00Z"], "2026-12-24", "2026-12-25", None, []),
        # Two that are written alike afterwards are one.
        (
            ["2026-01-05T09:00:00+00:00", "2026-01-05T10:00:00+01:00"], "2026-01-05", "2026-01-12", "Europe/London",
            ["2026-01-12T09:00:00+00:00"],
        ),
    ],
)  # fmt: skip
def test_a_task_that_comes_again_takes_its_reminders_along(
    texts: list[str], due_date: str, following: str, time_zone: str | None, moved: list[str]
) -> None:
    """Durations stay, moments go on by as many days; one beyond the calendar is left out."""
    assert reminders.moved(texts, due_date, following, time_zone) == moved
