"""VTIMEZONEs against zoneinfo: each zone, each of its changes, and what it does in the coming decades."""

import bisect
import itertools
import zoneinfo
from datetime import UTC, datetime, timedelta
from typing import Any

import icalendar
import pytest
from dateutil.rrule import rrulestr

from backend.app.domain import due_dates
from backend.app.web.vtimezone import fixed_vtimezone, vtimezone

# One in eight, and those whose rules are odd: beyond the day, over a month's end, half an hour, none any more.
ODD = {
    *(
        "Africa/Cairo",
        "Africa/Casablanca",
        "America/Godthab",
        "America/New_York",
        "America/Santiago",
        "Antarctica/Troll",
    ),
    *("Asia/Gaza", "Asia/Hebron", "Asia/Jerusalem", "Asia/Tehran", "Australia/Lord_Howe", "Europe/Berlin", "Etc/UTC"),
    *("Europe/Dublin", "Pacific/Apia", "Pacific/Chatham", "Pacific/Easter"),
}
NAMES = sorted({*sorted(filter(due_dates.is_zone, zoneinfo.available_timezones()))[::8], *ODD})
UNTIL = datetime(2100, 1, 1)  # noqa: DTZ001 - a wall time
BYTES_AT_MOST = 16_000


def onsets(component: bytes) -> list[tuple[datetime, timedelta]]:
    """When which offset begins, in UTC, as a reader finds it out."""
    zone: Any
    [zone] = icalendar.Calendar.from_ical(component).walk("VTIMEZONE")
    found = []
    for observance in zone.subcomponents:
        start, dates = observance["DTSTART"].dt, observance.get("RDATE", [])
        walls = [start, *(one.dt for date in (dates if isinstance(dates, list) else [dates]) for one in date.dts)]
        if "RRULE" in observance:
            rule = rrulestr(observance["RRULE"].to_ical().decode(), dtstart=start)
            walls = list(itertools.takewhile(lambda wall: wall < UNTIL, rule))
            assert walls[0] == start
        found += [(wall - observance["TZOFFSETFROM"].td, observance["TZOFFSETTO"].td) for wall in walls]
    return sorted(found)


@pytest.mark.parametrize("name", NAMES)
def test_a_zone_says_what_zoneinfo_says(name: str) -> None:
    """Just before and at each change, and in the middle of each quarter of a year."""
    component = vtimezone(name)
    changes = onsets(component)
    moments, zone = [moment for moment, _ in changes], zoneinfo.ZoneInfo(name)
    quarters = [datetime(year, month, 15) for year in range(1602, 2080, 3) for month in (2, 5, 8, 11)]  # noqa: DTZ001 - wall time
    near = [moment - timedelta(seconds=before) for moment in moments[1:] for before in (0, 1)]

    for moment in quarters + near:
        expected = moment.replace(tzinfo=UTC).astimezone(zone).utcoffset()
        assert changes[bisect.bisect(moments, moment) - 1][1] == expected, moment
    assert len(component) < BYTES_AT_MOST
    assert all(len(line) <= 75 for line in component.split(b"\r\n"))


@pytest.mark.parametrize("minutes", [-1439, -570, -60, 60, 345, 1439])
def test_an_offset_is_a_zone_that_never_changes(minutes: int) -> None:
    [(_, offset)] = onsets(fixed_vtimezone("UTC", timedelta(minutes=minutes)))

    assert offset == timedelta(minutes=minutes)


def test_zones_of_the_package_do_where_the_system_has_none(monkeypatch: pytest.MonkeyPatch) -> None:
    """A slim image has no files: zoneinfo then reads the package tzdata, and so do VTIMEZONEs."""
    system = vtimezone("Europe/Berlin")
    monkeypatch.setattr("zoneinfo.TZPATH", ())

    package = vtimezone.__wrapped__("Europe/Berlin")

    assert package.splitlines()[:2] == system.splitlines()[:2]
    assert onsets(package)[-100:] == onsets(system)[-100:]
