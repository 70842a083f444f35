"""Request and response bodies of the tasks API, as clients see them."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any, TypedDict, cast

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    WithJsonSchema,
)

from backend.app.models import DESCRIPTION_MAX_CHARACTERS, TITLE_MAX_CHARACTERS

PAGE_DEFAULT = 100
PAGE_MAX = 500


def _without_nul(text: str) -> str:
    # PostgreSQL's text has no U+0000.
    if "\0" in text:
        raise ValueError("must not contain the character U+0000")
    return text


def _decimal(value: Any) -> Any:
    # pydantic would also read "+5", "5.0" and "1_000".
    if isinstance(value, str) and not (value.isascii() and value.isdigit()):
        raise ValueError("must be a plain decimal number")
    return value


def _text(shortest: int, longest: int, pattern: str) -> WithJsonSchema:
    """What the document says of a text; the validators beside it judge, with better sentences than a pattern has."""
    return WithJsonSchema({"type": "string", "minLength": shortest, "maxLength": longest, "pattern": pattern})


Title = Annotated[
    str,
    StringConstraints(strip_whitespace=True, min_length=1, max_length=TITLE_MAX_CHARACTERS),
    AfterValidator(_without_nul),
    _text(1, TITLE_MAX_CHARACTERS, r"^[^\u0000]*[^\s\u0000][^\u0000]*$"),
    Field(description="What is to be done. Blanks around it are removed.", examples=["Buy milk"]),
]
Description = Annotated[
    str,
    StringConstraints(max_length=DESCRIPTION_MAX_CHARACTERS),
    AfterValidator(_without_nul),
    _text(0, DESCRIPTION_MAX_CHARACTERS, r"^[^\u0000]*$"),
    Field(description="More about it, or null.", examples=["Two litres"]),
]
Completed = Annotated[bool, Field(description="Whether it is done.", examples=[False])]


class Body(BaseModel):
    """JSON as it is: a string is not a number, and a member that is not known is a mistake."""

    model_config = ConfigDict(strict=True, extra="forbid")


class TaskCreate(Body):
    """A new task."""

    title: Title
    description: Description | None = None
    completed: Completed = False


class Changes(TypedDict, total=False):
    """What a write changes; what is absent stays as it is."""

    title: str
    description: str | None
    completed: bool


def _absent() -> Any:
    """A member that may be left out but not null: its schema has no default, for null would be one."""
    return Field(default=None, json_schema_extra=_without_default)


def _without_default(schema: dict[str, Any]) -> None:
    del schema["default"]


class TaskReplace(Body):
    """All of a task that can be written. An omitted description becomes null; an omitted `completed` stays as it is."""

    title: Title
    description: Description | None = None
    completed: Completed = _absent()

    def changes(self) -> Changes:
        changes: Changes = {"title": self.title, "description": self.description}
        if "completed" in self.model_fields_set:
            changes["completed"] = self.completed
        return changes


class TaskPatch(Body):
    """A JSON merge patch (RFC 7396): what is absent stays, null clears the description."""

    title: Title = _absent()
    description: Description | None = _absent()
    completed: Completed = _absent()

    def changes(self) -> Changes:
        return cast("Changes", self.model_dump(exclude_unset=True))


class Completion(Body):
    """The state to set, whatever it was: safe to repeat."""

    completed: Completed


class Status(StrEnum):
    ALL = "all"
    PENDING = "pending"
    COMPLETED = "completed"


class TaskPageQuery(BaseModel):
    """Which tasks, and which page of them."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    status: Status = Field(default=Status.ALL, description="Only tasks in this state.")
    limit: Annotated[int, Field(ge=1, le=PAGE_MAX), BeforeValidator(_decimal)] = Field(
        default=PAGE_DEFAULT, description="How many tasks a page holds at most."
    )
    cursor: str | None = Field(
        default=None, description="Where the page starts: from the Link header of the page before."
    )


class Task(BaseModel):
    """A task as it is stored."""

    id: int = Field(ge=1, description="Counts from 1 for every user.", examples=[1])
    user_id: str = Field(description="Whose task it is.", examples=["u1"])
    title: str = Field(examples=["Buy milk"])
    description: str | None = Field(examples=["Two litres"])
    completed: bool = Field(examples=[False])
    revision: int = Field(
        description="Grows with every change of the user's tasks; the ETag.", examples=[1767225600001]
    )
    created_at: Annotated[datetime, WithJsonSchema({"type": "string", "format": "date-time"})] = Field(
        description="RFC 3339, UTC.", examples=["2026-01-01T00:00:00.000000Z"]
    )
    updated_at: Annotated[datetime, WithJsonSchema({"type": "string", "format": "date-time"})] = Field(
        description="RFC 3339, UTC.", examples=["2026-01-01T00:00:00.000000Z"]
    )
