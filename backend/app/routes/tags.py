"""The tags of the caller's tasks."""

from typing import Annotated

import orjson
from fastapi import APIRouter, Query

from backend.app.routes.dependencies import Cached, CallerLinks, Queries
from backend.app.schemas.queries import PageQuery, TagCount
from backend.app.web import pagination
from backend.app.web.conditional import IfMatch, IfNoneMatch, etag
from backend.app.web.openapi_responses import CURSOR, INVALID, LINK, LIST_ETAG
from backend.app.web.responses import ApiResponse
from backend.app.web.route import StrictRoute

router = APIRouter(prefix="/api/{user_id}/tags", tags=["tasks"], route_class=StrictRoute)

# Every page of tags is of the same list.
_FINGERPRINT = "tags"


@router.get(
    "",
    operation_id="list_tags",
    summary="List your tags with how many tasks have each",
    description="Without regard to case, in the order of their characters: `é` comes after `z`.",
    response_model=list[TagCount],
    responses={
        200: {"headers": LINK | LIST_ETAG},
        304: {"description": "You have it already", "headers": LIST_ETAG},
        **CURSOR,
        **INVALID,
    },
)
async def list_tags(
    *,
    query: Annotated[PageQuery, Query()],
    tasks: Queries,
    links: CallerLinks,
    cached: Cached,
    if_match: IfMatch = None,
    if_none_match: IfNoneMatch = None,
) -> ApiResponse:
    place = ("",) if query.cursor is None else pagination.decode(query.cursor, _FINGERPRINT)

    async def page() -> ApiResponse:
        page = await tasks.tags(place, limit=query.limit)
        headers = {"etag": etag(page.revision)}
        if page.following is not None:
            following = f"{links.tags}?limit={query.limit}&cursor={pagination.encode(_FINGERPRINT, page.following)}"
            headers["link"] = f'<{following}>; rel="next"'
        return ApiResponse(200, orjson.dumps(page.found), **headers)

    return await cached.answer(if_match, if_none_match, tasks.revision, page)
