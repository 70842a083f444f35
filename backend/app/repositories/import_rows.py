"""The tasks of a file by columns, as the statements of an import take them."""

import asyncio
import time
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from backend.app.domain import due_dates
from backend.app.repositories.arrays import SEPARATOR, is_list
from backend.app.repositories.import_statements import NAMES
from backend.app.repositories.mapping import TASKS, rfc3339, task_to_columns
from backend.app.schemas.transfer import ArchivedTask

_LISTS = [name for name in NAMES if is_list(TASKS, name)]
# How long tasks are looked at before others get their turn (seconds).
STEP_SECONDS: Final = 0.005
# How many of the caller's tasks or lists a refusal names.
TAKEN_MAX: Final = 20
# Two whose `created_at` is nearer than this are one: a client may have cut off the digits below a millisecond.
SAME_CREATION: Final = timedelta(milliseconds=1)
# One array for each column, all equally long.
Arrays = dict[str, list[Any]]


@dataclass(frozen=True, slots=True)
class NewIds:
    """What the ids and positions of a file become, by the file's ids of its tasks and lists."""

    tasks: dict[int, int]
    lists: dict[int, int]
    positions: dict[int, str]


async def arrays_in_steps(tasks: list[ArchivedTask], parents: set[int], new: NewIds | None = None) -> Arrays:
    """The tasks by columns, under new ids where these are given; `parents` are the ids of those with subtasks.

    Others have their turn every few milliseconds: the keys of long texts take their time, up to some milliseconds each.
    """
    arrays: Arrays = {f"of_{name}": [] for name in NAMES}
    until = time.perf_counter() + STEP_SECONDS
    for task in tasks:
        columns = _columns_of(task, parents, new)
        for name in NAMES:
            arrays[f"of_{name}"].append(columns[name])
        if time.perf_counter() >= until:
            await asyncio.sleep(0)
            until = time.perf_counter() + STEP_SECONDS
    return arrays


def _columns_of(task: ArchivedTask, parents: set[int], new: NewIds | None) -> dict[str, Any]:
    members = task.model_dump()
    columns = {**task_to_columns(members), "reminders": task.reminders}
    columns |= {name: SEPARATOR.join(columns[name]) for name in _LISTS}
    columns |= {name: members[name] for name in ("id", "completed_at", "created_at", "updated_at")}
    columns["reminders"] = columns["reminders"] or None
    columns["due_at"] = str(columns["due_at"])
    columns["revision"] = 0
    columns["compound"] = bool(task.recurrence or task.reminders) or task.id in parents
    columns |= {"list_id": task.list_id, "position": task.position}
    if new is not None:
        columns["id"] = new.tasks[task.id]
        columns["parent_id"] = None if task.parent_id is None else new.tasks[task.parent_id]
        columns["list_id"] = None if task.list_id is None else new.lists[task.list_id]
        columns["position"] = new.positions.get(task.id, "")
    return columns


def is_another(created_at: datetime, stored: str) -> bool:
    """Whether a task or list of a file is not the one that is stored, by when they were made (`in_utc`'s text)."""
    return abs(created_at - due_dates.moment(rfc3339(stored))) >= SAME_CREATION


def respelled(arrays: Arrays, stored: dict[int, str | None]) -> Arrays:
    """The same, with each due date as it is stored where that says the same; `stored` has them by ids.

    A client that has read an export into its own types writes `+00:00` for Z, or another number of digits.
    """
    dates = zip(arrays["of_id"], arrays["of_due_date"], strict=True)
    return {**arrays, "of_due_date": [_spelled(given, stored.get(task_id)) for task_id, given in dates]}


def _spelled(given: str | None, stored: str | None) -> str | None:
    return stored if given and stored and due_dates.same(given, stored) else given


def revised(arrays: Arrays, revision: int) -> Arrays:
    """The same, each with a revision of its own: the next ones after this."""
    return {**arrays, "of_revision": list(range(revision + 1, revision + 1 + len(arrays["of_id"])))}


def only(arrays: Arrays, ids: Collection[int]) -> Arrays:
    """Of these tasks, those with these ids."""
    places = [place for place, task_id in enumerate(arrays["of_id"]) if task_id in ids]
    return {name: [values[place] for place in places] for name, values in arrays.items()}
