"""Several writes in one request."""

from typing import Annotated

import orjson
from fastapi import APIRouter, Depends, Request

from backend.app.repositories.batch import BatchRepository
from backend.app.schemas.batch import Batch, BatchResult
from backend.app.web.body import BodyLimit
from backend.app.web.openapi_responses import BODY, CAPPED, CONDITIONAL
from backend.app.web.responses import ApiResponse
from backend.app.web.route import StrictRoute, owner_session
from backend.app.web.services import services_of

router = APIRouter(prefix="/api/{user_id}/batch", tags=["tasks"], route_class=StrictRoute)


def batch_repository(request: Request) -> BatchRepository:
    settings = services_of(request.scope).settings
    return BatchRepository(
        owner_session(request), max_tasks=settings.max_tasks_per_user, max_subtasks=settings.max_subtasks
    )


@router.post(
    "",
    operation_id="batch",
    summary="Make several writes, all or none",
    description="In this order, in one transaction. The first operation that is refused is answered as its own request "
    "would have been, with its number in `operation`, and nothing is made.",
    response_model=BatchResult,
    response_model_exclude_unset=True,
    responses={**BODY, **CAPPED, **CONDITIONAL},
)
async def make_batch(
    body: Annotated[Batch, BodyLimit("max_batch_bytes")],
    batches: Annotated[BatchRepository, Depends(batch_repository)],
) -> ApiResponse:
    return ApiResponse(200, orjson.dumps({"results": await batches.run(body.operations)}))
