"""The words that a task's members may have."""

from enum import Enum, StrEnum
from typing import Final


class Priority(StrEnum):
    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"


class AnyList(Enum):
    """What stands for the list where a request says nothing of it, which is something else than the inbox (None)."""

    ANY_LIST = "any"


ANY_LIST: Final = AnyList.ANY_LIST


class RecurrenceFrom(StrEnum):
    """What a repeating task's next due date is counted from; on schedule, occurrences that are past are skipped."""

    DUE_DATE = "due_date"
    COMPLETION = "completion"
    SCHEDULE = "schedule"


class ImportIds(StrEnum):
    """Which ids the tasks of a file get: the user's next ones, or those that they have in the file."""

    NEW = "new"
    KEEP = "keep"


class Status(StrEnum):
    ALL = "all"
    PENDING = "pending"
    COMPLETED = "completed"
    DELETED = "deleted"


class Sort(StrEnum):
    """The order of a list. A leading `-` reverses it; tasks that are equal are told apart by their ids."""

    CREATED = "created"
    UPDATED = "updated"
    TITLE = "title"
    DUE_DATE = "due_date"
    PRIORITY = "priority"
    POSITION = "position"
    CREATED_REVERSED = "-created"
    UPDATED_REVERSED = "-updated"
    TITLE_REVERSED = "-title"
    DUE_DATE_REVERSED = "-due_date"
    PRIORITY_REVERSED = "-priority"
    POSITION_REVERSED = "-position"


# What a deleted task may be sorted by: there is an index for these.
DELETED_SORTS = (Sort.CREATED, Sort.CREATED_REVERSED, Sort.UPDATED, Sort.UPDATED_REVERSED)
