"""Moving out and in: all tasks as a file, and back."""

from collections.abc import AsyncIterator
from contextlib import ExitStack
from dataclasses import asdict
from typing import Annotated, Any

import orjson
from fastapi import APIRouter, Header, Query, Request

from backend.app import problems
from backend.app.domain.enums import ImportIds, Sort
from backend.app.problems import documented
from backend.app.repositories.completion_export import FIRST, CompletionExport, Place
from backend.app.repositories.queries import Page, TaskQueries
from backend.app.routes.dependencies import ExportedCompletions, Imports, Lists, Queries
from backend.app.schemas.lists import ListStatus
from backend.app.schemas.queries import ExportQuery, ImportQuery, TaskPageQuery
from backend.app.schemas.transfer import Archive, ForeignArchive, Imported
from backend.app.web.body import BodyLimit
from backend.app.web.export_formats import FORMATS, CSVExport, Format, JSONExport
from backend.app.web.foreign.formats import OtherApps
from backend.app.web.headers import best_media_type
from backend.app.web.openapi_responses import BODY, CAPPED
from backend.app.web.responses import ApiResponse, ApiStream
from backend.app.web.route import StrictRoute
from backend.app.web.services import services_of

router = APIRouter(prefix="/api/{user_id}", tags=["account"], route_class=StrictRoute)

# How many of the tasks that it would make a dry run shows.
PREVIEW_MAX = 500
NOT_TAKEN = {"user_id", "revision"}
NO_IDS = "must be new, or be left out: the ids of another app are not yours"
# So many rows are read in some milliseconds of the event loop, however long their texts are.
EXPORT_PAGE = 100
# What such a page takes at most, with the piece that is made of it (bytes).
EXPORT_BYTES = 2 * 1024 * 1024
_OLDEST_FIRST = TaskPageQuery(sort=Sort.CREATED_REVERSED, limit=EXPORT_PAGE)

Accept = Annotated[
    str | None,
    Header(alias="Accept", description="`application/json` (the default), `text/csv` or `text/calendar`."),
]


@router.get(
    "/export",
    operation_id="export",
    summary="Download your tasks",
    description="All that are not in the trash, oldest first. JSON can be imported again, and also has the lists and "
    "what was completed of tasks that repeat. CSV begins with a byte order "
    "mark, as Excel needs it, unless `bom=false`; a text that begins like a formula has an apostrophe before it. "
    "iCalendar has each task as a VTODO (RFC 5545); one that repeats has its due date as DTSTART.",
    response_model=None,
    responses={
        200: {
            "description": "A file",
            "content": {media_type: {"schema": {"type": "string"}} for media_type in FORMATS}
            | {"application/json": {"schema": {"$ref": "#/components/schemas/Archive"}}},
        },
        **documented(problems.NotAcceptable),
    },
)
async def export(
    tasks: Queries,
    lists: Lists,
    completions: ExportedCompletions,
    query: Annotated[ExportQuery, Query()],
    request: Request,
    *,
    accept: Accept = None,
) -> ApiStream:
    media_type = best_media_type(accept, FORMATS)
    if media_type is None:
        raise problems.NotAcceptable(FORMATS)
    name, kind = FORMATS[media_type]
    file = CSVExport(mark=query.bom == "true") if kind is CSVExport else kind()
    if isinstance(file, JSONExport):
        file.lists, _ = await lists.all(ListStatus.ALL)
    first, place = await tasks.page(_OLDEST_FIRST, None), ExitStack()
    room, user_id = services_of(request.scope).answer_room, request.state.principal.user_id
    place.enter_context(room.entered(user_id, EXPORT_BYTES, refusable=True))
    charset = "" if media_type == "application/json" else "; charset=utf-8"
    return ApiStream(
        200,
        _pieces(tasks, file, first, completions),
        held=place,
        content_type=media_type + charset,
        content_disposition=f'attachment; filename="{name}"',
        vary="Accept",
    )


# The document has JSON alone as what is sent: generators of clients know no other type, or take the last one.
@router.post(
    "/import",
    operation_id="import",
    summary="Bring tasks in from an export",
    description="All or none. The export may be another user's: with `ids=new` its tasks and lists are added under "
    "your next ids, and nothing of yours changes. With `ids=keep` they keep the file's ids, in place of what you have "
    "under those, of which tasks go to the trash; others stay, and the same file twice changes nothing. A file of "
    "another app is always added: iCalendar's VTODOs (`text/calendar`), Todoist's CSV (`text/csv`), and Google's tasks "
    "as Takeout writes them (JSON). Todoist's sections and Google's task lists become lists.",
    response_model=Imported,
    responses={**BODY, **CAPPED, **documented(problems.IdsTaken, problems.ListLimitReached)},
)
async def import_tasks(
    body: Annotated[Archive, BodyLimit("max_import_bytes"), OtherApps("max_foreign_import_bytes")],
    archives: Imports,
    query: Annotated[ImportQuery, Query()],
) -> ApiResponse:
    ids, dry_run = query.ids, query.dry_run == "true"
    if isinstance(body, ForeignArchive):
        if ids is ImportIds.KEEP:
            raise problems.ValidationFailed([{"pointer": "?ids", "detail": NO_IDS}])
        ids = ImportIds.NEW
    completions = body.completions
    count = await archives.import_tasks(body.tasks, ids, body.lists, completions, dry_run=dry_run)
    counts = asdict(count)
    chosen = counts.pop("ids")
    told = {"ids": chosen} if dry_run else {}
    return ApiResponse(200, orjson.dumps({**counts, **told, **_told(body, dry_run=dry_run)}))


def _told(body: Archive, *, dry_run: bool) -> dict[str, Any]:
    """What an answer has beside the counts: what is dropped of a file of another app, and what a dry run would make."""
    told: dict[str, Any] = {}
    if isinstance(body, ForeignArchive):
        told = {"dropped": [note.model_dump() for note in body.dropped], "dropped_count": body.dropped_count}
    if dry_run:
        told["lists"] = [one.model_dump(mode="json", exclude=NOT_TAKEN) for one in body.lists]
        told["tasks"] = [task.model_dump(mode="json", exclude=NOT_TAKEN) for task in body.tasks[:PREVIEW_MAX]]
    if dry_run and body.completions:
        told["completions"] = [one.model_dump(mode="json") for one in body.completions[:PREVIEW_MAX]]
    return told


async def _pieces(tasks: TaskQueries, file: Format, page: Page, completions: CompletionExport) -> AsyncIterator[bytes]:
    """A page is read when the one before is on its way: nobody who reads slowly holds a connection.

    Between two pieces, which take some milliseconds to write, the event loop serves others. A page that cannot be read
    raises, and the server cuts the connection: a file that ends well is whole.
    """
    yield file.head()
    while True:
        for start in range(0, len(page.found), file.tasks_at_once):
            yield file.page(page.found[start : start + file.tasks_at_once])
        if page.following is None:
            break
        page = await tasks.page(_OLDEST_FIRST, page.following)
    if isinstance(file, JSONExport):
        yield file.begin_completions()
        place: Place | None = FIRST
        while place is not None:
            found, place = await completions.page(place)
            if piece := file.completions(found):
                yield piece
    yield file.foot()
