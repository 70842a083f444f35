"""What a task's due date, time zone, recurrence and reminders must be together."""

from collections.abc import Sequence
from typing import Final

from backend.app.domain import due_dates, recurrence
from backend.app.domain import reminders as reminding

_NO_DUE_DATE: Final = "a task that repeats needs a due_date"


def check_plan(
    due_date: str | None,
    time_zone: str | None,
    rule: str | None,
    *,
    start_date: str | None,
    reminders: Sequence[str] = (),
    comes_again: bool = True,
) -> None:
    """What the members of a plan must be together. Raises ValueError.

    Whether a rule comes again is a search of up to a millisecond, which adds up in an import of many tasks.
    """
    if due_date is not None:
        due_dates.check(due_date, time_zone)
    if start_date is not None:
        start = due_dates.start_at(start_date, time_zone)
        if due_date is not None and start > due_dates.due_at(due_date, time_zone):
            raise ValueError("the start_date must not be after the due_date")
    if rule is not None:
        if due_date is None:
            raise ValueError(_NO_DUE_DATE)
        if comes_again:
            recurrence.check(due_date, rule, time_zone)
    if reminders:
        reminding.check(reminders, due_date, time_zone)


def check_past_plan(due_date: str | None, rule: str | None, reminders: Sequence[str]) -> None:
    """What a plan must be that a task once had, in whatever time zone that was. Raises ValueError."""
    if due_date is not None:
        return
    if rule is not None:
        raise ValueError(_NO_DUE_DATE)
    if any(reminding.needs_due_date(text) for text in reminders):
        raise ValueError(reminding.NO_DUE_DATE)
