"""Exported rules as rrule.js expands them, which the calendars of many web pages are made with."""

import json
import subprocess
from pathlib import Path
from typing import Any

from backend.app.domain import recurrence
from tests.interop.conftest import node
from tests.support.calendars import OCCURRENCES, in_api, properties, task_of
from tests.support.node import packages

HERE = Path(__file__).parent / "calendars"
TASKS = 500


def exported(task: dict[str, Any]) -> dict[str, str] | None:
    """What rrule.js is given. None where it cannot be: it takes an UNTIL in UTC for a wall time."""
    found = properties(**task)
    if "RRULE" not in found or ("UNTIL" in found["RRULE"] and "TZID" in found["DTSTART"]):
        return None
    start = found["DTSTART"].rpartition(":")[2].removesuffix("Z")
    return {"start": start if "T" in start else f"{start}T000000", "rule": found["RRULE"].removeprefix(":")}


def repeats(task: dict[str, Any]) -> bool:
    try:
        recurrence.check(task["due_date"], task["recurrence"], task["time_zone"])
    except ValueError:
        return False
    return True


def walls(task: dict[str, Any]) -> list[str]:
    """The API's due dates as rrule.js tells them."""
    return [f"{day}T00:00:00" if len(day) == len("2026-01-01") else day.replace(" ", "T") for day in in_api(task)]


def test_rrule_js_finds_the_apis_due_dates() -> None:
    """The next twenty of each task, or all there are; a first day that is none of the rule's is left out."""
    packages(HERE)
    tasks = [task for task in map(task_of, range(TASKS)) if repeats(task)]
    cases = [(task, case) for task in tasks if (case := exported(task)) is not None]

    sent = json.dumps([case for _, case in cases])
    made = subprocess.run(
        [node(), "expand.mjs"], cwd=HERE, input=sent, capture_output=True, text=True, check=True, timeout=120
    )

    assert len(cases) > TASKS // 2
    for (task, case), theirs in zip(cases, json.loads(made.stdout), strict=True):
        ours = walls(task)
        assert theirs == ours or theirs[:OCCURRENCES] == ours[1:], (task, case)
