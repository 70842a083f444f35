"""One write on all tasks that filters find."""

import orjson
from fastapi import APIRouter

from backend.app.routes.dependencies import Applications
from backend.app.schemas.apply import Applied, Apply
from backend.app.web.openapi_responses import APPLIED, BODY
from backend.app.web.responses import ApiResponse
from backend.app.web.route import StrictRoute

router = APIRouter(prefix="/api/{user_id}/tasks/apply", tags=["tasks"], route_class=StrictRoute)


@router.post(
    "",
    operation_id="apply",
    summary="Write all tasks that filters find, or none",
    description="Completes, deletes, moves or changes all tasks that the list with the parameters in `where` would "
    "have, in one transaction, each as its own request would. They may be as many as the server allows "
    "(`MAX_APPLY_TASKS`), with the subtasks that go with them. With `expect`, nothing is "
    "written where there are more or fewer.",
    response_model=Applied,
    responses={**BODY, **APPLIED},
)
async def apply(body: Apply, applications: Applications) -> ApiResponse:
    ids = await applications.apply(body.root)
    return ApiResponse(200, orjson.dumps({"count": len(ids), "ids": ids}))
