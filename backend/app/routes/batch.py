"""Several writes in one request."""

from typing import Annotated

import orjson
from fastapi import APIRouter, Depends, Request

from backend.app.repositories.batch import BatchRepository
from backend.app.schemas.batch import Batch, BatchResult
from backend.app.web.body import BodyLimit
from backend.app.web.openapi_fragments import BODY, CAPPED, CONDITIONAL
from backend.app.web.responses import Reply
from backend.app.web.route import ContractRoute, session_of_caller

router = APIRouter(prefix="/api/{user_id}/batch", tags=["tasks"], route_class=ContractRoute)


def batches_of_caller(request: Request) -> BatchRepository:
    settings = request.app.state.settings
    return BatchRepository(
        session_of_caller(request), max_tasks=settings.max_tasks_per_user, max_subtasks=settings.max_subtasks
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
    batches: Annotated[BatchRepository, Depends(batches_of_caller)],
) -> Reply:
    return Reply(200, orjson.dumps({"results": await batches.run(body.operations)}))
