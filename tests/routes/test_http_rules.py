"""HTTP's own rules on routes of every kind: conditions without tags, what varies, what would be taken, OPTIONS."""

from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from tests.support.applications import Client
from tests.support.tasks import create, path

ARCHIVE = {"format": "tasks-backend", "version": 2, "lists": [], "tasks": []}
BATCH = {"operations": [{"op": "create", "task": {"title": "of a batch"}}]}
APPLY = {"where": {"status": "pending"}, "op": "delete"}
# A route whose answer has no tag, its body, and the status without a condition.
WITHOUT_TAG: list[tuple[str, str, Any]] = [
    ("GET", "/completions", None),
    ("GET", "/changes?since=0", None),
    ("GET", "/export", None),
    ("GET", "/tasks?overdue=true", None),
    ("GET", "/tasks?available=true", None),
    ("GET", "/tasks?status=deleted", None),
    ("GET", "/lists?status=deleted", None),
    ("DELETE", "/trash", None),
    ("DELETE", "", None),
    ("POST", "/batch", BATCH),
    ("POST", "/tasks/apply", APPLY),
    ("POST", "/import", ARCHIVE),
]


async def ask(client: Client, method: str, place: str, body: Any, headers: dict[str, str]) -> httpx.Response:
    content = {} if body is None else {"json": body}
    return await client.request(method, f"/api/{client.user_id}{place}", headers=headers, **content)


@pytest.mark.parametrize(("method", "place", "body"), WITHOUT_TAG)
async def test_a_condition_that_cannot_hold_keeps_everything_as_it_is(
    client: Client, method: str, place: str, body: Any
) -> None:
    """RFC 9110, section 13.1.1: MUST NOT be performed, also where it would erase a user."""
    await create(client, title="kept")
    before = await ask(client, "GET", "/changes?since=0", None, {})

    refused = await ask(client, method, place, body, {"If-Match": '"17"'})
    unless = await ask(client, method, place, body, {"If-None-Match": "*"}) if method != "POST" else None
    after = await ask(client, "GET", "/changes?since=0", None, {})
    allowed = await ask(client, method, place, body, {"If-Match": "*", "If-None-Match": '"17"'})

    assert refused.status_code == 412
    assert refused.json()["type"] == "urn:tasks:problem:precondition-failed"
    assert unless is None or unless.status_code == (200 if method == "GET" else 412)
    assert after.json() == before.json()
    assert allowed.status_code == 200


@pytest.mark.parametrize("place", ["/tasks", "/tasks?overdue=true", "/completions"])
async def test_a_list_that_can_be_counted_varies_with_prefer(client: Client, place: str) -> None:
    """RFC 7240, section 2: a browser must not take a list that it kept without the count for one with it."""
    plain = await ask(client, "GET", place, None, {})
    counted = await ask(client, "GET", place, None, {"Prefer": "count=exact"})
    unchanged = await ask(client, "GET", place, None, {"If-None-Match": "*", "Prefer": "count=exact"})

    assert [answer.headers["vary"] for answer in (plain, counted)] == ["Prefer, Origin"] * 2
    assert "x-total-count" in counted.headers
    assert unchanged.status_code == (304 if "etag" in plain.headers else 200)
    assert unchanged.headers["vary"] == "Prefer, Origin"


PATCHES = "application/json, application/merge-patch+json"


@pytest.mark.parametrize(
    ("method", "place", "sent", "told"),
    [
        ("PATCH", "/tasks/1", {"Content-Type": "application/json-patch+json"}, {"accept-patch": PATCHES}),
        ("POST", "/tasks", {"Content-Type": "text/plain"}, {"accept": "application/json"}),
        ("POST", "/tasks", {}, {"accept": "application/json"}),
        ("POST", "/import", {"Content-Type": "text/xml"}, {"accept": "application/json, text/calendar, text/csv"}),
        (
            "POST",
            "/tasks",
            {"Content-Type": "application/json", "Content-Encoding": "gzip"},
            {"accept-encoding": "identity"},
        ),
    ],
)
async def test_415_tells_what_would_be_taken(
    client: Client, method: str, place: str, sent: dict[str, str], told: dict[str, str]
) -> None:
    """RFC 5789, section 2.2, and RFC 9110, section 15.5.16: the media types, or the coding, whichever it was."""
    answer = await client.request(method, f"/api/{client.user_id}{place}", content=b"[]", headers=sent)

    found = {name: value for name, value in answer.headers.items() if name.startswith("accept")}
    assert answer.status_code == 415
    assert found.items() >= told.items()
    assert ("accept-encoding" in found) is ("Content-Encoding" in sent)


async def test_no_coding_has_two_spellings(client: Client) -> None:
    """An empty Content-Encoding names none, as `identity` does."""
    for coding in ("", "identity", "Identity "):
        headers = {"Content-Type": "application/json", "Content-Encoding": coding}
        assert (await client.post(path(client), content=b'{"title":"t"}', headers=headers)).status_code == 201


async def test_a_file_may_begin_with_a_byte_order_mark(client: Client) -> None:
    """Editors write one where they save an export."""
    exported = (await client.get(f"/api/{client.user_id}/export")).content

    json = {"Content-Type": "application/json"}
    answer = await client.post(f"/api/{client.user_id}/import", content=b"\xef\xbb\xbf" + exported, headers=json)

    assert answer.status_code == 200


@pytest.mark.parametrize(
    ("place", "allowed"),
    [
        ("/health", "GET, HEAD, OPTIONS"),
        ("/health/ready", "GET, HEAD, OPTIONS"),
        ("/api/{}/tasks", "GET, HEAD, OPTIONS, POST"),
        ("/api/{}/tasks/1", "DELETE, GET, HEAD, OPTIONS, PATCH, PUT"),
        ("/api/{}/export", "GET, HEAD, OPTIONS"),
        ("/api/{}/batch", "OPTIONS, POST"),
    ],
)
async def test_options_names_the_methods(client: Client, place: str, allowed: str) -> None:
    """RFC 9110, section 9.3.7; HAProxy asks so whether a process lives, unless it is told otherwise."""
    answer = await client.options(place.format(client.user_id))

    assert (answer.status_code, answer.headers["allow"], answer.content) == (204, allowed, b"")


async def test_options_opens_no_path(client: Client, app: FastAPI) -> None:
    """What is not there stays 404, and what is another's 403."""
    nowhere, theirs = await client.options(f"/api/{client.user_id}/nowhere"), await client.options("/api/bob/tasks")
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://api.test") as stranger:
        unknown = await stranger.options(path(client))

    assert [nowhere.status_code, theirs.status_code, unknown.status_code] == [404, 403, 401]


@pytest.mark.parametrize("name", ["status", "limit", "q", "unknown"])
async def test_a_parameter_that_is_sent_twice_is_named(client: Client, name: str) -> None:
    """Which of two values is meant, nobody knows; those that may be repeated are read."""
    twice = await ask(client, "GET", f"/tasks?{name}=1&{name}=1", None, {})
    several = await ask(client, "GET", "/tasks?priority=high&priority=low&tag=a&tag=b", None, {})

    assert (twice.status_code, [error["pointer"] for error in twice.json()["errors"]]) == (422, [f"?{name}"])
    assert several.status_code == 200
