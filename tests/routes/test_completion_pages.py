"""The list of what was completed: its order, its pages and its filters."""

from datetime import datetime
from typing import Any

import pytest

from backend.app.schemas.completions import CompletionQuery
from backend.app.web import pagination
from tests.support.applications import Client
from tests.support.completions import completions_path, fill_completions, listed_completions


async def test_pages_hold_each_once(client: Client) -> None:
    """Newest first, however short the pages are; all are counted where that is preferred."""
    ids = await fill_completions(client)
    moments = [datetime.fromisoformat(one["completed_at"]) for one in await listed_completions(client)]
    found, link = [], f"{completions_path(client)}?limit=2"
    while link:
        answer = await client.get(link, headers={"Prefer": "count=exact"})
        assert (answer.headers["x-total-count"], answer.headers["preference-applied"]) == ("5", "count=exact")
        found += [one["id"] for one in answer.json()]
        link = answer.headers.get("link", "").partition(">")[0].removeprefix("<")

    assert (len(ids), found) == (5, ids)
    assert moments == sorted(moments, reverse=True)


async def test_filters_hold_on_every_page(client: Client) -> None:
    """`after` includes its moment and `before` does not; both take days; a task's own are found by its id."""
    ids = await fill_completions(client)
    every = await listed_completions(client)
    third = every[2]["completed_at"]
    task = every[0]["task_id"]

    async def found(query: str) -> list[str]:
        return [one["id"] for one in await listed_completions(client, query)]

    assert await found(f"?after={third}") == ids[:3]
    assert await found(f"?before={third}") == ids[3:]
    assert await found(f"?after={third}&before={every[1]['completed_at']}") == [ids[2]]
    assert await found("?before=2020-01-01") == []
    assert await found("?after=2020-01-01&before=2999-12-31") == ids
    of_task = await found(f"?task_id={task}")
    assert of_task == [one["id"] for one in every if one["task_id"] == task]
    assert await found("?task_id=99") == []
    page = await client.get(completions_path(client, f"?task_id={task}&limit=1"), headers={"Prefer": "count=exact"})
    assert page.headers["x-total-count"] == "3"
    second = await client.get(page.links["next"]["url"])
    assert [one["id"] for one in second.json()] == of_task[1:2]


REFUSED = {
    "?after=soon": (422, "?after"),
    "?before=2026-13-01": (422, "?before"),
    "?task_id=0": (422, "?task_id"),
    "?task_id=%2B5": (422, "?task_id"),
    f"?task_id={2**63}": (422, "?task_id"),
    "?limit=0": (422, "?limit"),
    "?limit=501": (422, "?limit"),
    "?sort=title": (422, "?sort"),
    "?cursor=x": (400, None),
}


@pytest.mark.parametrize(("query", "expected"), REFUSED.items(), ids=str)
async def test_a_wrong_query_is_refused(client: Client, query: str, expected: tuple[int, str | None]) -> None:
    """With the parameter that is wrong."""
    answer = await client.get(completions_path(client, query))
    errors = answer.json().get("errors", [{"pointer": None}])

    assert (answer.status_code, errors[0]["pointer"]) == expected


@pytest.mark.parametrize("place", [["x"], [5], [], ["1-1", "1-1"], ["9999999999999999999-1"]], ids=str)
async def test_a_cursor_of_nobody_is_refused(client: Client, place: list[Any]) -> None:
    """Also one that has the list's fingerprint, and a place that no page ever ended at."""
    cursor = pagination.encode(CompletionQuery().fingerprint, tuple(place))
    answer = await client.get(completions_path(client, f"?cursor={cursor}"))

    assert (answer.status_code, answer.json()["type"]) == (400, "urn:tasks:problem:invalid-cursor")
