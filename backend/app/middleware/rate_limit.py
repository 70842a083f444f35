"""How often somebody may ask: a signed-in user by their id, everybody else by their address.

`RateLimit` and `RateLimit-Policy` follow the IETF's draft-ietf-httpapi-ratelimit-headers.
"""

from starlette.types import ASGIApp, Receive, Scope, Send

from backend.app import problems
from backend.app.auth.principal import Principal
from backend.app.ratelimit.limit import RateLimitResult
from backend.app.ratelimit.limiter import RateLimit, network_of

# Where `errors` finds in the state the headers that it adds to every answer, also to one that is made further out.
RATE_FIELDS = "rate_fields"


class AnonymousRateLimit:
    """Raises TooManyRequests for an address that was refused too often.

    Only refusals for want of a good token count, in the header or in a body: someone with a good token is never shut
    out by who shares their address.
    """

    def __init__(self, app: ASGIApp, *, limit: RateLimit) -> None:
        self.app = app
        self.limit = limit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await self.app(scope, receive, send)
        except (problems.AuthenticationRequired, problems.ClaimedTokenRefused, problems.SigningKeysUnavailable):
            client = scope.get("client")
            result = await self.limit.hit(f"address:{network_of(client[0]) if client else ''}")
            if not result.allowed:
                raise problems.TooManyRequests(result.resets_in, "address") from None
            raise


class UserRateLimit:
    """Raises TooManyRequests for a user who asks too often, before anything of the request is read."""

    def __init__(self, app: ASGIApp, *, limit: RateLimit) -> None:
        self.app = app
        self.limit = limit
        self.policy = (b"ratelimit-policy", f'"user";q={limit.most};w={limit.seconds}'.encode())

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        principal: Principal | None = scope.get("state", {}).get("principal")
        if principal is not None:
            result = await self.limit.hit(f"user:{principal.user_id}")
            scope["state"][RATE_FIELDS] = [self.policy, (b"ratelimit", _left(result).encode())]
            if not result.allowed:
                raise problems.TooManyRequests(result.resets_in)
        await self.app(scope, receive, send)


def _left(result: RateLimitResult) -> str:
    return f'"user";r={result.remaining};t={result.resets_in}'
