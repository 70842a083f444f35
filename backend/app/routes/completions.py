"""What the caller has completed, and taking a completion back."""

from typing import Annotated

import orjson
from fastapi import APIRouter, Query

from backend.app import problems
from backend.app.problems import documented
from backend.app.routes.dependencies import CallerLinks, Completions, Undo
from backend.app.schemas.completions import CompletionQuery, RecordedCompletion
from backend.app.schemas.task import Task
from backend.app.web import pagination
from backend.app.web.conditional import IfMatch, IfNoneMatchOfWrite, etag, precondition
from backend.app.web.openapi_responses import COMPLETION_FOUND, ETAG, INVALID, LINK, count_of
from backend.app.web.parameters import CompletionId
from backend.app.web.prefer import COUNT, VARY, Prefer, prefers
from backend.app.web.responses import ApiResponse
from backend.app.web.route import StrictRoute

router = APIRouter(prefix="/api/{user_id}/completions", tags=["tasks"], route_class=StrictRoute)


@router.get(
    "",
    operation_id="list_completions",
    summary="List what you have completed",
    description="Newest first. Each time that a repeating task was completed has an entry of its own; any other task "
    "has one for as long as it is completed, also in the trash. `Prefer: count=exact` also counts them.",
    response_model=list[RecordedCompletion],
    responses={200: {"headers": LINK | count_of("completions")}, **documented(problems.InvalidCursor), **INVALID},
)
async def list_completions(
    query: Annotated[CompletionQuery, Query()], completions: Completions, links: CallerLinks, prefer: Prefer = None
) -> ApiResponse:
    place = None if query.cursor is None else pagination.decode(query.cursor, query.fingerprint)
    page = await completions.page(query, place)
    headers = {"vary": VARY}
    if page.following is not None:
        headers["link"] = f'<{links.completions(query, page.following)}>; rel="next"'
    if prefers(prefer, COUNT):
        headers |= {"x_total_count": str(await completions.count(query)), "preference_applied": COUNT}
    return ApiResponse(200, orjson.dumps(page.found), **headers)


@router.delete(
    "/{completion_id}",
    operation_id="undo_completion",
    summary="Take a completion back",
    description="The task is open again; one that repeats has the dates, the rule and the reminders that it had "
    "before. Subtasks that were completed with it are open again, too. 412 where the task has changed since.",
    response_model=Task,
    responses={200: {"headers": ETAG}, **COMPLETION_FOUND},
)
async def undo_completion(
    completion_id: CompletionId, undo: Undo, if_match: IfMatch = None, if_none_match: IfNoneMatchOfWrite = None
) -> ApiResponse:
    task = await undo.undo(completion_id, precondition(if_match, if_none_match))
    return ApiResponse(200, orjson.dumps(task), etag=etag(task["revision"]))
