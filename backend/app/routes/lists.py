"""The lists that a user makes. Tasks name theirs by `list_id`."""

from functools import partial
from typing import Annotated, Any

import orjson
from fastapi import APIRouter, Query

from backend.app import problems
from backend.app.problems import documented
from backend.app.routes.dependencies import Cached, CallerLinks, Lists, ListWrites, Queries, TrashOfLists
from backend.app.schemas.lists import (
    ListCreate,
    ListedList,
    ListMove,
    ListPatch,
    ListQuery,
    ListRemoval,
    ListStatus,
    NamedList,
)
from backend.app.web.body import JSON, MERGE_PATCH, MediaTypes
from backend.app.web.conditional import IfMatch, IfNoneMatch, IfNoneMatchOfWrite, check_without_tag, etag, precondition
from backend.app.web.openapi_responses import BODY, ETAG, INVALID, LIST_ETAG, LIST_FOUND, LIST_RESTORED, LOCATION
from backend.app.web.parameters import ListId
from backend.app.web.responses import ApiResponse
from backend.app.web.route import StrictRoute

router = APIRouter(prefix="/api/{user_id}/lists", tags=["lists"], route_class=StrictRoute)


@router.get(
    "",
    operation_id="list_lists",
    summary="List your lists",
    description="All of them in one answer, in their order; of the trash what was deleted last comes first.",
    response_model=list[ListedList],
    response_model_exclude_unset=True,
    responses={
        200: {"headers": LIST_ETAG},
        304: {"description": "You have it already", "headers": LIST_ETAG},
        **documented(problems.PreconditionFailed),
        **INVALID,
    },
)
async def list_lists(
    *,
    query: Annotated[ListQuery, Query()],
    lists: Lists,
    tasks: Queries,
    cached: Cached,
    if_match: IfMatch = None,
    if_none_match: IfNoneMatch = None,
) -> ApiResponse:
    async def page() -> ApiResponse:
        found, revision = await lists.all(query.status)
        return ApiResponse(200, orjson.dumps(found), etag=etag(revision))

    if query.status is ListStatus.DELETED:  # which a purge changes without a new revision
        check_without_tag("GET", if_match, if_none_match)
        found, _ = await lists.all(query.status)
        return ApiResponse(200, orjson.dumps(found))
    return await cached.answer(if_match, if_none_match, tasks.revision, page)


@router.post(
    "",
    operation_id="create_list",
    summary="Create a list",
    description="It gets the next id of the caller's lists, and comes after the others.",
    status_code=201,
    response_model=NamedList,
    responses={
        201: {"headers": LOCATION | ETAG},
        **BODY,
        **documented(problems.ValidationFailed, problems.ListLimitReached),
    },
)
async def create_list(body: ListCreate, lists: ListWrites, links: CallerLinks) -> ApiResponse:
    made = await lists.create(body)
    return one_list(made, status=201, location=links.list(made))


@router.get(
    "/{list_id}",
    operation_id="get_list",
    summary="Get a list",
    description="Its tasks are `GET /tasks?list_id=` of it. A list in the trash is not found here.",
    response_model=NamedList,
    responses={
        200: {"headers": ETAG},
        304: {"description": "You have it already", "headers": ETAG},
        **LIST_FOUND,
    },
)
async def get_list(
    list_id: ListId, lists: Lists, cached: Cached, if_match: IfMatch = None, if_none_match: IfNoneMatch = None
) -> ApiResponse:
    async def found() -> ApiResponse:
        return one_list(await lists.get(list_id))

    return await cached.answer(if_match, if_none_match, partial(lists.revision_of, list_id), found)


@router.patch(
    "/{list_id}",
    operation_id="update_list",
    summary="Rename a list, or archive it",
    description="A JSON merge patch (RFC 7396): what is left out stays. Archiving changes nothing of the tasks.",
    response_model=NamedList,
    responses={200: {"headers": ETAG}, **BODY, **LIST_FOUND},
)
async def update_list(
    list_id: ListId,
    body: Annotated[ListPatch, MediaTypes((JSON, MERGE_PATCH))],
    lists: ListWrites,
    if_match: IfMatch = None,
    if_none_match: IfNoneMatchOfWrite = None,
) -> ApiResponse:
    return one_list(await lists.update(list_id, body.changes(), precondition(if_match, if_none_match)))


@router.patch(
    "/{list_id}/move",
    operation_id="move_list",
    summary="Move a list to another place",
    description="Right after another list, or to the front. A list that stands there already stays as it is.",
    response_model=NamedList,
    responses={200: {"headers": ETAG}, **BODY, **LIST_FOUND},
)
async def move_list(
    list_id: ListId,
    body: ListMove,
    lists: ListWrites,
    if_match: IfMatch = None,
    if_none_match: IfNoneMatchOfWrite = None,
) -> ApiResponse:
    return one_list(await lists.move(list_id, body.after, precondition(if_match, if_none_match)))


@router.delete(
    "/{list_id}",
    operation_id="delete_list",
    summary="Move a list to the trash",
    description="Its tasks go with it, or with `tasks=keep` to the inbox.",
    status_code=204,
    response_model=None,
    responses=LIST_FOUND,
)
async def delete_list(
    list_id: ListId,
    query: Annotated[ListRemoval, Query()],
    lists: TrashOfLists,
    if_match: IfMatch = None,
    if_none_match: IfNoneMatchOfWrite = None,
) -> ApiResponse:
    await lists.delete(list_id, query.tasks, precondition(if_match, if_none_match))
    return ApiResponse(204)


@router.post(
    "/{list_id}/restore",
    operation_id="restore_list",
    summary="Take a list back from the trash",
    description="With the tasks that were deleted with it, and are still in the trash.",
    response_model=NamedList,
    responses={200: {"headers": ETAG}, **LIST_RESTORED},
)
async def restore_list(
    list_id: ListId, lists: TrashOfLists, if_match: IfMatch = None, if_none_match: IfNoneMatchOfWrite = None
) -> ApiResponse:
    return one_list(await lists.restore(list_id, precondition(if_match, if_none_match)))


def one_list(found: dict[str, Any], *, status: int = 200, **headers: str) -> ApiResponse:
    """One list with its ETag."""
    return ApiResponse(status, orjson.dumps(found), etag=etag(found["revision"]), **headers)
