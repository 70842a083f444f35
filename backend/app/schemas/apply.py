"""The body of a write that is applied to all tasks that filters find, and its answer."""

from typing import Annotated, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    RootModel,
    WithJsonSchema,
)

from backend.app.domain.enums import Status
from backend.app.schemas.body import Body
from backend.app.schemas.members import ListId
from backend.app.schemas.queries import TaskFilter
from backend.app.schemas.task import SetsCompleted, TaskEdits


def _not_the_trash(status: Status) -> Status:
    if status is Status.DELETED:
        raise ValueError("must not be the trash: restore its tasks first")
    return status


class Where(TaskFilter, Body):
    """The tasks that the list with these parameters would have on all its pages; without any, all tasks."""

    model_config = ConfigDict(strict=False)

    status: Annotated[
        Status,
        AfterValidator(_not_the_trash),
        WithJsonSchema({"type": "string", "enum": ["all", "pending", "completed"], "default": "all"}),
    ] = Field(default=Status.ALL, description="Only tasks in this state.")


class _Applied(Body):
    """What every kind of it has."""

    where: Where = Field(description="The parameters of the list that is meant, without order and page.")
    expect: Annotated[int, Field(ge=0, examples=[12])] | None = Field(
        default=None,
        description="How many tasks are found, as you know it: nothing is written where it is another number.",
    )


class ApplyComplete(SetsCompleted, _Applied):
    """Sets `completed` of each."""

    op: Literal["complete"]


class ApplyDelete(_Applied):
    """Moves each to the trash."""

    op: Literal["delete"]


class ApplyUpdate(_Applied):
    """Makes the same changes to each."""

    op: Literal["update"]
    changes: TaskEdits


class ApplyMove(_Applied):
    """Puts each into a list, with its subtasks."""

    op: Literal["move"]
    list_id: ListId | None = Field(description="Null: the inbox.")


class Apply(RootModel[Annotated[ApplyComplete | ApplyDelete | ApplyUpdate | ApplyMove, Discriminator("op")]]):
    """One operation, and which tasks it is made on: all of them, or none."""


class Applied(BaseModel):
    """Which tasks were found and written."""

    count: int = Field(ge=0, description="How many they are.", examples=[2])
    ids: list[int] = Field(
        description="Their ids. Subtasks that went with their parent are not among them.", examples=[[3, 7]]
    )
