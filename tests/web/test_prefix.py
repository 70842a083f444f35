"""The API below a path of its own, which a proxy strips: `--root-path`, however it is spelled."""

import pytest
from fastapi import FastAPI

from backend.app.web.app import tidy_prefix
from tests.support.raw_http import bearer, exchange, request, served
from tests.support.tokens import new_user

# What `--root-path` says, the path as the server makes it of both, and what is left of the two.
PREFIXES = [
    ("/backend", "/backend/health", "/backend", "/backend/health"),
    ("/backend", "/backend/backend/health", "/backend", "/backend/backend/health"),
    ("/backend", "/health", "/backend", "/health"),
    ("/backend/", "/backend//health", "/backend", "/backend/health"),
    ("backend", "backend/health", "/backend", "/backend/health"),
    ("/a/b/", "/a/b//api/u/tasks", "/a/b", "/a/b/api/u/tasks"),
    ("/api/", "/api//api/u/tasks", "/api", "/api/api/u/tasks"),
    ("/", "//health", "", "/health"),
]


@pytest.mark.parametrize(("given", "path", "root_path", "tidy"), PREFIXES)
def test_a_prefix_is_read_in_every_spelling(given: str, path: str, root_path: str, tidy: str) -> None:
    """With a slash at its end, or without one at its beginning."""
    scope = {"root_path": given, "path": path}

    tidy_prefix(scope)

    assert (scope["root_path"], scope["path"]) == (root_path, tidy)


@pytest.mark.parametrize("spelling", ["/backend", "/backend/", "backend"])
async def test_links_lead_back_through_the_proxy(app: FastAPI, spelling: str) -> None:
    """The proxy strips the prefix, and its client needs it again."""
    user = new_user()
    fields, body = (bearer(user), "Content-Type: application/json", "Content-Length: 13"), b'{"title":"x"}'
    async with served(app, root_path=spelling) as port:
        answers = await exchange(
            port,
            request(f"/api/{user}/tasks", *fields, method="POST", body=body, last=False),
            request("/health", last=False),
            request("/api/another/tasks", bearer(user)),
        )

    assert [answer.status for answer in answers] == [201, 200, 403]
    assert answers[0].headers["location"] == f"/backend/api/{user}/tasks/1"
