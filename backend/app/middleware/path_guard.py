"""Is this path theirs: deny by default, before any router runs.

A path is public, or it is the caller's own `/api/{user_id}` or below, or it is refused. Who is calling was settled
before.
"""

from collections.abc import Awaitable

from starlette._utils import get_route_path
from starlette.types import ASGIApp, Receive, Scope, Send

from backend.app import problems

PREFIX = "/api/"


class PathGuardMiddleware:
    """Raises UserMismatch where the path names another user, and RouteNotFound where it names none.

    The path is read exactly as the router reads it (decoded, without root_path), so there is no spelling that one of
    them understands and the other does not. The id in the path is compared here and used nowhere.
    """

    def __init__(self, app: ASGIApp, *, public_paths: frozenset[str]) -> None:
        self.app = app
        self.public_paths = public_paths

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        if scope["type"] in ("http", "websocket"):
            path = get_route_path(scope)
            if path not in self.public_paths:
                require_own(path, scope["state"]["principal"].user_id)
        return self.app(scope, receive, send)


def require_own(path: str, user_id: str) -> None:
    """Raise unless the path is `/api/{user_id}` or below it, byte for byte."""
    if not path.startswith(PREFIX):
        raise problems.RouteNotFound
    owner, _, _ = path[len(PREFIX) :].partition("/")
    if not owner:
        raise problems.RouteNotFound
    if owner != user_id:
        raise problems.UserMismatch
