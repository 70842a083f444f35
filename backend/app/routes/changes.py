"""What has changed since a client last asked."""

from typing import Annotated

import orjson
from fastapi import APIRouter, Depends, Query, Request

from backend.app import problems
from backend.app.problems import documented
from backend.app.repositories.changes import ChangeFinder
from backend.app.schemas.sync import ChangeList, ChangesQuery
from backend.app.web.openapi_fragments import INVALID
from backend.app.web.responses import Reply
from backend.app.web.route import ContractRoute, session_of_caller

router = APIRouter(prefix="/api/{user_id}/changes", tags=["tasks"], route_class=ContractRoute)


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
