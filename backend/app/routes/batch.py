"""Several writes in one request."""

from typing import Annotated

import orjson
from fastapi import APIRouter

from backend.app.routes.dependencies import Batches
from backend.app.schemas.batch import Batch, BatchResult
from backend.app.web.body import BodyLimit
from backend.app.web.openapi_responses import BODY, CAPPED, CONDITIONAL
from backend.app.web.responses import ApiResponse
from backend.app.web.route import StrictRoute

router = APIRouter(prefix="/api/{user_id}/batch", tags=["tasks"], route_class=StrictRoute)


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
    batches: Batches,
) -> ApiResponse:
    return ApiResponse(200, orjson.dumps({"results": await batches.run(body.operations)}))
