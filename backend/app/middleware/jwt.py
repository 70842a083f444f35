"""Who is calling: the bearer token, or session cookie, of every request that is not public becomes its principal.

The only module that reads the Authorization and Cookie headers.
"""

from collections.abc import Awaitable, Callable, Iterable

from starlette._utils import get_route_path
from starlette.authentication import AuthCredentials
from starlette.types import ASGIApp, Receive, Scope, Send

from backend.app import problems
from backend.app.auth.principal import Principal
from backend.app.auth.session_cookie import SessionCookies
from backend.app.auth.signatures import InvalidToken
from backend.app.auth.tokens import TokenVerifier, current_principal

CREDENTIALS = AuthCredentials(["authenticated"])
# RFC 9110, section 9.2.1: methods that change nothing.
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
# Fetch Metadata, section 2.2: somebody follows a link, submits a form, or a page shows this one in a frame.
NAVIGATIONS = frozenset({b"navigate", b"nested-navigate"})


class AuthenticationMiddleware:
    """Raises AuthenticationRequired or InvalidToken (RFC 6750) unless the path is public or the token is good.

    Raises SigningKeysUnavailable when the token's key cannot be fetched, and CrossSiteRequest for a request with a
    cookie that a page of another origin made its visitor's browser send, and for navigations.

    Starlette's own AuthenticationMiddleware is not used: it answers 400, and closes a WebSocket as if all were well.
    Who the caller is stays in the scope alone; a ContextVar would leak to the next request of the same connection.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        verifier: TokenVerifier,
        public_paths: frozenset[str],
        renew_keys: Callable[[], Awaitable[None]] | None = None,
        cookies: SessionCookies | None = None,
        own_origins: Iterable[str] = (),
    ) -> None:
        """`renew_keys` is called for a key that is not known; `cookies` stand in for a token where there is none.

        `own_origins`: of which pages a browser may send a request with a cookie.
        """
        self.app = app
        self.verifier = verifier
        self.public_paths = public_paths
        self.renew_keys = renew_keys
        self.cookies = cookies
        self.own_origins = frozenset(origin.encode() for origin in own_origins)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] in ("http", "websocket") and get_route_path(scope) not in self.public_paths:
            try:
                principal = await self.authenticate(scope)
            except InvalidToken as error:
                raise problems.InvalidToken(error.description, error.fault) from None
            scope.setdefault("state", {})["principal"] = principal
            # Starlette's interfaces (`requires`, `request.user`); nothing of ours reads them.
            scope["user"], scope["auth"] = principal, CREDENTIALS
        await self.app(scope, receive, send)

    async def authenticate(self, scope: Scope) -> Principal:
        """Who the token or the cookie is of. Raises InvalidToken, or what `from_cookie` and the keys raise."""
        sent = _values(scope, b"authorization")
        if len(sent) > 1:
            raise problems.InvalidToken("The request has more than one Authorization header.")
        # RFC 9110, section 11.4: one or more blanks follow the scheme.
        scheme, _, token = sent[0].decode("latin-1").partition(" ") if sent else ("", "", "")
        token = token.lstrip(" ")
        if scheme.lower() != "bearer":
            return self.from_cookie(scope)
        return await current_principal(self.verifier, token, self.renew_keys)

    def from_cookie(self, scope: Scope) -> Principal:
        """Raises AuthenticationRequired, InvalidToken, or CrossSiteRequest."""
        # HTTP/2 may split the Cookie header into several (RFC 9113, section 8.2.3).
        header = b"; ".join(_values(scope, b"cookie")).decode("latin-1")
        if self.cookies is None or scope["type"] != "http" or not (principal := self.cookies.principal(header)):
            raise problems.AuthenticationRequired
        if not self.is_own_page(scope):
            raise problems.CrossSiteRequest
        return principal

    def is_own_page(self, scope: Scope) -> bool:
        """Browsers tell which page asks, and no page can make them lie (Fetch standard; Fetch Metadata).

        A read that says nothing of it is let through. Only programs send one, such as a server that renders a page for
        the user, and browsers from before 2023 or without https.
        """
        origins, sites = _values(scope, b"origin"), _values(scope, b"sec-fetch-site")
        modes = _values(scope, b"sec-fetch-mode")
        if not NAVIGATIONS.isdisjoint(modes):
            return False
        if not (origins or sites or modes):
            return scope["method"] in SAFE_METHODS
        listed = bool(origins) and self.own_origins.issuperset(origins)
        return listed or sites == [b"same-origin"]


def _values(scope: Scope, name: bytes) -> list[bytes]:
    return [value for header, value in scope["headers"] if header == name]
