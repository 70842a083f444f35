"""Who is calling: the bearer token of every request that is not public becomes `request.state.principal`.

The only module that reads the Authorization header.
"""

from starlette._utils import get_route_path
from starlette.authentication import AuthCredentials
from starlette.types import ASGIApp, Receive, Scope, Send

from backend.app import problems
from backend.app.auth import InvalidToken, Principal, TokenVerifier

CREDENTIALS = AuthCredentials(["authenticated"])


class AuthenticationMiddleware:
    """Raises Unauthenticated or InvalidToken (RFC 6750) unless the path is public or the token is good.

    Starlette's own AuthenticationMiddleware is not used: it answers 400, and closes a WebSocket as if all were well.
    Who the caller is stays in the scope alone; a ContextVar would leak to the next request of the same connection.
    """

    def __init__(self, app: ASGIApp, *, verifier: TokenVerifier, public_paths: frozenset[str]) -> None:
        self.app = app
        self.verifier = verifier
        self.public_paths = public_paths

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] in ("http", "websocket") and get_route_path(scope) not in self.public_paths:
            principal = self.authenticate(scope)
            scope["user"], scope["auth"] = principal, CREDENTIALS
            state = scope.setdefault("state", {})
            state["principal"], state["user_id"] = principal, principal.user_id
        await self.app(scope, receive, send)

    def authenticate(self, scope: Scope) -> Principal:
        sent = [value for name, value in scope["headers"] if name == b"authorization"]
        if not sent:
            raise problems.Unauthenticated
        if len(sent) > 1:
            raise problems.InvalidToken("The request has more than one Authorization header.")
        scheme, _, token = sent[0].decode("latin-1").partition(" ")
        if scheme.lower() != "bearer":
            raise problems.Unauthenticated
        try:
            return self.verifier.principal(token)
        except InvalidToken as error:
            raise problems.InvalidToken(error.description) from None
