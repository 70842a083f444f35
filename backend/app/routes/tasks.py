"""The tasks API: handlers validate by their signature, call one repository method, and answer."""

from functools import partial
from typing import Annotated, Any

import orjson
from fastapi import APIRouter, Query

from backend.app.routes.dependencies import Cached, CallerLinks, CurrentUser, Moves, Queries, Tasks
from backend.app.schemas.queries import TaskPageQuery
from backend.app.schemas.task import (
    CompletedTask,
    Completion,
    ListedTask,
    Task,
    TaskCreate,
    TaskMove,
    TaskPatch,
    TaskReplace,
)
from backend.app.web import pagination
from backend.app.web.body import JSON, MERGE_PATCH, MediaTypes
from backend.app.web.conditional import IfMatch, IfNoneMatch, IfNoneMatchOfWrite, check_without_tag, etag, precondition
from backend.app.web.openapi_responses import (
    BODY,
    CAPPED,
    CONDITIONAL,
    CURSOR,
    ETAG,
    INVALID,
    LINK,
    LIST_ETAG,
    LOCATION,
    RESTORED,
    TASK_COUNT,
)
from backend.app.web.parameters import TaskId
from backend.app.web.prefer import COUNT, VARY, Prefer, prefers
from backend.app.web.responses import ApiResponse
from backend.app.web.route import StrictRoute

# Where a list's pages leave out what was changed since the first of them: the changes since then (RFC 8288, 2.1.2).
CHANGES_RELATION = "urn:tasks:relation:changes"

router = APIRouter(prefix="/api/{user_id}/tasks", tags=["tasks"], route_class=StrictRoute)


@router.get(
    "",
    operation_id="list_tasks",
    summary="List your tasks",
    description="Newest first, unless `sort` says otherwise. `Prefer: count=exact` also counts them.\n\n"
    "While others write, the pages show no task twice, and skip none that fits the filters all the time: in the orders "
    "other than `created`, a task that was changed since the first page comes at the end, where it was not shown "
    "before. A page may therefore have fewer tasks than `limit`, or none: go on while `Link` names a next one. Where "
    "more tasks were shown than a cursor can remember, `Link` also names `/changes` since the first page, and what was "
    "changed since then is found only there.",
    response_model=list[ListedTask],
    response_model_exclude_unset=True,
    responses={
        200: {"headers": LINK | LIST_ETAG | TASK_COUNT},
        304: {"description": "You have it already", "headers": LIST_ETAG},
        **CURSOR,
        **INVALID,
    },
)
async def list_tasks(
    *,
    query: Annotated[TaskPageQuery, Query()],
    tasks: Queries,
    links: CallerLinks,
    cached: Cached,
    if_match: IfMatch = None,
    if_none_match: IfNoneMatch = None,
    prefer: Prefer = None,
) -> ApiResponse:
    place = None if query.cursor is None else pagination.decode(query.cursor, query.fingerprint)

    async def page() -> ApiResponse:
        page = await tasks.page(query, place)
        headers = {"vary": VARY}
        if query.follows_revision:
            headers["etag"] = etag(page.revision)
        if page.following is not None:
            headers["link"] = f'<{links.page(query, page.following)}>; rel="next"'
        if page.changed_since is not None:
            headers["link"] += f', <{links.changes(page.changed_since)}>; rel="{CHANGES_RELATION}"'
        if prefers(prefer, COUNT):
            headers |= {"x_total_count": str(await tasks.count(query)), "preference_applied": COUNT}
        return ApiResponse(200, orjson.dumps(page.found), **headers)

    if not query.follows_revision:  # what changes without a new revision has no tag to be known by
        check_without_tag("GET", if_match, if_none_match)
        return await page()
    return await cached.answer(if_match, if_none_match, tasks.revision, page, vary=VARY)


@router.post(
    "",
    operation_id="create_task",
    summary="Create a task",
    description="It gets the next id of the caller, and `Location` names it.",
    status_code=201,
    response_model=Task,
    responses={201: {"headers": LOCATION | ETAG}, **BODY, **CAPPED},
)
async def create_task(body: TaskCreate, tasks: Tasks, links: CallerLinks) -> ApiResponse:
    task = await tasks.create(body)
    return one(task, status=201, location=links.task(task))


@router.get(
    "/{task_id}",
    operation_id="get_task",
    summary="Get a task",
    description="A task in the trash is not found here; the list with `status=deleted` has it.",
    response_model=Task,
    responses={
        200: {"headers": ETAG},
        304: {"description": "You have it already", "headers": ETAG},
        **CONDITIONAL,
        **INVALID,
    },
)
async def get_task(
    task_id: TaskId, tasks: Queries, cached: Cached, if_match: IfMatch = None, if_none_match: IfNoneMatch = None
) -> ApiResponse:
    async def task() -> ApiResponse:
        return one(await tasks.get(task_id))

    return await cached.answer(if_match, if_none_match, partial(tasks.revision_of, task_id), task)


