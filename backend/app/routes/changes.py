"""What has changed since a client last asked."""

from typing import Annotated

import orjson
from fastapi import APIRouter, Query

from backend.app import problems
from backend.app.problems import documented
from backend.app.routes.dependencies import Changes
from backend.app.schemas.sync import ChangeList, ChangesQuery
from backend.app.web.openapi_responses import INVALID
from backend.app.web.responses import ApiResponse
from backend.app.web.route import StrictRoute

router = APIRouter(prefix="/api/{user_id}/changes", tags=["tasks"], route_class=StrictRoute)


@router.get(
    "",
    operation_id="list_changes",
    summary="List what has changed since a revision",
    description="For a client that keeps a copy: what was created, changed, completed and deleted. Ask with 0 for a "
    "full copy, and then with `revision` of each answer.",
    response_model=ChangeList,
    responses={**INVALID, **documented(problems.SyncTokenExpired)},
)
async def list_changes(query: Annotated[ChangesQuery, Query()], changes: Changes) -> ApiResponse:
    found = await changes.since(query.since, query.limit)
    return ApiResponse(200, orjson.dumps(found))
