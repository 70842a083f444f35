"""The members that a task may be given, each with its bounds, as clients see them."""

import unicodedata
from typing import Annotated, Final

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    StringConstraints,
    WithJsonSchema,
)

from backend.app.domain import due_dates, reminders
from backend.app.domain.enums import Priority, RecurrenceFrom
from backend.app.domain.keys import tag_key
from backend.app.domain.limits import (
    DESCRIPTION_MAX_CHARACTERS,
    ID_MAX,
    REMINDERS_MAX,
    TAG_MAX_CHARACTERS,
    TAGS_MAX,
    TITLE_MAX_CHARACTERS,
)
from backend.app.domain.rules import read_rule
from backend.app.schemas.body import at_most, text_schema, without_nul

Title = Annotated[
    str,
    StringConstraints(strip_whitespace=True, min_length=1, max_length=TITLE_MAX_CHARACTERS),
    AfterValidator(without_nul),
    text_schema(1, TITLE_MAX_CHARACTERS, r"^[^\u0000]*[^\s\u0000][^\u0000]*$"),
    Field(description="What is to be done. Blanks around it are removed.", examples=["Buy milk"]),
]
Description = Annotated[
    str,
    StringConstraints(max_length=DESCRIPTION_MAX_CHARACTERS),
    AfterValidator(without_nul),
    text_schema(0, DESCRIPTION_MAX_CHARACTERS, r"^[^\u0000]*$"),
    Field(description="More about it, or null.", examples=["Two litres"]),
]
Completed = Annotated[bool, Field(description="Whether it is done.", examples=[False])]


def _tag(text: str) -> str:
    if any(unicodedata.category(letter) == "Cc" for letter in text):
        raise ValueError("must not contain control characters")
    return text


def _each_once(tags: list[str]) -> list[str]:
    keys = {tag_key(tag) for tag in tags}
    if len(keys) < len(tags):
        raise ValueError("must not contain a tag twice, also not in another case")
    return tags


def _time_zone(name: str) -> str:
    due_dates.zone(name)
    return name


def _rule(text: str) -> str:
    read_rule(text)
    return text


DAY_OR_MOMENT = WithJsonSchema(
    {"anyOf": [{"type": "string", "format": "date"}, {"type": "string", "format": "date-time"}]}
)
Urgency = Annotated[Priority, Field(strict=False, description="How much it matters.", examples=["high"])]
Tag = Annotated[
    str,
    StringConstraints(strip_whitespace=True, min_length=1, max_length=TAG_MAX_CHARACTERS),
    AfterValidator(_tag),
    text_schema(
        1,
        TAG_MAX_CHARACTERS,
        r"^[^\u0000-\u001f\u007f-\u009f]*[^\s\u0000-\u001f\u007f-\u009f][^\u0000-\u001f\u007f-\u009f]*$",
    ),
]
Tags = Annotated[
    list[Tag],
    AfterValidator(_each_once),
    at_most(TAGS_MAX),
    Field(max_length=TAGS_MAX, description="Each once, also regardless of case.", examples=[["home"]]),
]
DueDate = Annotated[
    str,
    AfterValidator(due_dates.normalized),
    DAY_OR_MOMENT,
    Field(
        description="A day, or a date-time with its offset (RFC 3339). What is given comes back, with at most "
        "six digits of a second.",
        examples=["2026-12-24"],
    ),
]
StartDate = Annotated[
    str,
    AfterValidator(due_dates.normalized),
    DAY_OR_MOMENT,
    Field(
        description="From when on it can be done: a day, or a date-time with its offset (RFC 3339), not after the due "
        "date. What repeats has it moved along.",
        examples=["2026-12-20"],
    ),
]
TimeZone = Annotated[
    str,
    AfterValidator(_time_zone),
    Field(description="An IANA name: where a day ends, and what a task repeats in.", examples=["Europe/Berlin"]),
]
Rule = Annotated[
    str,
    AfterValidator(_rule),
    Field(
        description="How it repeats from its due date on, as an RRULE (RFC 5545): completing it moves the due date.",
        examples=["FREQ=WEEKLY;BYDAY=MO"],
    ),
]
ParentId = Annotated[
    int, Field(ge=1, le=ID_MAX, description="The task that this is a part of. One level deep.", examples=[1])
]
ListId = Annotated[
    int,
    Field(ge=1, le=ID_MAX, description="The list that it is in; null is the inbox. A subtask is in its parent's."),
]
_RECURRENCE_FROM: Final = (
    "What the next due date is counted from: `due_date`, the moment of `completion`, or `due_date` without the "
    "occurrences that are past by then (`schedule`)."
)
AnsweredRecurrenceFrom = Annotated[
    RecurrenceFrom,
    Field(strict=False, description=f"{_RECURRENCE_FROM} Null is `due_date`."),
    BeforeValidator(lambda start: RecurrenceFrom.DUE_DATE if start is None else start),
    WithJsonSchema({"anyOf": [{"$ref": "#/components/schemas/RecurrenceFrom"}, {"type": "null"}]}),
]


def _none_twice(texts: list[str]) -> list[str]:
    if len(set(texts)) < len(texts):
        raise ValueError("must not contain a reminder twice")
    return texts


MOMENT_OR_DURATION = WithJsonSchema(
    {
        "anyOf": [
            {"type": "string", "format": "date-time"},
            {"type": "string", "pattern": r"^[+-]?P([0-9]+W|([0-9]+D)?(T([0-9]+H)?([0-9]+M)?([0-9]+S)?)?)$"},
        ]
    }
)
Reminder = Annotated[str, AfterValidator(reminders.normalized), MOMENT_OR_DURATION]
Reminders = Annotated[
    list[Reminder],
    AfterValidator(_none_twice),
    at_most(REMINDERS_MAX),
    Field(
        max_length=REMINDERS_MAX,
        description="When it reminds: a date-time with its offset, or a duration before the due date in the form of "
        "RFC 5545's TRIGGER. Before a day, it counts from that day's midnight.",
        examples=[["-PT30M"]],
    ),
]
