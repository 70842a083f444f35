"""Which headers a page of an allowed origin may send."""

import httpx
import pytest

from backend.app.main import create_app
from tests.support.applications import settings_for

ORIGIN = "http://localhost:3000"


async def preflight(headers: str, **changes: str) -> httpx.Response:
    app = create_app(settings_for("postgresql://nobody@localhost/none", **changes))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://api.test") as client:
        asked = {
            "Origin": ORIGIN,
            "Access-Control-Request-Method": "POST",
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
