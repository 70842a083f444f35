"""The tasks API: handlers validate by their signature, call one repository method, and answer."""

from functools import lru_cache
from typing import Annotated, Any
from urllib.parse import quote

import orjson
from fastapi import APIRouter, Depends, Query, Request

from backend.app import problems
from backend.app.problems import documented
from backend.app.repositories.tasks import TaskRepository
from backend.app.routes import cursor
from backend.app.routes.conditions import IfMatch, IfNoneMatch, etag, expected_revisions, is_known
from backend.app.routes.reply import Reply
from backend.app.routes.route import ID_MAX, JSON, MERGE_PATCH, ContractRoute, MediaTypes, TaskId, session_of_caller
from backend.app.schemas.task import (
    Completion,
    Status,
    Task,
    TaskCreate,
    TaskPageQuery,
    TaskPatch,
    TaskReplace,
)

router = APIRouter(prefix="/api/{user_id}/tasks", tags=["tasks"], route_class=ContractRoute)


def tasks_of_caller(request: Request) -> TaskRepository:
    return TaskRepository(session_of_caller(request), max_tasks=request.app.state.settings.max_tasks_per_user)


class Links:
    """Relative references (RFC 3986, section 4.2) to the caller's tasks, as seen from outside."""

    def __init__(self, request: Request) -> None:
        self._tasks = _path_of_tasks(request.scope.get("root_path", ""), request.state.principal.user_id)

    def task(self, task: dict[str, Any]) -> str:
        return f"{self._tasks}/{task['id']}"

    def page(self, status: Status, limit: int, before: int) -> str:
        # Nothing here needs to be percent-encoded: a word, a number, base64url.
        return f"{self._tasks}?status={status.value}&limit={limit}&cursor={cursor.encode(status, before)}"


@lru_cache(maxsize=2048)
def _path_of_tasks(root_path: str, user_id: str) -> str:
    return f"{quote(root_path)}/api/{quote(user_id, safe='')}/tasks"


Tasks = Annotated[TaskRepository, Depends(tasks_of_caller)]
CallersLinks = Annotated[Links, Depends(Links)]

_ETAG = {"ETag": {"description": "The task's revision, quoted.", "schema": {"type": "string"}}}
_LIST_ETAG = {"ETag": {"description": "The list's revision, quoted.", "schema": {"type": "string"}}}
_LOCATION = {"Location": {"description": "Where the new task is.", "schema": {"type": "string"}}}
_LINK = {
    "Link": {
        "description": 'The next page, with `rel="next"`, where there is one (RFC 8288).',
        "schema": {"type": "string"},
    }
}

INVALID = documented(problems.Invalid)
CURSOR = documented(problems.UnknownCursor)
FOUND = documented(problems.TaskNotFound)
CONDITIONAL = documented(problems.TaskNotFound, problems.PreconditionFailed)
BODY = documented(problems.MalformedJSON, problems.BodyTooLarge, problems.UnsupportedMediaType)
CAPPED = documented(problems.Invalid, problems.TooManyTasks)


@router.get(
    "",
    operation_id="list_tasks",
    summary="List your tasks, newest first",
    response_model=list[Task],
    responses={
        200: {"headers": _LINK | _LIST_ETAG},
        304: {"description": "You have it already", "headers": _LIST_ETAG},
        **CURSOR,
        **INVALID,
    },
)
async def list_tasks(
    query: Annotated[TaskPageQuery, Query()], tasks: Tasks, links: CallersLinks, if_none_match: IfNoneMatch = None
) -> Reply:
    before = ID_MAX if query.cursor is None else cursor.decode(query.cursor, query.status)
    if if_none_match is not None and is_known(if_none_match, tag := etag(await tasks.revision())):
        return Reply(304, etag=tag)
    page = await tasks.page(status=query.status, before=before, limit=query.limit)
    headers = {"etag": etag(page.revision)}
    if page.more:
        following = links.page(query.status, query.limit, before=page.tasks[-1]["id"])
        headers["link"] = f'<{following}>; rel="next"'
    return Reply(200, orjson.dumps(page.tasks), **headers)


@router.post(
    "",
    operation_id="create_task",
    summary="Create a task",
    status_code=201,
    response_model=Task,
    responses={201: {"headers": _LOCATION | _ETAG}, **BODY, **CAPPED},
)
async def create_task(body: TaskCreate, tasks: Tasks, links: CallersLinks) -> Reply:
    task = await tasks.create(body)
    return one(task, status=201, location=links.task(task))


@router.get(
    "/{task_id}",
    operation_id="get_task",
    summary="Get a task",
    response_model=Task,
    responses={
        200: {"headers": _ETAG},
        304: {"description": "You have it already", "headers": _ETAG},
        **FOUND,
        **INVALID,
    },
)
async def get_task(task_id: TaskId, tasks: Tasks, if_none_match: IfNoneMatch = None) -> Reply:
    task = await tasks.get(task_id)
    tag = etag(task["revision"])
    return Reply(304, etag=tag) if is_known(if_none_match, tag) else one(task)


@router.put(
    "/{task_id}",
    operation_id="replace_task",
    summary="Replace a task's title and description",
    response_model=Task,
    responses={200: {"headers": _ETAG}, **BODY, **CONDITIONAL, **INVALID},
)
async def replace_task(task_id: TaskId, body: TaskReplace, tasks: Tasks, if_match: IfMatch = None) -> Reply:
    return one(await tasks.update(task_id, body.changes(), expected_revisions(if_match)))


@router.patch(
    "/{task_id}",
    operation_id="update_task",
    summary="Change some of a task",
    response_model=Task,
    responses={200: {"headers": _ETAG}, **BODY, **CONDITIONAL, **INVALID},
)
async def update_task(
    task_id: TaskId,
    body: Annotated[TaskPatch, MediaTypes((JSON, MERGE_PATCH))],
    tasks: Tasks,
    if_match: IfMatch = None,
) -> Reply:
    return one(await tasks.update(task_id, body.changes(), expected_revisions(if_match)))


@router.delete(
    "/{task_id}",
    operation_id="delete_task",
    summary="Delete a task",
    status_code=204,
    response_model=None,
    responses={**CONDITIONAL, **INVALID},
)
async def delete_task(task_id: TaskId, tasks: Tasks, if_match: IfMatch = None) -> Reply:
    await tasks.delete(task_id, expected_revisions(if_match))
    return Reply(204)


@router.patch(
    "/{task_id}/complete",
    operation_id="complete_task",
    summary="Turn `completed` over, or set it",
    description="Without a body, turns `completed` over. With one, sets it, which is safe to repeat.",
    response_model=Task,
    responses={200: {"headers": _ETAG}, **BODY, **CONDITIONAL, **INVALID},
)
async def complete_task(
    task_id: TaskId, tasks: Tasks, body: Completion | None = None, if_match: IfMatch = None
) -> Reply:
    completed = None if body is None else body.completed
    return one(await tasks.complete(task_id, completed, expected_revisions(if_match)))


def one(task: dict[str, Any], *, status: int = 200, **headers: str) -> Reply:
    """One task with its ETag."""
    return Reply(status, orjson.dumps(task), etag=etag(task["revision"]), **headers)
