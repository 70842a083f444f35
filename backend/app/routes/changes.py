"""What has changed since a client last asked."""

from typing import Annotated, Any

import orjson
from fastapi import APIRouter, Depends, Query, Request
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from backend.app import problems
from backend.app.problems import documented
from backend.app.repositories.changes import ChangeFinder
from backend.app.routes.reply import Reply
from backend.app.routes.route import ContractRoute, session_of_caller
from backend.app.routes.tasks import INVALID
from backend.app.schemas.finding import PAGE_DEFAULT, Limit
from backend.app.schemas.task import ID_MAX, Task

router = APIRouter(prefix="/api/{user_id}/changes", tags=["tasks"], route_class=ContractRoute)


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


class ChangeList(BaseModel):
    """Each task once, as it is now. Apply it to your copy, then ask again with `revision` while `has_more`."""

    tasks: list[Task] = Field(description="Created or changed, in the order of their revisions.")
    deleted: list[int] = Field(description="Ids of tasks that are gone. Remove those that you have.")
    revision: int = Field(
        description="What to ask with next. Negative in the middle of a full copy whose beginning is long ago."
    )
    has_more: bool


def changes_of_caller(request: Request) -> ChangeFinder:
    return ChangeFinder(session_of_caller(request))


@router.get(
    "",
    operation_id="list_changes",
    summary="List what has changed since a revision",
    response_model=ChangeList,
    responses={**INVALID, **documented(problems.StartAgain)},
)
async def list_changes(
    query: Annotated[ChangesQuery, Query()], changes: Annotated[ChangeFinder, Depends(changes_of_caller)]
) -> Reply:
    found = await changes.since(query.since, query.limit)
    told = {"tasks": found.tasks, "deleted": found.deleted, "revision": found.revision, "has_more": found.has_more}
    return Reply(200, orjson.dumps(told))
