"""What an export holds and an import takes: lists and tasks with their ids and times, and what was completed."""

from typing import Annotated, ClassVar, Final, Literal, Self

from pydantic import AfterValidator, BaseModel, Field, model_validator

from backend.app.domain.enums import ImportIds
from backend.app.domain.limits import SAFE_INTEGER_MAX
from backend.app.domain.plan import check_past_plan
from backend.app.domain.positions import POSITION_CHARACTERS_MAX, is_position, unmoved
from backend.app.schemas.body import Body, Moment, at_most
from backend.app.schemas.lists import Archived, ListName
from backend.app.schemas.members import Completed, DueDate, Reminders, Rule, StartDate, Title
from backend.app.schemas.task import Planned

FORMAT: Final = "tasks-backend"
# Version 1 knows neither lists nor positions.
VERSION: Final = 2
ARCHIVE_MAX = 100_000
ARCHIVED_LISTS_MAX = 1000
# As many as tasks; of them a user keeps MAX_COMPLETIONS.
ARCHIVED_COMPLETIONS_MAX = 100_000


def _position(text: str) -> str:
    if not is_position(text):
        raise ValueError("must be a position that this server made")
    return text


class ArchivedList(Body):
    """A list as it was exported. Whose it was, and its revision, are not taken over."""

    id: Annotated[int, Field(ge=1, le=SAFE_INTEGER_MAX, examples=[1])]
    name: ListName
    position: Annotated[str, AfterValidator(_position), Field(examples=["a0"])]
    archived: Archived = False
    created_at: Moment
    updated_at: Moment
    user_id: str | None = None
    revision: Annotated[int, Field(ge=0, le=SAFE_INTEGER_MAX)] | None = None


class ArchivedTask(Planned):
    """A task as it was exported. Whose it was, and its revision, are not taken over."""

    # There may be a hundred thousand of them: a rule that never comes again ends when the task is completed.
    must_come_again: ClassVar[bool] = False

    id: Annotated[int, Field(ge=1, le=SAFE_INTEGER_MAX, examples=[1])]
    completed: Completed = False
    completed_at: Moment | None = None
    created_at: Moment
    updated_at: Moment
    remind_at: Moment | None = None
    list_id: Annotated[int, Field(ge=1, le=SAFE_INTEGER_MAX, examples=[1])] | None = None
    position: Annotated[
        str,
        Field(
            max_length=POSITION_CHARACTERS_MAX,
            description="As it was exported; empty, or left out: where a task stands that was never moved.",
            examples=["NV0"],
        ),
    ] = ""
    user_id: str | None = None
    revision: Annotated[int, Field(ge=0, le=SAFE_INTEGER_MAX)] | None = None

    @model_validator(mode="after")
    def _times(self) -> Self:
        if self.completed_at is not None and not self.completed:
            raise ValueError("a task with completed_at must be completed")
        if self.parent_id == self.id:
            raise ValueError("a task cannot be a part of itself")
        return self

    @model_validator(mode="after")
    def _place(self) -> Self:
        if self.position and self.position == unmoved(self.id):
            self.position = ""
        elif self.position:
            _position(self.position)
        return self


class ArchivedCompletion(Body):
    """One time that a repeating task was completed: what it was before, as it was exported."""

    task_id: Annotated[int, Field(ge=1, le=SAFE_INTEGER_MAX, description="A task of the file.", examples=[1])]
    completed_at: Moment
    title: Title
    due_date: DueDate | None = None
    start_date: StartDate | None = None
    recurrence: Rule | None = None
    reminders: Reminders = Field(default=[])

    @model_validator(mode="after")
    def _plan(self) -> Self:
        check_past_plan(self.due_date, self.recurrence, self.reminders)
        return self


class Archive(Body):
    """An export."""

    # Of each long list, the members of which no two items have the same. They are compared where the list is judged,
    # in steps (web/long_body.py).
    distinct: ClassVar[dict[str, tuple[str, ...]]] = {"tasks": ("id",), "completions": ("task_id", "completed_at")}

    format: Literal["tasks-backend"]
    version: Literal[1, 2]
    lists: Annotated[tuple[ArchivedList, ...], at_most(ARCHIVED_LISTS_MAX)] = Field(
        default=(), max_length=ARCHIVED_LISTS_MAX, strict=False
    )
    tasks: Annotated[list[ArchivedTask], at_most(ARCHIVE_MAX)] = Field(max_length=ARCHIVE_MAX)
    completions: Annotated[list[ArchivedCompletion], at_most(ARCHIVED_COMPLETIONS_MAX)] = Field(
        default=[],
        max_length=ARCHIVED_COMPLETIONS_MAX,
        description="What was completed of tasks that repeat, the oldest first. Of a user's, the newest are kept.",
    )

    @model_validator(mode="after")
    def _each_list_once(self) -> Self:
        if len({one.id for one in self.lists}) < len(self.lists):
            raise ValueError("lists must not have an id twice")
        if len({one.position for one in self.lists}) < len(self.lists):
            raise ValueError("lists must not have a position twice")
        return self


class Dropped(BaseModel):
    """Something of a file that is not taken over."""

    line: int | None = Field(description="Its line, counted from 1; null in JSON.", examples=[12])
    pointer: str | None = Field(description="Its JSON pointer; null in files of lines.", examples=[None])
    detail: str = Field(examples=["LOCATION is not taken over"])


class ForeignArchive(Archive):
    """What a file of another app holds, and what of it is not taken over: the first ones, and how many there are."""

    dropped: list[Dropped]
    dropped_count: int


class Imported(BaseModel):
    """What an import did."""

    created: int = Field(ge=0, examples=[2])
    changed: int = Field(ge=0, description="What was there is in the trash, under a new id.", examples=[1])
    unchanged: int = Field(ge=0, examples=[0])
    ids: ImportIds | None = Field(
        default=None, description="Of a dry run: which ids the tasks would get.", examples=["new"]
    )
    dropped: list[Dropped] | None = Field(
        default=None, description="Of a file of another app: what is not taken over; the first 1,000 of them."
    )
    dropped_count: int | None = Field(default=None, ge=0, description="How many of these there are.", examples=[0])
    lists: list[ArchivedList] | None = Field(
        default=None, description="Of a dry run: the lists that would be made, with the file's ids."
    )
    tasks: list[ArchivedTask] | None = Field(
        default=None, description="Of a dry run: what would be made, with the file's ids; the first 500 of them."
    )
    completions: list[ArchivedCompletion] | None = Field(
        default=None, description="Of a dry run of a file that has completions: the first 500 of them."
    )
