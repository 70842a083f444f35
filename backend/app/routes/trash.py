"""The trash as its user empties it: for good."""

import orjson
from fastapi import APIRouter

from backend.app.routes.dependencies import Emptying
from backend.app.schemas.account import Erased
from backend.app.web.conditional import IfMatch, IfNoneMatchOfWrite, precondition
from backend.app.web.openapi_responses import CONDITIONAL, INVALID
from backend.app.web.parameters import TaskId
from backend.app.web.prefer import MINIMAL, Prefer, prefers
from backend.app.web.responses import ApiResponse
from backend.app.web.route import StrictRoute

router = APIRouter(prefix="/api/{user_id}/trash", tags=["tasks"], route_class=StrictRoute)


@router.delete(
    "",
    operation_id="empty_trash",
    summary="Empty the trash",
    description="Removes all deleted tasks and lists for good, in one transaction; `/changes` still tells that they "
    "are gone. Safe to repeat. `Prefer: return=minimal` answers 204 without a body.",
    response_model=Erased,
    responses={204: {"description": "Emptied, as `Prefer: return=minimal` asks to be told"}},
)
async def empty_trash(trash: Emptying, prefer: Prefer = None) -> ApiResponse:
    tasks = await trash.empty()
    if prefers(prefer, MINIMAL):
        return ApiResponse(204, preference_applied=MINIMAL)
    return ApiResponse(200, orjson.dumps({"tasks": tasks}))


@router.delete(
    "/{task_id}",
    operation_id="purge_task",
    summary="Remove a deleted task for good",
    description="And the subtasks that were deleted with it. `/changes` still tells that they are gone.",
    status_code=204,
    response_model=None,
    responses={**CONDITIONAL, **INVALID},
)
async def purge_task(
    task_id: TaskId, trash: Emptying, if_match: IfMatch = None, if_none_match: IfNoneMatchOfWrite = None
) -> ApiResponse:
    await trash.purge(task_id, precondition(if_match, if_none_match))
    return ApiResponse(204)
