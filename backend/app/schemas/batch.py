"""The body of a batch: operations on tasks, each with the members that its own request would have had."""

from typing import Annotated, Literal, Self

from pydantic import BaseModel, Discriminator, Field, StringConstraints, model_validator

from backend.app.domain.limits import ID_MAX, SAFE_INTEGER_MAX
from backend.app.domain.preconditions import Precondition
from backend.app.schemas.body import Body, at_most
from backend.app.schemas.task import CompletedTask, SetsCompleted, TaskCreate, TaskMove, TaskPatch

OPERATIONS_MAX = 100
REF_MAX_CHARACTERS = 100

Ref = Annotated[
    str,
    StringConstraints(min_length=1, max_length=REF_MAX_CHARACTERS),
    Field(description="A name of your own for the task of an earlier `create` in this batch.", examples=["milk"]),
]


class Create(Body):
    """Creates a task, as POST does."""

    op: Literal["create"]
    task: TaskCreate
    ref: Ref | None = None
    parent_ref: Ref | None = Field(default=None, description="Instead of `parent_id`, for a parent of this batch.")

    @model_validator(mode="after")
    def _one_parent(self) -> Self:
        if self.parent_ref is not None and self.task.parent_id is not None:
            raise ValueError("give parent_ref or the task's parent_id, not both")
        return self


class Named(Body):
    """An operation on a task that is named by its id, or by the ref of an earlier create."""

    id: Annotated[int, Field(ge=1, le=ID_MAX, examples=[1])] | None = None
    ref: Ref | None = None
    if_revision: Annotated[int, Field(ge=0, le=SAFE_INTEGER_MAX, examples=[1767225600001])] | None = Field(
        default=None, description="As If-Match: only if this is the task's revision."
    )

    @model_validator(mode="after")
    def _one_name(self) -> Self:
        if (self.id is None) == (self.ref is None):
            raise ValueError("give the task's id, or the ref of an earlier create")
        return self

    @property
    def expected(self) -> Precondition | None:
        return None if self.if_revision is None else Precondition(any_of=(self.if_revision,))


class Update(Named):
    """Changes some of a task, as PATCH does."""

    op: Literal["update"]
    changes: TaskPatch


class Complete(SetsCompleted, Named):
    """Sets `completed`."""

    op: Literal["complete"]


class Delete(Named):
    """Moves a task to the trash."""

    op: Literal["delete"]


class Move(Named, TaskMove):
    """Moves a task to another place, as its own request does."""

    op: Literal["move"]


class Restore(Named):
    """Takes a task back from the trash."""

    op: Literal["restore"]


Operation = Annotated[Create | Update | Complete | Delete | Restore | Move, Discriminator("op")]


class Batch(Body):
    """Operations that are made in this order, all or none."""

    operations: Annotated[list[Operation], at_most(OPERATIONS_MAX)] = Field(min_length=1, max_length=OPERATIONS_MAX)


class Result(BaseModel):
    """What the operation's own request would have been answered."""

    status: int = Field(examples=[201])
    task: CompletedTask | None = Field(default=None, description="Not there for a delete.")


class BatchResult(BaseModel):
    """One result for each operation, in their order."""

    results: list[Result]
