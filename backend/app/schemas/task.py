"""Request and response bodies of the tasks API, as clients see them."""

import unicodedata
from datetime import datetime
from itertools import islice
from typing import Annotated, Any, ClassVar, Final, Self, TypedDict, cast

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    WithJsonSchema,
    model_validator,
)

from backend.app import problems
from backend.app.domain import due_dates, recurrence
from backend.app.domain import reminders as reminding
from backend.app.domain.enums import ANY_LIST, AnyList, Priority, RecurrenceFrom
from backend.app.domain.keys import tag_key
from backend.app.domain.limits import (
    DESCRIPTION_MAX_CHARACTERS,
    ID_MAX,
    REMINDERS_MAX,
    TAG_MAX_CHARACTERS,
    TAGS_MAX,
    TITLE_MAX_CHARACTERS,
)
from backend.app.domain.plan import check_plan, check_skip

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
    # PostgreSQL's text has no U+0000.
    if "\0" in text:
        raise ValueError("must not contain the character U+0000")
    return text


def text_schema(shortest: int, longest: int, pattern: str) -> WithJsonSchema:
    """What the document says of a text; the validators beside it judge, with better sentences than a pattern has."""
    return WithJsonSchema({"type": "string", "minLength": shortest, "maxLength": longest, "pattern": pattern})


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


def due_date(text: str) -> str:
    """As it is kept. Raises ValueError."""
    return due_dates.kept(text)


def _time_zone(name: str) -> str:
    due_dates.zone(name)
    return name


