"""The body of a write that is applied to all tasks that filters find, and its answer."""

from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    RootModel,
    WithJsonSchema,
)

from backend.app.domain.enums import Status
from backend.app.schemas.body import Body, absent
from backend.app.schemas.members import ListId
from backend.app.schemas.queries import IdOrNone, TaskFilter
from backend.app.schemas.task import SetsCompleted, TaskEdits


def _not_the_trash(status: Status) -> Status:
    if status is Status.DELETED:
        raise ValueError("must not be the trash: restore its tasks first")
    return status


def _not_null(value: Any) -> Any:
    if value is None:
        raise ValueError('must be an id, or "none" for tasks without one; leave it out to mean all')
    return value


_NOT_NULL = BeforeValidator(_not_null)


class Where(TaskFilter, Body):
    """The tasks that the list with these parameters would have on all its pages; without any, all tasks."""

    model_config = ConfigDict(strict=False)

    status: Annotated[
        Status,
        AfterValidator(_not_the_trash),
        WithJsonSchema({"type": "string", "enum": ["all", "pending", "completed"], "default": "all"}),
    ] = Field(default=Status.ALL, description="Only tasks in this state.")
    # In a task null stands for no parent, and for the inbox: it must not mean all tasks here.
    parent_id: Annotated[IdOrNone, _NOT_NULL] = absent(TaskFilter.model_fields["parent_id"].description)
    list_id: Annotated[IdOrNone, _NOT_NULL] = absent(TaskFilter.model_fields["list_id"].description)


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