@router.put(
    "/{task_id}",
    operation_id="replace_task",
    summary="Replace a task",
    description="What is left out is cleared, except `completed` and `list_id`, which stay. A task can be sent as it "
    "was answered: what only the server sets is ignored, and `id` and `user_id` must be those of the path.",
    response_model=Task,
    responses={200: {"headers": ETAG}, **BODY, **CONDITIONAL, **INVALID},
)
async def replace_task(
    *,
    task_id: TaskId,
    body: TaskReplace,
    tasks: Tasks,
    user_id: CurrentUser,
    if_match: IfMatch = None,
    if_none_match: IfNoneMatchOfWrite = None,
) -> ApiResponse:
    changes = body.changes(task_id, user_id)
    return one(await tasks.update(task_id, changes, precondition(if_match, if_none_match), whole=True))


@router.patch(
    "/{task_id}",
    operation_id="update_task",
    summary="Change some of a task",
    description="A JSON merge patch (RFC 7396): what is left out stays, and null clears.",
    response_model=Task,
    responses={200: {"headers": ETAG}, **BODY, **CONDITIONAL, **INVALID},
)
async def update_task(
    task_id: TaskId,
    body: Annotated[TaskPatch, MediaTypes((JSON, MERGE_PATCH))],
    tasks: Tasks,
    if_match: IfMatch = None,
    if_none_match: IfNoneMatchOfWrite = None,
) -> ApiResponse:
    return one(await tasks.update(task_id, body.changes(), precondition(if_match, if_none_match)))


@router.delete(
    "/{task_id}",
    operation_id="delete_task",
    summary="Move a task to the trash",
    description="Its subtasks go with it. The trash is `GET /tasks?status=deleted`.",
    status_code=204,
    response_model=None,
    responses={**CONDITIONAL, **INVALID},
)
async def delete_task(
    task_id: TaskId, tasks: Tasks, if_match: IfMatch = None, if_none_match: IfNoneMatchOfWrite = None
) -> ApiResponse:
    await tasks.delete(task_id, precondition(if_match, if_none_match))
    return ApiResponse(204)


@router.patch(
    "/{task_id}/complete",
    operation_id="complete_task",
    summary="Turn `completed` over, or set it",
    description="Without a body, turns `completed` over. With one, sets it, which is safe to repeat unless the task "
    "repeats: that moves on to its next due date and stays open. With `skip_missed`, or where its `recurrence_from` is "
    "`schedule`, it moves on to the next one that is not past. Subtasks are completed with their parent.",
    response_model=CompletedTask,
    response_model_exclude_unset=True,
    responses={200: {"headers": ETAG}, **BODY, **CONDITIONAL, **INVALID},
)
async def complete_task(
    task_id: TaskId,
    tasks: Tasks,
    body: Completion | None = None,
    if_match: IfMatch = None,
    if_none_match: IfNoneMatchOfWrite = None,
) -> ApiResponse:
    expected = precondition(if_match, if_none_match)
    if body is None:
        return one(await tasks.complete(task_id, None, expected))
    return one(await tasks.complete(task_id, body.completed, expected, skip_missed=body.skip_missed))


@router.patch(
    "/{task_id}/move",
    operation_id="move_task",
    summary="Move a task to another place, or into another list",
    description="Right after another task, or to the front. Only this task changes; where its position would be long, "
    "at most 200 neighbours are given new ones, too. A task that stands there already stays as it is.",
    response_model=Task,
    responses={200: {"headers": ETAG}, **BODY, **CONDITIONAL, **INVALID},
)
async def move_task(
    task_id: TaskId,
    body: TaskMove,
    tasks: Moves,
    if_match: IfMatch = None,
    if_none_match: IfNoneMatchOfWrite = None,
) -> ApiResponse:
    return one(await tasks.move(task_id, body.after, body.asked_list, precondition(if_match, if_none_match)))


@router.post(
    "/{task_id}/restore",
    operation_id="restore_task",
    summary="Take a task back from the trash",
    description="With the subtasks that were deleted with it.",
    response_model=Task,
    responses={200: {"headers": ETAG}, **RESTORED},
)
async def restore_task(
    task_id: TaskId, tasks: Tasks, if_match: IfMatch = None, if_none_match: IfNoneMatchOfWrite = None
) -> ApiResponse:
    return one(await tasks.restore(task_id, precondition(if_match, if_none_match)))


def one(task: dict[str, Any], *, status: int = 200, **headers: str) -> ApiResponse:
    """One task with its ETag."""
    return ApiResponse(status, orjson.dumps(task), etag=etag(task["revision"]), **headers)