def _rule(text: str) -> str:
    recurrence.check_rule(text)
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
    AfterValidator(due_date),
    DAY_OR_MOMENT,
    Field(
        description="A day, or a date-time with its offset (RFC 3339). What is given comes back, with at most "
        "six digits of a second.",
        examples=["2026-12-24"],
    ),
]
StartDate = Annotated[
    str,
    AfterValidator(due_date),
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


def _moment(text: Any) -> datetime:
    """With whatever offset a client's library writes: the moment is what counts."""
    if not isinstance(text, str):
        raise ValueError("must be a text such as 2026-01-01T00:00:00.000000Z")  # noqa: TRY004 - pydantic's
    return due_dates.moment(text)


_RECURRENCE_FROM: Final = (
    "What the next due date is counted from: `due_date`, the moment of `completion`, or `due_date` without the "
    "occurrences that are past by then (`schedule`)."
)

# What is answered comes back in bodies, too: a moment, and the null of a task that does not repeat.
Moment = Annotated[datetime, BeforeValidator(_moment), WithJsonSchema({"type": "string", "format": "date-time"})]
AnsweredRecurrenceFrom = Annotated[
    RecurrenceFrom,
    Field(strict=False, description=f"{_RECURRENCE_FROM} Null is `due_date`."),
    BeforeValidator(lambda start: RecurrenceFrom.DUE_DATE if start is None else start),
    WithJsonSchema({"anyOf": [{"$ref": "#/components/schemas/RecurrenceFrom"}, {"type": "null"}]}),
]


def _reminder(text: str) -> str:
    return reminding.kept(text)


def _none_twice(reminders: list[str]) -> list[str]:
    if len(set(reminders)) < len(reminders):
        raise ValueError("must not contain a reminder twice")
    return reminders


MOMENT_OR_DURATION = WithJsonSchema(
    {
        "anyOf": [
            {"type": "string", "format": "date-time"},
            {"type": "string", "pattern": r"^[+-]?P([0-9]+W|([0-9]+D)?(T([0-9]+H)?([0-9]+M)?([0-9]+S)?)?)$"},
        ]
    }
)
Reminder = Annotated[str, AfterValidator(_reminder), MOMENT_OR_DURATION]
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


class Planned(Body):
    """What may be planned of a task."""

    must_come_again: ClassVar[bool] = True

    title: Title
    description: Description | None = None
    priority: Urgency | None = None
    start_date: StartDate | None = None
    due_date: DueDate | None = None
    time_zone: TimeZone | None = None
    recurrence: Rule | None = None
    recurrence_from: AnsweredRecurrenceFrom = RecurrenceFrom.DUE_DATE
    tags: Tags = []
    parent_id: ParentId | None = None
    reminders: Reminders = []

    @model_validator(mode="after")
    def _plan(self) -> Self:
        plan = (self.due_date, self.time_zone, self.recurrence)
        start, again = self.start_date, self.must_come_again
        check_plan(*plan, start_date=start, reminders=self.reminders, comes_again=again)
        return self


class TaskCreate(Planned):
    """A new task."""

    completed: Completed = False
    list_id: ListId | None = None


class Changes(TypedDict, total=False):
    """What a write changes; what is absent stays as it is."""

    title: str
    description: str | None
    completed: bool
    priority: Priority | None
    start_date: str | None
    due_date: str | None
    time_zone: str | None
    recurrence: str | None
    recurrence_from: RecurrenceFrom
    tags: list[str]
    parent_id: int | None
    reminders: list[str]
    list_id: int | None


def absent() -> Any:
    """A member that may be left out but not null: its schema has no default, for null would be one."""
    return Field(default=None, json_schema_extra=_without_default)


def _without_default(schema: dict[str, Any]) -> None:
    del schema["default"]


_SET_BY_SERVER: Final = {
    *("id", "user_id", "position", "revision", "remind_at", "completed_at", "created_at", "updated_at"),
}
_IGNORED: Final = Field(description="Ignored: taken as a task is answered.")


class TaskReplace(Planned):
    """All of a task that can be written. What is left out is cleared; `completed` and `list_id` stay as they are then.

    A task as it was answered can be sent back: what only the server sets is ignored.
    """

    completed: Completed = absent()
    list_id: ListId | None = absent()
    id: Annotated[int, Field(ge=1, le=ID_MAX, description="Must be the path's.", examples=[1])] = absent()
    user_id: Annotated[str, Field(description="Must be the path's.", examples=["u1"])] = absent()
    position: Annotated[str | None, _IGNORED] = None
    revision: Annotated[int | None, _IGNORED] = None
    remind_at: Annotated[Moment | None, _IGNORED] = None
    completed_at: Annotated[Moment | None, _IGNORED] = None
    created_at: Annotated[Moment | None, _IGNORED] = None
    updated_at: Annotated[Moment | None, _IGNORED] = None

    def changes(self, task_id: int, user_id: str) -> Changes:
        """What it changes of this task of this user. Raises ValidationFailed where it was sent for another one."""
        errors = [
            {"pointer": f"#/{name}", "detail": "must be the one in the path, or be left out"}
            for name, value in (("id", task_id), ("user_id", user_id))
            if name in self.model_fields_set and getattr(self, name) != value
        ]
        if errors:
            raise problems.ValidationFailed(errors)
        kept = {"completed", "list_id"} - self.model_fields_set
        return cast("Changes", self.model_dump(exclude=_SET_BY_SERVER | kept))


class TaskEdits(Body):
    """What may be changed of many tasks alike; what is absent stays, null clears (RFC 7396)."""

    title: Title = absent()
    description: Description | None = absent()
    priority: Urgency | None = absent()
    start_date: StartDate | None = absent()
    due_date: DueDate | None = absent()
    time_zone: TimeZone | None = absent()
    recurrence: Rule | None = absent()
    recurrence_from: AnsweredRecurrenceFrom = absent()
    tags: Tags = absent()
    reminders: Reminders = absent()

    def changes(self) -> Changes:
        return cast("Changes", self.model_dump(exclude_unset=True))


class TaskPatch(TaskEdits):
    """A JSON merge patch (RFC 7396): what is absent stays, null clears."""

    completed: Completed = absent()
    parent_id: ParentId | None = absent()
    list_id: ListId | None = absent()


SkipMissed = Annotated[
    bool,
    Field(
        description="Of a task that repeats, skip the occurrences that are past by now; those of one whose "
        "`recurrence_from` is `completion` are skipped anyway.",
        examples=[True],
    ),
]


class Completion(Body):
    """The state to set, whatever it was: safe to repeat."""

    completed: Completed
    skip_missed: SkipMissed = False

    @model_validator(mode="after")
    def _skips_when_completed(self) -> Self:
        check_skip(self.completed, self.skip_missed)
        return self


class TaskMove(Body):
    """Where a task is to stand."""

    after: Annotated[int, Field(ge=1, le=ID_MAX, examples=[1])] | None = Field(
        description="The task that it comes right after, of the same list and parent; null: in front of all.",
        examples=[None],
    )
    list_id: ListId | None = absent()

    @property
    def asked_list(self) -> int | AnyList | None:
        """The list that it asks for, or none of them."""
        return self.list_id if "list_id" in self.model_fields_set else ANY_LIST


class Occurrence(BaseModel):
    """What was completed of a task that repeats."""

    due_date: str = Field(examples=["2026-12-24"])
    completed_at: Annotated[datetime, WithJsonSchema({"type": "string", "format": "date-time"})] = Field(
        examples=["2026-01-01T00:00:00.000000Z"]
    )
    skipped: int = Field(ge=0, description="How many occurrences were past, and are skipped.", examples=[0])


def timestamp(description: str = "RFC 3339, UTC.") -> Any:
    return Field(description=description, examples=["2026-01-01T00:00:00.000000Z"])


Timestamp = Annotated[datetime, WithJsonSchema({"type": "string", "format": "date-time"})]


class Task(BaseModel):
    """A task as it is stored."""

    id: int = Field(ge=1, description="Counts from 1 for every user.", examples=[1])
    user_id: str = Field(description="Whose task it is.", examples=["u1"])
    title: str = Field(examples=["Buy milk"])
    description: str | None = Field(examples=["Two litres"])
    completed: bool = Field(examples=[False])
    completed_at: Timestamp | None = timestamp("When it was completed; also null if that was before this was kept.")
    priority: Priority | None = Field(examples=["high"])
    start_date: str | None = Field(description="As it was given.", examples=["2026-12-20"])
    due_date: str | None = Field(description="As it was given.", examples=["2026-12-24"])
    time_zone: str | None = Field(examples=["Europe/Berlin"])
    recurrence: str | None = Field(description="What is left of the rule.", examples=["FREQ=WEEKLY;BYDAY=MO"])
    recurrence_from: RecurrenceFrom | None = Field(description="Null where it does not repeat.", examples=["due_date"])
    tags: list[str] = Field(examples=[["home"]])
    reminders: list[str] = Field(examples=[["-PT30M"]])
    remind_at: Timestamp | None = timestamp(
        "When it reminds next, at the time of the answer; null where it is completed, or does not remind any more."
    )
    parent_id: int | None = Field(examples=[None])
    list_id: int | None = Field(description="Null: the inbox.", examples=[None])
    position: str = Field(
        description="Where it stands among the others: compare as text, character by character, and ids where two are "
        "equal. Made by the server when the task is moved.",
        examples=["Zz"],
    )
    revision: int = Field(
        description="Grows with every change of the user's tasks; the ETag.", examples=[1767225600001]
    )
    created_at: Timestamp = timestamp()
    updated_at: Timestamp = timestamp()


class CompletedTask(Task):
    """A task after it was completed, or opened again."""

    completed_occurrence: Occurrence | None = Field(
        default=None, description="Only where a task that repeats was completed and stays open for the next time."
    )


class ListedTask(Task):
    """A task of a list."""

    deleted_at: Timestamp | None = Field(
        default=None, description="Only in the trash.", examples=["2026-01-01T00:00:00.000000Z"]
    )
