"""What routes share for as long as the process lives; `lifespan.py` makes it when the application starts."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from starlette.types import Scope

from backend.app.auth.tokens import TokenVerifier
from backend.app.config import Settings
from backend.app.db.database import Database
from backend.app.observability.observer import Observer
from backend.app.ratelimit.limiter import RateLimit

if TYPE_CHECKING:
    from backend.app.auth.jwks import RemoteKeys
    from backend.app.web.answer_room import AnswerRoom
    from backend.app.web.body_room import BodyRoom
    from backend.app.web.idempotency import IdempotentWrites
    from backend.app.web.request_turns import RequestTurns
    from backend.app.web.response_cache import ResponseCache
    from backend.app.web.subscriptions import Subscriptions
    from backend.app.web.turns import Turns


@dataclass(frozen=True)
class Services:
    """Found at `app.state.services` once the application has started; `services_of` reads it."""

    settings: Settings
    observer: Observer
    database: Database
    idempotent_writes: "IdempotentWrites"
    response_cache: "ResponseCache"
    subscriptions: "Subscriptions"
    body_room: "BodyRoom"
    answer_room: "AnswerRoom"
    turns: "Turns"
    request_turns: "RequestTurns"
    user_rate_limit: RateLimit
    address_rate_limit: RateLimit
    verifier: TokenVerifier
    # The keys that Better Auth publishes, where the settings name it.
    remote_keys: "RemoteKeys | None"


def services_of(scope: Scope) -> Services:
    """The services of the application that answers this request. Raises AttributeError before it has started."""
    services: Services = scope["app"].state.services
    return services
