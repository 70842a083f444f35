"""What happens around every handler, once the request was read: one list for reads, one for writes."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final

from starlette.requests import Request

from backend.app.db.session import OwnerSession
from backend.app.web.idempotency import idempotency_key
from backend.app.web.responses import ApiResponse
from backend.app.web.retry import retry
from backend.app.web.services import Services, services_of

# RFC 9110, section 9.2.1: methods that change nothing.
SAFE_METHODS: Final = frozenset({"GET", "HEAD"})

# Calls the handler. Its repositories use this transaction, or where it is None a session whose statements are each one.
Make = Callable[[OwnerSession | None], Awaitable[ApiResponse]]


@dataclass(slots=True)
class Call:
    """A request that was read: `document` is the JSON of its body, if there was one, `key` its Idempotency-Key."""

    request: Request
    services: Services
    document: Any
    key: str | None


Step = Callable[[Call, Make], Make]


def respond(request: Request, document: Any, make: Make) -> Awaitable[ApiResponse]:
    """The handler's answer, with every step around it. Raises MalformedRequest for a key that cannot be read."""
    safe = request.scope["method"] in SAFE_METHODS
    call = Call(request, services_of(request.scope), document, None if safe else idempotency_key(request))
    for step in READ if safe else WRITE:
        make = step(call, make)
    return make(None)


def retry_lost_connections(call: Call, make: Make) -> Make:
    """Try again where the database was away for a moment and nothing can be made twice by that."""
    idempotent = call.key is not None or call.request.scope["method"] in SAFE_METHODS
    observer = call.services.observer
    return lambda transaction: retry(lambda: make(transaction), idempotent=idempotent, observer=observer)


def run_once_per_key(call: Call, make: Make) -> Make:
    """Make a write with an Idempotency-Key once, in one transaction with the record of its answer."""
    key = call.key
    if key is None:
        return make
    writes = call.services.idempotent_writes
    return lambda _: writes.run(call.request, key, call.document, make)


def forget_cached_responses(call: Call, make: Make) -> Make:
    """Drop the caller's remembered answers, which the write is about to make useless."""
    call.services.response_cache.forget(call.request.state.principal.user_id)
    return make


# From the handler outwards: the last step is the outermost.
READ: Final[tuple[Step, ...]] = (retry_lost_connections,)
WRITE: Final[tuple[Step, ...]] = (run_once_per_key, retry_lost_connections, forget_cached_responses)
