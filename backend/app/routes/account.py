"""A user's data as a whole: what somebody who leaves asks for."""

import orjson
from fastapi import APIRouter

from backend.app.routes.dependencies import Account
from backend.app.schemas.account import Erased
from backend.app.web.prefer import MINIMAL, Prefer, prefers
from backend.app.web.responses import ApiResponse
from backend.app.web.route import StrictRoute

router = APIRouter(prefix="/api/{user_id}", tags=["account"], route_class=StrictRoute)


@router.delete(
    "",
    operation_id="erase",
    summary="Erase everything of yours",
    description="Removes all tasks, and all that is known of the user here, in one transaction. Safe to repeat. "
    "`Prefer: return=minimal` answers 204 without a body.",
    response_model=Erased,
    responses={204: {"description": "Erased, as `Prefer: return=minimal` asks to be told"}},
)
async def erase(account: Account, prefer: Prefer = None) -> ApiResponse:
    tasks = await account.erase()
    if prefers(prefer, MINIMAL):
        return ApiResponse(204, preference_applied=MINIMAL)
    return ApiResponse(200, orjson.dumps({"tasks": tasks}))
