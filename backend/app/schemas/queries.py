"""What a list may be asked for: which tasks, in which order, and which page of them."""

import hashlib
from functools import cached_property
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from backend.app.domain import due_dates
from backend.app.domain.enums import DELETED_SORTS, ImportIds, Sort, Status
from backend.app.domain.limits import ID_MAX, TAGS_MAX
from backend.app.schemas.body import at_most, without_nul
from backend.app.schemas.members import DAY_OR_MOMENT, Tag

PAGE_DEFAULT = 100
PAGE_MAX = 500
# One of each.
PRIORITIES_MAX = 4
SEARCH_MAX_CHARACTERS = 200
# Where a date-time's hours begin.
_TIME_AT = len("2026-12-24T")


def decimal(value: Any) -> Any:
    """Raises ValueError for what pydantic would also read: "+5", "5.0" and "1_000", and of a body true and 5.0."""
    if isinstance(value, bool | float) or (isinstance(value, str) and not (value.isascii() and value.isdigit())):
        raise ValueError("must be a plain decimal number")
    return value


Limit = Annotated[int, Field(ge=1, le=PAGE_MAX), BeforeValidator(decimal)]


def _plus_for_blank(text: Any) -> Any:
    """In a query a `+` may have come as a blank. The one before the time stands for the T."""
    return text[:_TIME_AT] + text[_TIME_AT:].replace(" ", "+") if isinstance(text, str) else text


def _flag(value: Any) -> Any:
    """In a body also as JSON has it."""
    return str(value).lower() if isinstance(value, bool) else value


def _list_of_one(value: Any) -> Any:
    """A parameter that may be repeated, and is not."""
    return [value] if isinstance(value, str) else value


_Urgency = Literal["low", "medium", "high", "none"]
_SEVERAL = BeforeValidator(_list_of_one)
Flag = Annotated[Literal["true", "false"], BeforeValidator(_flag)]

# An id, or the tasks without one.
IdOrNone = Annotated[int, Field(ge=1, le=ID_MAX), BeforeValidator(decimal)] | Literal["none"]

# A date, or a date-time with its offset.
DayOrMoment = Annotated[str, BeforeValidator(_plus_for_blank), AfterValidator(due_dates.normalized), DAY_OR_MOMENT]


class PageQuery(BaseModel):
    """Which page."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    limit: Limit = Field(default=PAGE_DEFAULT, description="How many of them a page holds at most.")
    cursor: str | None = Field(
        default=None, description="Where the page starts: from the Link header of the page before."
    )


class TaskFilter(BaseModel):
    """Which tasks. A task must meet every filter that is given."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    status: Status = Field(default=Status.ALL, description="Only tasks in this state; `deleted` is the trash.")
    priority: Annotated[tuple[_Urgency, ...], at_most(PRIORITIES_MAX), _SEVERAL] = Field(
        default=(), max_length=PRIORITIES_MAX, description="Any of these; may be repeated."
    )
    tag: Annotated[tuple[Tag, ...], at_most(TAGS_MAX), _SEVERAL] = Field(
        default=(), max_length=TAGS_MAX, description="All of these, regardless of case; may be repeated."
    )
    due_before: DayOrMoment | None = Field(
        default=None, description="Due before this moment, or before this day (UTC)."
    )
    due_after: DayOrMoment | None = Field(
        default=None, description="Due at or after this moment, or on or after this day."
    )
    overdue: Flag | None = Field(default=None, description="Pending, and the due date has passed.")
    available: Flag | None = Field(default=None, description="Pending, and the start date has come, or there is none.")
    parent_id: IdOrNone | None = Field(
        default=None, description="Subtasks of this task; `none`: tasks that are no subtasks."
    )
    list_id: IdOrNone | None = Field(
        default=None, description="Tasks of this list; `none`: those of the inbox, which are in no list."
    )
    q: Annotated[str, Field(min_length=1, max_length=SEARCH_MAX_CHARACTERS), AfterValidator(without_nul)] | None = (
        Field(default=None, description="Text that the title or the description holds, regardless of case.")
    )


class TaskPageQuery(TaskFilter, PageQuery):
    """Which tasks, in which order, and which page of them."""

    sort: Sort = Field(
        default=Sort.CREATED,
        description="`created` and `updated` newest first, `title` A to Z, `due_date` soonest first and none last, "
        "`priority` highest first, `position` as the user moved them; a leading `-` reverses. The trash knows "
        "`created` and `updated` only.",
    )

    @model_validator(mode="after")
    def _sorted_by_an_index(self) -> Self:
        if self.status is Status.DELETED and self.sort not in DELETED_SORTS:
            raise ValueError("the trash can be sorted by created and updated only")
        return self

    @cached_property
    def is_usual(self) -> bool:
        """Newest first, by state at most."""
        return self.status is not Status.DELETED and not self.model_dump(
            exclude_defaults=True, exclude={"status", "limit", "cursor"}
        )

    @property
    def follows_revision(self) -> bool:
        """Whether the list changes only when its revision does: not with the hour, nor by a purge."""
        return self.overdue is None and self.available is None and self.status is not Status.DELETED

    @cached_property
    def fingerprint(self) -> str:
        """The same for all pages of one list, and for no other list."""
        filters = self.model_dump_json(exclude={"limit", "cursor"}).encode()
        return hashlib.sha256(filters).hexdigest()[:12]


class ExportQuery(BaseModel):
    """How a file is written."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    bom: Literal["true", "false"] = Field(
        default="true", description="Whether CSV begins with a byte order mark, which Excel needs to read UTF-8."
    )


class ImportQuery(BaseModel):
    """How a file is read."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    ids: ImportIds | None = Field(
        default=None,
        description="`new`: the tasks are added under your next ids. `keep`: they keep the file's ids, in place of "
        "what you have under those. Without it, a file whose tasks name you in `user_id` keeps its ids, and any other "
        "is added.",
    )
    dry_run: Literal["true", "false"] = Field(
        default="false", description="`true`: nothing is changed, and the answer says what would be."
    )


class TagCount(BaseModel):
    """A tag and how many tasks have it."""

    tag: str = Field(examples=["home"])
    open: int = Field(ge=0, examples=[2])
    total: int = Field(ge=1, examples=[3])
