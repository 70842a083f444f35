"""The tasks of a file by columns, as the statements of an import take them."""

import asyncio
from collections.abc import Collection
from typing import Any, Final

from backend.app.domain import due_dates
from backend.app.repositories.arrays import SEPARATOR, is_list
from backend.app.repositories.import_statements import NAMES
from backend.app.repositories.mapping import TASKS, task_to_columns
from backend.app.schemas.transfer import ArchivedTask

_LISTS = [name for name in NAMES if is_list(TASKS, name)]
# So many tasks with the longest texts take about four milliseconds.
STEP: Final = 100
# One array for each column, all equally long.
Arrays = dict[str, list[Any]]


async def arrays_in_steps(
    tasks: list[ArchivedTask], parents: set[int], new_ids: dict[int, int] | None = None
) -> Arrays:
    """As `arrays_of`, with a turn for others every few milliseconds: the keys of long texts take their time."""
    whole: Arrays = {f"of_{name}": [] for name in NAMES}
    for start in range(0, len(tasks), STEP):
        for name, values in arrays_of(tasks[start : start + STEP], parents, new_ids).items():
            whole[name] += values
        await asyncio.sleep(0)
    return whole


def arrays_of(tasks: list[ArchivedTask], parents: set[int], new_ids: dict[int, int] | None = None) -> Arrays:
    """The tasks by columns, under new ids where these are given; `parents` are the ids of those with subtasks."""
    rows = []
    for task in tasks:
        members = task.model_dump()
        columns = task_to_columns(members)
        columns |= {name: SEPARATOR.join(columns[name]) for name in _LISTS}
        columns |= {name: members[name] for name in ("id", "completed_at", "created_at", "updated_at")}
        columns["due_at"] = str(columns["due_at"])
        columns["revision"] = 0
        columns["compound"] = task.recurrence is not None or task.id in parents
        if new_ids is not None:
            columns["id"] = new_ids[task.id]
            columns["parent_id"] = None if task.parent_id is None else new_ids[task.parent_id]
        rows.append(columns)
    return {f"of_{name}": [row[name] for row in rows] for name in NAMES}


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
