"""A user's data as a whole: what somebody who leaves asks for."""

from typing import Annotated

import orjson
from fastapi import APIRouter, Depends, Request

from backend.app.repositories.account import AccountRepository
from backend.app.schemas.account import Erased
from backend.app.web.prefer import MINIMAL, Prefer, prefers
from backend.app.web.responses import ApiResponse
from backend.app.web.route import StrictRoute, owner_session

router = APIRouter(prefix="/api/{user_id}", tags=["account"], route_class=StrictRoute)


def account_repository(request: Request) -> AccountRepository:
    return AccountRepository(owner_session(request))


@router.delete(
    "",
    operation_id="erase",
    summary="Erase everything of yours",
    description="Removes all tasks, and all that is known of the user here, in one transaction. Safe to repeat. "
    "`Prefer: return=minimal` answers 204 without a body.",
    response_model=Erased,
    responses={204: {"description": "Erased, as `Prefer: return=minimal` asks to be told"}},
)
async def erase(
    account: Annotated[AccountRepository, Depends(account_repository)], prefer: Prefer = None
) -> ApiResponse:
    tasks = await account.erase()
    if prefers(prefer, MINIMAL):
        return ApiResponse(204, preference_applied=MINIMAL)
    return ApiResponse(200, orjson.dumps({"tasks": tasks}))
