"""A user's data as a whole: what somebody who leaves asks for."""

from typing import Annotated

import orjson
from fastapi import APIRouter, Depends, Request

from backend.app.repositories.account import AccountRepository
from backend.app.schemas.account import Erased
from backend.app.web.prefer import MINIMAL, Prefer, asks_for
from backend.app.web.responses import Reply
from backend.app.web.route import ContractRoute, session_of_caller

router = APIRouter(prefix="/api/{user_id}", tags=["account"], route_class=ContractRoute)


def account_of_caller(request: Request) -> AccountRepository:
    return AccountRepository(session_of_caller(request))


@router.delete(
    "",
    operation_id="erase",
    summary="Erase everything of yours",
    description="Removes all tasks, and all that is known of the user here, in one transaction. Safe to repeat. "
    "`Prefer: return=minimal` answers 204 without a body.",
    response_model=Erased,
    responses={204: {"description": "Erased, as `Prefer: return=minimal` asks to be told"}},
)
async def erase(account: Annotated[AccountRepository, Depends(account_of_caller)], prefer: Prefer = None) -> Reply:
    tasks = await account.erase()
    if asks_for(prefer, MINIMAL):
        return Reply(204, preference_applied=MINIMAL)
    return Reply(200, orjson.dumps({"tasks": tasks}))
