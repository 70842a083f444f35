"""Every FastAPI form under FastAPI's own route class and under StrictRoute: the same answer, or refused at import."""

import datetime
import enum
from collections.abc import AsyncIterator, Callable, Iterator
from types import SimpleNamespace
from typing import Annotated, Any

import httpx
import orjson
import pytest
from fastapi import (
    APIRouter,
    BackgroundTasks,
    Body,
    Cookie,
    Depends,
    FastAPI,
    File,
    Form,
    Header,
    HTTPException,
    Path,
    Query,
    Request,
    Response,
    Security,
    WebSocket,
)
from fastapi.routing import APIRoute
from pydantic import BaseModel, ConfigDict

from backend.app import problems
from backend.app.middleware.errors import ErrorsMiddleware
from backend.app.observability.observer import UNOBSERVED
from backend.app.web.forms import UnsupportedForm
from backend.app.web.parameters import TaskId
from backend.app.web.responses import ApiResponse
from backend.app.web.route import StrictRoute

Handler = Callable[..., Any]


class Colour(enum.Enum):
    RED = "red"


class Filter(BaseModel):
    model_config = ConfigDict(extra="forbid")
    limit: int = 10


def shown(*values: Any) -> ApiResponse:
    return ApiResponse(200, orjson.dumps(values, default=str))


def refuse() -> None:
    raise HTTPException(403, "Not for you.", headers={"X-Why": "planted"})


async def refuse_later() -> None:
    raise HTTPException(403, "Not for you.")


def pages(limit: int = 5) -> int:
    return limit


async def doubled(limit: Annotated[int, Depends(pages)]) -> int:
    return limit * 2


def method(request: Request) -> str:
    return request.method


def counted(request: Request, _limit: Annotated[int, Depends(pages)]) -> int:
    request.state.calls = getattr(request.state, "calls", 0) + 1
    return int(request.state.calls)


class Paging:
    def __init__(self, limit: int = 3) -> None:
        self.limit = limit


class Callee:
    def __call__(self, limit: int = 4) -> int:
        return limit


async def nothing() -> ApiResponse:
    return shown("reached")


async def request_itself(request: Request) -> ApiResponse:
    return shown(request.url.path)


async def plain_query(limit: int = 10) -> ApiResponse:
    return shown(limit)


async def required_query(limit: int) -> ApiResponse:
    return shown(limit)


async def annotated_query(limit: Annotated[int, Query(ge=1)] = 10) -> ApiResponse:
    return shown(limit)


async def default_query(limit: int = Query(10, alias="n")) -> ApiResponse:
    return shown(limit)


async def kinds(on: bool, ratio: float, colour: Colour, day: datetime.date) -> ApiResponse:
    return shown(on, ratio, colour.value, day)


async def many(tag: Annotated[list[str], Query()]) -> ApiResponse:
    return shown(tag)


async def slug_in_path(slug: str) -> ApiResponse:
    return shown(slug)


async def number_in_path(slug: Annotated[int, Path(ge=2)]) -> ApiResponse:
    return shown(slug)


async def header(x_one: Annotated[str, Header()]) -> ApiResponse:
    return shown(x_one)


async def header_with_alias(one: Annotated[str, Header(alias="X-Two")]) -> ApiResponse:
    return shown(one)


async def optional_header(one: Annotated[str | None, Header(alias="X-One")] = None) -> ApiResponse:
    return shown(one)


async def underscores(x_one: Annotated[str | None, Header(convert_underscores=False)] = None) -> ApiResponse:
    return shown(x_one)


async def default_style(v: int = Depends(doubled)) -> ApiResponse:
    return shown(v)


async def request_only(v: Annotated[str, Depends(method)]) -> ApiResponse:
    return shown(v)


async def cached(a: Annotated[int, Depends(counted)], b: Annotated[int, Depends(counted)]) -> ApiResponse:
    return shown(a, b)


async def uncached(
    a: Annotated[int, Depends(counted)], b: Annotated[int, Depends(counted, use_cache=False)]
) -> ApiResponse:
    return shown(a, b)


async def dependency_class(v: Annotated[Paging, Depends()]) -> ApiResponse:
    return shown(v.limit)


async def dependency_object(v: Annotated[int, Depends(Callee())]) -> ApiResponse:
    return shown(v)


async def raising() -> ApiResponse:
    raise HTTPException(418, "A teapot.")


