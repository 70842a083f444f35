"""Request and response bodies of the tasks API, as clients see them."""

from typing import Annotated, ClassVar, Final, Self, TypedDict, cast

from pydantic import BaseModel, Field, model_validator

from backend.app import problems
from backend.app.domain.enums import ANY_LIST, AnyList, Priority, RecurrenceFrom
from backend.app.domain.limits import ID_MAX
from backend.app.domain.plan import check_plan
from backend.app.schemas.body import Body, Moment, Timestamp, absent, timestamp
from backend.app.schemas.members import (
    AnsweredRecurrenceFrom,
    Completed,
    Description,
    DueDate,
    ListId,
    ParentId,
    Reminders,
    Rule,
    StartDate,
    Tags,
    TimeZone,
    Title,
    Urgency,
)


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
    tags: Tags = Field(default=[])
    parent_id: ParentId | None = None
    reminders: Reminders = Field(default=[])

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


class SetsCompleted(Body):
    """What a write may say that sets `completed`, of one task or of many."""

    completed: Completed = True
    skip_missed: SkipMissed = False

    @model_validator(mode="after")
    def _skips_when_completed(self) -> Self:
        if self.skip_missed and not self.completed:
            raise ValueError("skip_missed goes with completed: true")
        return self


class Completion(SetsCompleted):
    """The state to set, whatever it was: safe to repeat."""

    completed: Completed


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
    completed_at: Timestamp = Field(examples=["2026-01-01T00:00:00.000000Z"])
    skipped: int = Field(ge=0, description="How many occurrences were past, and are skipped.", examples=[0])


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
