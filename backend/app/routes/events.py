"""Live: a stream that tells when something has changed (Server-Sent Events, WHATWG HTML, section 9.2)."""

import contextlib
import re
import time
from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import APIRouter, Header, Query, Request
from fastapi.sse import KEEPALIVE_COMMENT, EventSourceResponse, format_sse_event

from backend.app import problems
from backend.app.problems import documented
from backend.app.routes.dependencies import Queries
from backend.app.schemas.sync import EventsQuery
from backend.app.web.responses import ApiStream
from backend.app.web.route import StrictRoute
from backend.app.web.services import services_of
from backend.app.web.subscriptions import Subscription

router = APIRouter(prefix="/api/{user_id}/events", tags=["tasks"], route_class=StrictRoute)

# How long a client waits before it connects again (milliseconds).
RETRY_MILLISECONDS = 2000
_REVISION = re.compile("[0-9]{1,19}")

# Clients that are made from the document take a stream either for one text, or for the `data` of its events.
EVENTS = {
    "description": "The stream as a text, or the `data` of each event, which is JSON.",
    "anyOf": [
        {"type": "string"},
        {
            "type": "object",
            "title": "Changed",
            "properties": {"revision": {"type": "integer", "examples": [1767225600001]}},
            "required": ["revision"],
        },
    ],
}

LastEventId = Annotated[
    str | None,
    Header(
        alias="Last-Event-ID",
        description="The last revision that was heard of: only a newer one is told at once.",
        examples=["1767225600001"],
    ),
]


@router.get(
    "",
    operation_id="listen",
    summary="Hear of changes as they are made",
    description='Events `changed` with the revision as id, and `{"revision": n}` as data: ask `GET /changes` '
    "for what has changed. Ends when the token expires, or when the server does: connect again with `Last-Event-ID`.",
    response_class=EventSourceResponse,
    response_model=None,
    responses={
        200: {"description": "Events", "content": {"text/event-stream": {"schema": EVENTS}}},
        **documented(problems.MalformedRequest, problems.TooManyEventStreams),
    },
)
async def listen(
    tasks: Queries, request: Request, query: Annotated[EventsQuery, Query()], last_event_id: LastEventId = None
) -> ApiStream:
    known = _known(last_event_id or query.lastEventId)
    services, principal = services_of(request.scope), request.state.principal
    settings = services.settings
    place = contextlib.ExitStack()
    listener = place.enter_context(
        services.subscriptions.listening(principal.user_id, tasks.revision, await tasks.revision())
    )
    lifetime = min(settings.events_lifetime, principal.expires_at - time.time())
    events = _events(listener, known, lifetime=lifetime, heartbeat=settings.events_heartbeat)
    return ApiStream(200, events, held=place, waits=True, content_type="text/event-stream", x_accel_buffering="no")


async def _events(
    listener: Subscription, known: int | None, *, lifetime: float, heartbeat: float
) -> AsyncIterator[bytes]:
    yield format_sse_event(retry=RETRY_MILLISECONDS)
    ends = time.monotonic() + lifetime
    seconds = 0.0  # what is known already is told at once, or that there is nothing to tell
    while seconds >= 0:
        revision = await listener.after(known, seconds)
        if listener.is_ended:
            return
        known = known if revision is None else revision
        yield KEEPALIVE_COMMENT if revision is None else _changed(revision)
        seconds = min(heartbeat, ends - time.monotonic())


def _changed(revision: int) -> bytes:
    return format_sse_event(event="changed", id=str(revision), data_str=f'{{"revision":{revision}}}')


def _known(last_event_id: str | None) -> int | None:
    if not last_event_id:
        return None
    if not _REVISION.fullmatch(last_event_id):
        raise problems.MalformedRequest("Last-Event-ID must be an id of this stream.")
    return int(last_event_id)
