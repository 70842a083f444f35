"""The API explorer's files, without a browser: what is served to whom, under which headers."""

import re
import subprocess
import sys
from urllib.parse import urljoin

import pytest
from fastapi import FastAPI

from backend.app.config import PROJECT_ROOT
from backend.app.main import DOCUMENTATION_PATHS, create_app
from tests.support.applications import client_for, running, settings_for
from tests.support.programs import environment
from tests.support.tokens import SECRET

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


async def test_the_page_and_all_it_loads_are_public_and_confined(app: FastAPI) -> None:
    """Without a token, from this origin alone, and nothing else is listed as public."""
    async with client_for(app) as client:
        del client.headers["Authorization"]
        page = await client.get("/docs")
        loaded = [f"/{address}" for address in re.findall(r'(?:src|href)="(?!data:)([^"]*)"', page.text)]
        answers = [page, *[await client.get(path) for path in loaded]]

    assert {"/", "/docs", "/openapi.json", *loaded} == DOCUMENTATION_PATHS
    assert [answer.headers["content-type"].partition(";")[0] for answer in answers] == [
        "text/html", "text/css", "text/javascript", "text/javascript",
    ]  # fmt: skip
    for answer in answers:
        assert answer.status_code == 200
        assert answer.headers["content-security-policy"] == POLICY
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["referrer-policy"] == "no-referrer"


@pytest.mark.parametrize(("prefix", "page"), [("", "/docs"), ("/tasks-api", "/tasks-api/docs")])
async def test_the_root_leads_to_the_page(database_url: str, prefix: str, page: str) -> None:
    """Where somebody begins who opens the server's address; without a token, also behind a proxy's prefix."""
    app = create_app(settings_for(database_url))
    app.root_path = prefix
    async with running(app), client_for(app) as client:
        del client.headers["Authorization"]
        led = await client.get(f"{prefix}/")
        refused = await client.post(f"{prefix}/")

    assert (led.status_code, urljoin(f"{prefix}/", led.headers["location"])) == (307, page)
    assert refused.status_code == 405


async def test_a_reload_sends_nothing_again(app: FastAPI) -> None:
    """The browser asks whether its copy still holds."""
    async with client_for(app) as client:
        first = await client.get("/docs/swagger-ui-bundle.js")
        again = await client.get("/docs/swagger-ui-bundle.js", headers={"If-None-Match": first.headers["etag"]})

    assert first.headers["cache-control"] == again.headers["cache-control"] == "no-cache"
    assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", first.headers["etag"])


@pytest.mark.parametrize(
    "path",
    [
        *("/docs/", "/docs//init.js", "/docs/%2e%2e/init.js", "/docs/favicon-32x32.png"),
        *("/docs/__init__.py", "/docs/..%2fmain.py", "/docs/init.js/", "/docs/init.js%00", "/docs/INIT.JS", "/redoc"),
    ],
)
async def test_no_other_path_is_public(app: FastAPI, path: str) -> None:
    """There is no folder behind /docs."""
    async with client_for(app) as client:
        statuses = [(await client.get(path)).status_code]
        del client.headers["Authorization"]
        statuses.append((await client.get(path)).status_code)

    assert statuses == [404, 401]


@pytest.mark.parametrize(("stage", "carried"), [("staging", "True"), ("production", "False")])
def test_production_does_not_carry_swagger_ui(stage: str, carried: str) -> None:
    """Neither its megabytes nor the time to read them."""
    code = "import sys, backend.app.main as main; main.app; print('fastapi_swagger' in sys.modules)"
    values = {"ENVIRONMENT": stage, "BETTER_AUTH_SECRET": SECRET, "DATABASE_URL": "postgresql://h/d"}

    ended = subprocess.run(
        [sys.executable, "-c", code], cwd=PROJECT_ROOT, env=environment(**values), capture_output=True, text=True,
        check=True,
    )  # fmt: skip

    assert ended.stdout.strip() == carried
