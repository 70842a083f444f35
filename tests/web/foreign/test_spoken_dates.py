"""Dates as Todoist writes them: what of them is understood, and that the rest is told."""

from datetime import date

import pytest

from backend.app.web.foreign.spoken_dates import spoken

TODAY = date(2026, 11, 28)  # a Saturday
BERLIN = "Europe/Berlin"


def repeats(day: str, rule: str, start: str = "due_date") -> dict[str, str]:
    return {"due_date": day, "recurrence": rule, "recurrence_from": start}


DATES: list[tuple[str, str | None, dict[str, str] | None]] = [
    ("2026-12-24", None, {"due_date": "2026-12-24"}),
    ("2026-12-24", BERLIN, {"due_date": "2026-12-24", "time_zone": BERLIN}),
    ("2026-12-24", "Mars/Base", {"due_date": "2026-12-24"}),
    ("2026-12-24 18:00", None, {"due_date": "2026-12-24T18:00:00Z"}),
    ("2026-12-24T18:00:00.000000Z", BERLIN, {"due_date": "2026-12-24T18:00:00Z", "time_zone": BERLIN}),
    ("2026-07-24 18:00", BERLIN, {"due_date": "2026-07-24T18:00:00+02:00", "time_zone": BERLIN}),
    ("1880-01-01 00:00", BERLIN, {"due_date": "1879-12-31T23:06:32Z", "time_zone": BERLIN}),
    ("every day", None, repeats("2026-11-28", "FREQ=DAILY")),
    ("every! 3 days", None, repeats("2026-11-28", "FREQ=DAILY;INTERVAL=3", "completion")),
    ("Every other week", None, repeats("2026-11-28", "FREQ=WEEKLY;INTERVAL=2")),
    ("every mon, fri", None, repeats("2026-11-30", "FREQ=WEEKLY;BYDAY=MO,FR")),
    ("every tuesday and thursday", None, repeats("2026-12-01", "FREQ=WEEKLY;BYDAY=TU,TH")),
    ("every weekday", None, repeats("2026-11-30", "FREQ=WEEKLY;BYDAY=MO,TU,WE,TH,FR")),
    ("every month starting 2026-12-31", None, repeats("2026-12-31", "FREQ=MONTHLY")),
    ("daily", None, repeats("2026-11-28", "FREQ=DAILY")),
    ("Weekly starting 2026-12-24", None, repeats("2026-12-24", "FREQ=WEEKLY")),
    ("ev mon at 9am", None, repeats("2026-11-30T09:00:00Z", "FREQ=WEEKLY;BYDAY=MO")),
    ("every day at 12am", None, repeats("2026-11-28T00:00:00Z", "FREQ=DAILY")),
    ("every! day @ 6:30 pm", None, repeats("2026-11-28T18:30:00Z", "FREQ=DAILY", "completion")),
    ("every 15th", None, repeats("2026-12-15", "FREQ=MONTHLY;BYMONTHDAY=15")),
    ("every last day at 18", None, repeats("2026-11-30T18:00:00Z", "FREQ=MONTHLY;BYMONTHDAY=-1")),
    *(
        (text, None, None)
        for text in ("every 32nd", "every 0th", "every other 1st", "every day at 13pm", "ev", "daily!")
    ),
    *(
        (text, None, None)
        for text in (
            *("every day starting 2026-13-01", "every mo", "every monday and sometimes", "every and", "tomorrow"),
            *("2026-02-30", "2026-12-24 25:00", "every 999 days", "every day at 25:00", "x" * 101),
        )
    ),
]


@pytest.mark.parametrize(("text", "zone", "members"), DATES, ids=range(len(DATES)))
def test_a_date_as_it_is_spoken(text: str, zone: str | None, members: dict[str, str] | None) -> None:
    """None for what is not understood, which gets a note."""
    assert spoken(text, zone, TODAY) == members
