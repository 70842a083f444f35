"""Taking over what another user has, whose token the caller holds: an anonymous user who has signed up."""

import orjson
from fastapi import APIRouter, Request

from backend.app import problems
from backend.app.auth.principal import CLAIMED_USER_ID, Principal
from backend.app.auth.signatures import InvalidToken
from backend.app.auth.tokens import current_principal
from backend.app.problems import documented
from backend.app.routes.dependencies import Claims, CurrentUser
from backend.app.schemas.claim import Claim, Claimed
from backend.app.web.openapi_responses import BODY, CAPPED
from backend.app.web.responses import ApiResponse
from backend.app.web.route import StrictRoute
from backend.app.web.services import services_of

router = APIRouter(prefix="/api/{user_id}", tags=["account"], route_class=StrictRoute)


@router.post(
    "/claim",
    operation_id="claim",
    summary="Take over another user's tasks",
    description="Moves all tasks of the user whose token is in the body, and their trash, to you under your next ids, "
    "and erases that user: all or nothing. A second time there is nothing left to move. By default it must be an "
    "anonymous user of Better Auth (`isAnonymous` in the token).",
    response_model=Claimed,
    responses={
        **BODY,
        **CAPPED,
        **documented(problems.ClaimedTokenRefused, problems.ClaimNotAllowed, problems.ListLimitReached),
    },
)
async def claim(body: Claim, claims: Claims, user_id: CurrentUser, request: Request) -> ApiResponse:
    other = await _claimed(request, body.token)
    if other.user_id == user_id:
        raise problems.ValidationFailed([{"pointer": "#/token", "detail": "must be another user's, and is your own"}])
    return ApiResponse(200, orjson.dumps(await claims.claim(other.user_id)))


async def _claimed(request: Request, token: str) -> Principal:
    """Who the token names, for the log, too. Raises ClaimNotAllowed, ClaimedTokenRefused or SigningKeysUnavailable."""
    services = services_of(request.scope)
    allowed = services.settings.claim
    if allowed == "off":
        raise problems.ClaimNotAllowed("This server lets nobody take over the tasks of another user.")
    keys = services.remote_keys
    try:
        principal = await current_principal(services.verifier, token, None if keys is None else keys.look_again)
    except InvalidToken as error:
        raise problems.ClaimedTokenRefused(error.description) from None
    setattr(request.state, CLAIMED_USER_ID, principal.user_id)
    if allowed == "anonymous" and not principal.is_anonymous:
        raise problems.ClaimNotAllowed
    return principal