async def query_model(query: Annotated[Filter, Query()]) -> ApiResponse:
    return shown(query.limit)


GUARD = {"dependencies": [Depends(refuse)]}
LATER_GUARD = {"dependencies": [Depends(refuse_later)]}
SUPPORTED: list[tuple[str, Handler, dict[str, Any], str, int]] = [
    ("no parameter", nothing, {}, "/x", 200),
    ("route guard", nothing, GUARD, "/x", 403),
    ("async route guard", nothing, LATER_GUARD, "/x", 403),
    ("guard before parameters", required_query, GUARD, "/x", 403),
    ("guard's own parameter", nothing, {"dependencies": [Depends(doubled)]}, "/x?limit=a", 422),
    ("Request", request_itself, {}, "/x", 200),
    ("query with default", plain_query, {}, "/x", 200),
    ("query given", plain_query, {}, "/x?limit=3", 200),
    ("query of another kind", plain_query, {}, "/x?limit=a", 422),
    ("required query absent", required_query, {}, "/x", 422),
    ("Annotated Query", annotated_query, {}, "/x?limit=0", 422),
    ("Query as default", default_query, {}, "/x?n=4", 200),
    ("bool float enum date", kinds, {}, "/x?on=yes&ratio=1.5&colour=red&day=2026-01-02", 200),
    ("wrong enum", kinds, {}, "/x?on=yes&ratio=1.5&colour=blue&day=2026-01-02", 422),
    ("list", many, {}, "/x?tag=a&tag=b", 200),
    ("str in path", slug_in_path, {"path": "/{slug}"}, "/x", 200),
    ("int in path", number_in_path, {"path": "/{slug}"}, "/2", 200),
    ("int in path too small", number_in_path, {"path": "/{slug}"}, "/1", 422),
    ("header", header, {}, "/x", 200),
    ("required header absent", header_with_alias, {}, "/x", 422),
    ("optional header", optional_header, {}, "/x", 200),
    ("convert_underscores=False", underscores, {}, "/x", 200),
    ("Depends as default", default_style, {}, "/x?limit=4", 200),
    ("Depends on the request only", request_only, {}, "/x", 200),
    ("dependency cached", cached, {}, "/x", 200),
    ("use_cache=False", uncached, {}, "/x", 200),
    ("dependency class", dependency_class, {}, "/x?limit=8", 200),
    ("dependency object", dependency_object, {}, "/x", 200),
    ("HTTPException", raising, {}, "/x", 418),
    ("query model", query_model, {}, "/x?limit=2", 200),
]


def application(route_class: type[APIRoute], handler: Handler, options: dict[str, Any]) -> FastAPI:
    router = APIRouter(route_class=route_class)
    router.add_api_route(**{"path": "/x", "endpoint": handler, **options})
    app = FastAPI()
    if route_class is StrictRoute:
        app.add_middleware(ErrorsMiddleware)
    app.state.services = SimpleNamespace(observer=UNOBSERVED)
    app.router.routes.extend(router.routes)
    return app


async def get(app: Any, address: str) -> httpx.Response:
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        return await client.get(address, headers={"X-One": "1"})


@pytest.mark.parametrize(("handler", "options", "address", "status"), [r[1:] for r in SUPPORTED],
                         ids=[r[0] for r in SUPPORTED])  # fmt: skip
async def test_supported(handler: Handler, options: dict[str, Any], address: str, status: int) -> None:
    """StrictRoute answers as FastAPI does; refusals are problem documents with FastAPI's status."""
    plain = await get(application(APIRoute, handler, options), address)
    strict = await get(application(StrictRoute, handler, options), address)

    assert (plain.status_code, strict.status_code) == (status, status)
    if status == 200:
        assert strict.content == plain.content
    else:
        assert strict.headers["content-type"] == problems.MEDIA_TYPE
        assert strict.headers.get("x-why") == plain.headers.get("x-why")


async def test_a_router_guard() -> None:
    """The guards of a router run before each of its routes."""
    router = APIRouter(route_class=StrictRoute, dependencies=[Depends(refuse)])
    router.add_api_route("/x", nothing)
    app = application(StrictRoute, nothing, {"path": "/other"})
    app.router.routes.extend(router.routes)

    assert (await get(app, "/x")).status_code == 403


