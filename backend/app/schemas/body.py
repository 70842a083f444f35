"""What all request bodies have in common: JSON as it is, and no member that is not known."""

from datetime import datetime
from itertools import islice
from typing import Annotated, Any, Final

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    WithJsonSchema,
    model_validator,
)

from backend.app.domain import due_dates

# How many unknown members of an object are judged: as many as there are errors in an answer.
UNKNOWN_MEMBERS_JUDGED: Final = 20


def at_most(count: int) -> BeforeValidator:
    """Counts a list before any of its members is judged; `max_length` alone counts those that have passed."""

    def counted(members: Any) -> Any:
        if isinstance(members, list) and len(members) > count:
            raise ValueError(f"must have at most {count} members")
        return members

    return BeforeValidator(counted)


def without_nul(text: str) -> str:
    """Raises ValueError for U+0000, which PostgreSQL's text has not."""
    if "\0" in text:
        raise ValueError("must not contain the character U+0000")
    return text


def text_schema(shortest: int, longest: int, pattern: str) -> WithJsonSchema:
    """What the document says of a text; the validators beside it judge, with better sentences than a pattern has."""
    return WithJsonSchema({"type": "string", "minLength": shortest, "maxLength": longest, "pattern": pattern})


def _moment(text: Any) -> datetime:
    """With whatever offset a client's library writes: the moment is what counts."""
    if not isinstance(text, str):
        raise ValueError("must be a text such as 2026-01-01T00:00:00.000000Z")  # noqa: TRY004 - pydantic's
    return due_dates.moment(text)


# What is answered comes back in bodies, too: a moment, and the null of a task that does not repeat.
Moment = Annotated[datetime, BeforeValidator(_moment), WithJsonSchema({"type": "string", "format": "date-time"})]
Timestamp = Annotated[datetime, WithJsonSchema({"type": "string", "format": "date-time"})]


def timestamp(description: str = "RFC 3339, UTC.") -> Any:
    """A member that has a moment."""
    return Field(description=description, examples=["2026-01-01T00:00:00.000000Z"])


def absent(description: str | None = None) -> Any:
    """A member that may be left out but not null: its schema has no default, for null would be one."""
    return Field(default=None, description=description, json_schema_extra=_without_default)


def _without_default(schema: dict[str, Any]) -> None:
    del schema["default"]


class Body(BaseModel):
    """JSON as it is: a string is not a number, and a member that is not known is a mistake."""

    model_config = ConfigDict(strict=True, extra="forbid")

    @model_validator(mode="before")
    @classmethod
    def _few_unknown(cls, members: Any) -> Any:
        """An object with more members than there can be is refused for the first unknown ones alone."""
        known = cls.model_fields
        if not isinstance(members, dict) or len(members) <= len(known) + UNKNOWN_MEMBERS_JUDGED:
            return members
        unknown = islice((name for name in members if name not in known), UNKNOWN_MEMBERS_JUDGED)
        return {name: members[name] for name in (*(name for name in known if name in members), *unknown)}
