"""Which headers a page of an allowed origin may send."""

import httpx
import pytest

from backend.app.main import create_app
from tests.support.applications import settings_for

ORIGIN = "http://localhost:3000"


async def preflight(headers: str, method: str = "POST", **changes: str) -> httpx.Response:
    app = create_app(settings_for("postgresql://nobody@localhost/none", **changes))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://api.test") as client:
        asked = {
            "Origin": ORIGIN,
            "Access-Control-Request-Method": method,
            "Access-Control-Request-Headers": headers,
        }
        return await client.options("/api/u1/tasks", headers=asked)


@pytest.mark.parametrize(
    "headers",
    [
        "authorization,content-type,idempotency-key,if-match,if-none-match",
        "authorization,traceparent",
        "authorization,traceparent,tracestate",
        "authorization,baggage,traceparent",
        "authorization,baggage,sentry-trace",
        "x-requested-with",
        "last-event-id,prefer,x-request-id",
        "authorization,cache-control,last-event-id",
        "authorization,cache-control,pragma,if-modified-since",
        "authorization,x-datadog-origin,x-datadog-parent-id,x-datadog-sampling-priority,x-datadog-trace-id,traceparent",
        "authorization,b3",
        "authorization,x-b3-parentspanid,x-b3-sampled,x-b3-spanid,x-b3-traceid",
        "authorization,newrelic,traceparent,tracestate",
        "authorization,elastic-apm-traceparent",
        "authorization,request-context,request-id",
    ],
)
async def test_a_page_may_send_what_the_api_and_tracing_need(headers: str) -> None:
    """Tracing in browsers adds its headers to every request: refused, every call of such a page would fail."""
    answer = await preflight(headers)

    assert (answer.status_code, answer.headers["access-control-allow-origin"]) == (200, ORIGIN)


@pytest.mark.parametrize(
    ("setting", "status"), [("", 400), ("X-Client-Version", 200), ("X-Other, x-client-version", 200)]
)
async def test_more_headers_are_allowed_by_a_setting(setting: str, status: int) -> None:
    """In any case, as headers are."""
    answer = await preflight("authorization,x-client-version", cors_allow_headers=setting)

    assert answer.status_code == status


@pytest.mark.parametrize("setting", ["*", "X Header", "X-Ü", "X-A:", "X-A,*"])
async def test_what_is_no_name_of_a_header_is_refused(setting: str) -> None:
    """`*` too, which browsers do not take for every header where credentials are sent."""
    with pytest.raises(ValueError, match="must be names of headers"):
        settings_for("postgresql://nobody@localhost/none", cors_allow_headers=setting)


@pytest.mark.parametrize(
    ("method", "status"),
    [(method, 200) for method in ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")]
    + [("TRACE", 400), ("PROPFIND", 400)],
)
async def test_a_page_may_ask_with_every_method_that_is_answered(method: str, status: int) -> None:
    """HEAD, too: with a token a browser asks for it beforehand, and gives up where that is refused."""
    assert (await preflight("authorization", method)).status_code == status


async def test_a_public_page_may_reach_a_private_network() -> None:
    """The origin was named by whoever runs the server (Private Network Access, section 3.2)."""
    app = create_app(settings_for("postgresql://nobody@localhost/none"))
    asked = {"Access-Control-Request-Method": "GET", "Access-Control-Request-Private-Network": "true"}
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://api.test") as client:
        ours = await client.options("/api/u1/tasks", headers={"Origin": ORIGIN, **asked})
        theirs = await client.options("/api/u1/tasks", headers={"Origin": "https://evil.example", **asked})

    assert (ours.status_code, ours.headers["access-control-allow-private-network"]) == (200, "true")
    assert (theirs.status_code, "access-control-allow-origin" in theirs.headers) == (400, False)


async def test_a_page_may_read_what_it_needs() -> None:
    """The name of a file, why a token was refused, and what the server would take."""
    app = create_app(settings_for("postgresql://nobody@localhost/none"))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://api.test") as client:
        answer = await client.get("/health", headers={"Origin": ORIGIN})

    readable = set(answer.headers["access-control-expose-headers"].split(", "))
    assert {"Content-Disposition", "WWW-Authenticate", "Allow", "Accept-Patch", "ETag", "Link"} <= readable