@pytest.mark.parametrize("address", ["/x?limit=1&other=2", "/x?other=2"])
async def test_unknown_query_parameters(address: str) -> None:
    """A query parameter that neither the handler nor a dependency names is 422."""
    assert (await get(application(StrictRoute, default_style, {}), address)).status_code == 422


def yielding() -> Iterator[int]:
    yield 1


async def yielding_later() -> AsyncIterator[int]:
    yield 1


async def no_path_id(task_id: Annotated[int, Depends(yielding)]) -> ApiResponse:

    raise NotImplementedError


async def async_yield(v: Annotated[int, Depends(yielding_later)]) -> ApiResponse:
    raise NotImplementedError


async def background(tasks: BackgroundTasks) -> ApiResponse:
    raise NotImplementedError


async def response_parameter(response: Response) -> ApiResponse:
    raise NotImplementedError


async def security(v: Annotated[str, Security(method)], w: Annotated[str, Security(method, scopes=["a"])]) -> ApiResponse:  # fmt: skip  # noqa: E501 - one form, one line
    raise NotImplementedError


async def socket(socket: WebSocket) -> ApiResponse:
    raise NotImplementedError


async def form(a: Annotated[str, Form()]) -> ApiResponse:
    raise NotImplementedError


async def file(a: Annotated[bytes, File()]) -> ApiResponse:
    raise NotImplementedError


async def cookie(a: Annotated[str, Cookie()]) -> ApiResponse:
    raise NotImplementedError


async def scalar_body(a: Annotated[int, Body()]) -> ApiResponse:
    raise NotImplementedError


async def two_bodies(a: Filter, b: Filter) -> ApiResponse:
    raise NotImplementedError


async def default_body(a: Filter = Filter()) -> ApiResponse:  # noqa: B008 - the form under test
    raise NotImplementedError


async def two_queries(a: Annotated[Filter, Query()], b: Annotated[Filter, Query()]) -> ApiResponse:
    raise NotImplementedError


async def model_and_scalar(a: Annotated[Filter, Query()], b: int = 1) -> ApiResponse:
    raise NotImplementedError


async def args(*args: int) -> ApiResponse:
    raise NotImplementedError


async def kwargs(**kwargs: int) -> ApiResponse:
    raise NotImplementedError


async def dictionary() -> dict[str, int]:
    raise NotImplementedError


async def other_response() -> Response:
    raise NotImplementedError


async def unannotated_result():  # type: ignore[no-untyped-def]  # noqa: ANN201 - the form under test
    raise NotImplementedError


def synchronous() -> ApiResponse:
    raise NotImplementedError


REFUSED: list[tuple[Handler, str]] = [
    (no_path_id, "in place of `yield`"),
    (async_yield, "in place of `yield`"),
    (background, "BackgroundTasks is not supported"),
    (response_parameter, "a Response parameter is not supported"),
    (security, "use Depends in place of Security"),
    (socket, "take `request: Request`"),
    (form, "declare one pydantic model"),
    (file, "declare one pydantic model"),
    (cookie, "request.cookies"),
    (scalar_body, "declare one pydantic model"),
    (two_bodies, "into one body"),
    (default_body, "declare one pydantic model"),
    (two_queries, "into one model"),
    (model_and_scalar, "into one model"),
    (args, "name every parameter"),
    (kwargs, "name every parameter"),
    (dictionary, "return an ApiResponse"),
    (other_response, "return an ApiResponse"),
    (unannotated_result, "return an ApiResponse"),
    (synchronous, "write `async def`"),
]


@pytest.mark.parametrize(("handler", "sentence"), REFUSED, ids=[row[0].__name__ for row in REFUSED])
def test_refused(handler: Handler, sentence: str) -> None:
    """The module cannot be imported, and the error says what to write instead."""
    with pytest.raises(UnsupportedForm) as refusal:
        application(StrictRoute, handler, {})

    assert sentence in str(refusal.value)


@pytest.mark.parametrize("task_id", ["01", "+1", "0", "1.0"])
async def test_task_ids_stay_strict(task_id: str) -> None:
    """`TaskId` is a plain decimal in the path, which FastAPI would read more loosely."""

    async def handler(task_id: TaskId) -> ApiResponse:
        return shown(task_id)

    app = application(StrictRoute, handler, {"path": "/{task_id}"})
    assert (await get(app, "/7")).content == b"[7]"
    assert (await get(app, f"/{task_id}")).status_code == 422
