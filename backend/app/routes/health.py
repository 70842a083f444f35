"""Whether the process lives, and whether it can serve. Public: neither says anything about anyone."""

from typing import Annotated

from fastapi import APIRouter, Depends, Request

from backend.app import problems
from backend.app.db.database import Database
from backend.app.problems import documented
from backend.app.web.responses import ApiResponse
from backend.app.web.route import StrictRoute
from backend.app.web.services import services_of

router = APIRouter(prefix="/health", tags=["health"], route_class=StrictRoute)


def database_of_app(request: Request) -> Database:
    return services_of(request.scope).database


@router.get(
    "",
    operation_id="health",
    summary="The process lives",
    description="Answered without the database, for who decides whether to restart the process.",
    response_model=dict[str, str],
)
async def health() -> ApiResponse:
    return ApiResponse(200, b'{"status":"ok"}', cache_control="no-store")


@router.get(
    "/ready",
    operation_id="ready",
    summary="The database is there, migrated, and confines every user to their own rows",
    description="For who decides whether requests are sent here.",
    response_model=dict[str, str],
    responses=documented(problems.DatabaseUnavailable),
)
async def ready(database: Annotated[Database, Depends(database_of_app)]) -> ApiResponse:
    await database.check_recently()
    return ApiResponse(200, b'{"status":"ready"}', cache_control="no-store")
