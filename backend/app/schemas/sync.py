"""What a client asks and is told when it synchronises its copy."""

from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from backend.app.domain.limits import ID_MAX
from backend.app.schemas.completions import RecordedCompletion
from backend.app.schemas.lists import NamedList
from backend.app.schemas.queries import PAGE_DEFAULT, Limit
from backend.app.schemas.task import Task


def _revision(value: Any) -> Any:
    digits = value.removeprefix("-") if isinstance(value, str) else ""
    if not (digits.isascii() and digits.isdigit()):
        raise ValueError("must be a plain decimal number")
    return value


class ChangesQuery(BaseModel):
    """From where on, and how many."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    since: Annotated[int, Field(ge=-ID_MAX, le=ID_MAX), BeforeValidator(_revision)] = Field(
        description="`revision` of the answer before, as it is; 0 for a full copy.", examples=[0]
    )
    limit: Limit = Field(default=PAGE_DEFAULT, description="How many changes an answer holds at most.")


class EventsQuery(BaseModel):
    """What libraries that stand in for EventSource write into the address when they connect again."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    lastEventId: str | None = Field(  # noqa: N815 - the parameter's name, which others have chosen
        default=None, description="As `Last-Event-ID`, which counts where both are sent."
    )


class ChangeList(BaseModel):
    """Each task once, as it is now. Apply it to your copy, then ask again with `revision` while `has_more`."""

    tasks: list[Task] = Field(description="Created or changed, in the order of their revisions.")
    deleted: list[int] = Field(description="Ids of tasks that are gone. Remove those that you have.")
    lists: list[NamedList] = Field(description="The user's lists likewise.")
    deleted_lists: list[int] = Field(description="Ids of lists that are gone.")
    completions: list[RecordedCompletion] = Field(
        description="What was completed of tasks that repeat; any other completion is the task itself."
    )
    deleted_completions: list[str] = Field(description="Ids of completions that were taken back.")
    revision: int = Field(
        description="What to ask with next. Negative in the middle of a full copy whose beginning is long ago."
    )
    has_more: bool
