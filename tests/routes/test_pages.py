"""Pages while others write, and cursors that were not made here."""

import random
import zlib
from base64 import b85encode, urlsafe_b64encode
from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import pytest

from backend.app.domain.enums import DELETED_SORTS, Sort
from backend.app.domain.limits import ID_MAX
from backend.app.domain.positions import POSITION_CHARACTERS_MAX
from backend.app.repositories import page_positions
from backend.app.schemas.queries import TaskPageQuery
from backend.app.web import pagination
from tests.support.applications import Client
from tests.support.tasks import create, path

Write = Callable[[Client, list[int]], Awaitable[Any]]
PRIORITIES = [None, "low", "medium", "high"]


async def some_tasks(client: Client, count: int) -> list[int]:
    """Tasks whose places in one order say nothing about those in another."""
    random_ = random.Random(count)  # noqa: S311 - no secret
    return [
        (
            await create(
                client,
                title=f"t{random_.randrange(100)}",
                priority=random_.choice(PRIORITIES),
                due_date=random_.choice([None, "2026-01-01", "2027-01-01T00:00:00.5Z"]),
            )
        )["id"]
        for _ in range(count)
    ]


async def change(client: Client, task_id: int, random_: random.Random) -> None:
    """To anything, so that it moves to any place."""
    members = {
        "title": f"t{random_.randrange(100)}",
        "priority": random_.choice(PRIORITIES),
        "due_date": random_.choice([None, "2025-01-01", "2028-01-01"]),
    }
    assert (await client.patch(path(client, task_id), json=members)).status_code == 200


async def walk(client: Client, query: str, between: Callable[[list[int]], Awaitable[Any]]) -> list[int]:
    """The ids of all pages; after each `between` is called with what was met so far."""
    met: list[int] = []
    url: str | None = f"{path(client)}?{query}"
    while url:
        answer = await client.get(url)
        assert answer.status_code == 200, answer.text
        met += [task["id"] for task in answer.json()]
        url = answer.links.get("next", {}).get("url")
        await between(met)
    return met


@pytest.mark.parametrize("sort", Sort)
@pytest.mark.parametrize("limit", [1, 3, 4, 20])
async def test_no_task_is_skipped_or_shown_twice_while_tasks_move(client: Client, sort: Sort, limit: int) -> None:
    """One that was met and one that was not are changed after each of the first pages, and each is met once."""
    ids = await some_tasks(client, 9)
    random_ = random.Random(limit)  # noqa: S311 - no secret
    left = [*range(5)]

    async def write(met: list[int]) -> None:
        if left:
            left.pop()
            unmet = [task_id for task_id in ids if task_id not in met]
            for task_id in filter(None, [random_.choice(met or ids), random_.choice(unmet or [0])]):
                await change(client, task_id, random_)

    met = await walk(client, f"sort={sort}&limit={limit}", write)

    assert sorted(met) == sorted(ids)


@pytest.mark.parametrize("sort", [sort for sort in Sort if "created" not in sort])
async def test_what_is_created_during_a_walk_is_met_once(client: Client, sort: Sort) -> None:
    """At its place or at the end."""
    ids = await some_tasks(client, 6)

    async def write(_: list[int]) -> None:
        if len(ids) < 9:
            ids.extend(await some_tasks(client, 1))

    met = await walk(client, f"sort={sort}&limit=2", write)

    assert sorted(met) == sorted(ids)


@pytest.mark.parametrize("sort", [sort for sort in DELETED_SORTS if "updated" in sort])
async def test_the_trash_is_walked_as_well(client: Client, sort: Sort) -> None:
    """A task that is restored and deleted again moves, and is met once."""
    ids = await some_tasks(client, 6)
    for task_id in ids:
        await client.delete(path(client, task_id))

    async def write(met: list[int]) -> None:
        if len(met) < 5:
            for task_id in {met[0], next(task_id for task_id in ids if task_id not in met)}:
                await client.post(path(client, task_id, "/restore"))
                await client.delete(path(client, task_id))

    met = await walk(client, f"status=deleted&sort={sort}&limit=2", write)

    assert sorted(met) == ids


@pytest.mark.parametrize("sort", [sort for sort in Sort if "created" not in sort])
async def test_a_walk_that_nobody_disturbs_ends_with_its_last_full_page(client: Client, sort: Sort) -> None:
    """There is no empty page at the end."""
    ids = await some_tasks(client, 6)
    pages = 0

    async def count(_: list[int]) -> None:
        nonlocal pages
        pages += 1

    assert sorted(await walk(client, f"sort={sort}&limit=2", count)) == ids
    assert pages == 3


async def test_a_filter_holds_at_the_end_of_a_walk_too(client: Client) -> None:
    """What was changed so that it fits no more is not met."""
    ids = [(await create(client, title=f"t{n}", tags=["a"]))["id"] for n in range(6)]

    async def write(met: list[int]) -> None:
        if len(met) == 2:
            await client.patch(path(client, ids[0]), json={"tags": []})
            await client.patch(path(client, ids[1]), json={"title": "t"})

    met = await walk(client, "sort=-title&tag=a&limit=2", write)

    assert met == [*ids[:1:-1], ids[1]]


@pytest.mark.parametrize("how", ["REMEMBERED_ID_MAX", "POSITION_BYTES_MAX"])
async def test_a_walk_that_cannot_remember_sends_its_reader_to_the_changes(
    client: Client, how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was changed since the first page is not met any more, and /changes has all of it."""
    ids = await some_tasks(client, 6)
    monkeypatch.setattr(page_positions, how, 3)

    first = await client.get(f"{path(client)}?sort=-updated&limit=2")
    assert first.status_code == 200
    await client.patch(path(client, ids[0]), json={"title": "x"})
    await client.patch(path(client, ids[3]), json={"title": "x"})
    met, answer = [task["id"] for task in first.json()], first
    while following := answer.links.get("next"):
        forgetful = answer
        answer = await client.get(following["url"])
        met += [task["id"] for task in answer.json()]
    changes = await client.get(forgetful.links["urn:tasks:relation:changes"]["url"])

    assert met == [ids[0], ids[1], ids[2], ids[4], ids[5]]
    assert [task["id"] for task in changes.json()["tasks"]] == [ids[0], ids[3]]


async def test_a_walk_through_many_tasks_remembers_them(client: Client) -> None:
    """A long list in an order of its own still fits into a cursor."""
    made = [{"op": "create", "task": {"title": f"{number * 7919 % 1000:03}"}} for number in range(100)]
    for _ in range(5):
        assert (await client.post(f"/api/{client.user_id}/batch", json={"operations": made})).status_code == 200
    longest = 0

    url: str | None = f"{path(client)}?sort=title&limit=100"
    while url:
        answer = await client.get(url)
        longest = max(longest, len(answer.headers.get("link", "")))
        assert "relation:changes" not in answer.headers.get("link", "")
        url = answer.links.get("next", {}).get("url")

    assert longest < 500


NUMBERS = [-2, -1, 0, 3, 4, 32767, 32768, 40000, 2**31, 2**53, ID_MAX, 2**63, 2**64 - 1, 1.5, True, False, None, "1"]
MOMENTS = [
    "infinity", "-infinity", "Infinity", "2026-12-24", "2026-12-24 00:00:00+00", "2026-12-24 00:00:00.5+00",
    "2026-12-24 00:00:00.1234567+00", "2026-12-24T00:00:00+00", "2026-12-24 00:00:00+01", "2026-12-24 00:00:00",
    "2026-02-28 23:59:59+00", "2026-02-29 00:00:00+00", "2024-02-29 00:00:00+00", "2026-02-30 00:00:00+00",
    "2026-13-01 00:00:00+00", "2026-00-01 00:00:00+00", "2026-01-01 24:00:00+00", "2026-01-01 00:60:00+00",
    "2026-01-01 00:00:60+00", "2026-01-01 ........+00", "2026-01-01 ::::::::+00", "0000-01-01 00:00:00+00",
    "0001-01-01 00:00:00+00", "9999-12-31 23:59:59.999999+00", "9999-99-99 99:99:99+00", "10000-01-01 00:00:00+00",
    "294277-01-01 00:00:00+00", "4713-01-01 00:00:00+00 BC", "٢٠٢٦-01-01 00:00:00+00", "now()",
]  # fmt: skip
TEXTS = ["", "\\", "'", "%s", "a\0b", "x" * 501, "x" * 502, "\U0010ffff" * 501, "\ud800", [], {}, [[1]]]
GOOD_MOMENTS = {
    "infinity", "-infinity", "2026-12-24 00:00:00+00", "2026-12-24 00:00:00.5+00", "2026-02-28 23:59:59+00",
    "2024-02-29 00:00:00+00", "0001-01-01 00:00:00+00", "9999-12-31 23:59:59.999999+00",
}  # fmt: skip


def is_integer(value: Any, most: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= most


def is_text(value: Any) -> bool:
    return isinstance(value, str) and "\0" not in value and len(value) <= 501


# For each order, what its columns may hold.
FITS: dict[str, list[Callable[[Any], bool]]] = {
    "created": [lambda value: is_integer(value, ID_MAX)],
    "updated": [lambda value: is_integer(value, ID_MAX)],
    "title": [is_text, lambda value: is_integer(value, ID_MAX)],
    "due_date": [
        lambda value: isinstance(value, str) and value in GOOD_MOMENTS,
        lambda value: is_integer(value, ID_MAX),
    ],
    "position": [
        lambda value: is_text(value) and len(value) <= POSITION_CHARACTERS_MAX,
        lambda value: is_integer(value, ID_MAX),
    ],
    "priority": [lambda value: is_integer(value, 3), lambda value: is_integer(value, ID_MAX)],
}
USUAL: dict[str, list[Any]] = {
    "created": [1], "updated": [1], "title": ["a", 1], "due_date": ["infinity", 1], "priority": [1, 1],
    "position": ["a0", 1],
}  # fmt: skip


async def forged(client: Client, sort: str, parts: list[Any]) -> httpx.Response:
    text = pagination.encode(TaskPageQuery(sort=Sort(sort)).fingerprint, tuple(parts))
    return await client.get(path(client), params={"sort": sort, "cursor": text})


def is_refused(answer: httpx.Response) -> bool:
    return (answer.status_code, answer.json()["type"]) == (400, "urn:tasks:problem:invalid-cursor")


@pytest.mark.parametrize("sort", Sort)
async def test_a_forged_place_is_refused_or_a_place(client: Client, sort: Sort) -> None:
    """Each value of a column's type and range is a place, and no other: the database meets nothing that it refuses."""
    order = sort.removeprefix("-")
    kept = [] if order == "created" else [1, False, None]
    for number, fits in enumerate(FITS[order]):
        for value in [*NUMBERS, *MOMENTS, *TEXTS]:
            place = list(USUAL[order])
            place[number] = value
            try:
                answer = await forged(client, sort, [*place, *kept])
            except TypeError:  # a lone surrogate is no JSON
                continue
            if fits(value) and len(str(answer.url)) < pagination.CURSOR_MAX_CHARACTERS:
                assert answer.status_code == 200, (value, answer.text)
            else:
                assert is_refused(answer), (value, answer.text)


def packed(bits: bytes) -> str:
    return b85encode(zlib.compress(bits)).decode()


@pytest.mark.parametrize(
    ("parts", "good"),
    [
        ([1, 1, False, None], True),
        ([1, 1, True, packed(b"\2")], True),
        ([1, 1, False, packed(bytes(2**16))], True),
        ([1, 1, False, packed(bytes(2**16 + 1))], False),
        ([1, 1, False, packed(bytes(2**20))], False),
        ([1, 1, False, packed(b"\2")[:-1]], False),
        ([1, 1, False, ""], False),
        ([1, 1, False, "no base85 \0"], False),
        ([1, 1, False, "ä"], False),
        ([1, 1, False, b85encode(b"no zlib").decode()], False),
        ([1, 1, False, 1], False),
        ([1, 1, 0, None], False),
        ([1, -1, False, None], False),
        ([1, 2**63, False, None], False),
        ([1, True, False, None], False),
        ([1, "1", False, None], False),
        ([1, 1, False], False),
        ([1], False),
        ([], False),
        ([1, 1, 1, False, None], False),
    ],
)
async def test_a_forged_memory_is_refused_or_a_memory(client: Client, parts: list[Any], *, good: bool) -> None:
    """It names nothing but which of one's own tasks to leave out, and it unpacks to a bounded size."""
    answer = await forged(client, "updated", parts)

    assert (answer.status_code == 200) if good else is_refused(answer)


async def test_a_place_after_the_end_is_one_among_the_changes(client: Client) -> None:
    """There the order is that of changes, whatever the list is sorted by."""
    assert (await forged(client, "title", [1, 1, True, packed(b"")])).status_code == 200
    assert is_refused(await forged(client, "title", ["a", 1, 1, True, packed(b"")]))


@pytest.mark.parametrize("parts", [[], [1], ["a\0"], ["a", "b"], [None]])
async def test_a_forged_place_among_tags_is_refused(client: Client, parts: list[Any]) -> None:
    cursor = pagination.encode("tags", tuple(parts))

    assert is_refused(await client.get(f"/api/{client.user_id}/tags", params={"cursor": cursor}))


@pytest.mark.parametrize(
    "document", [b'["%s","\\ud800",1,1,false,null]', b'["%s","\xff",1,1,false,null]', b'["%s",1e999]', b"{}", b"1", b""]
)
async def test_a_cursor_that_is_no_document_of_ours_is_refused(client: Client, document: bytes) -> None:
    """Lone surrogates, bytes that are not UTF-8, numbers without end, other kinds of documents."""
    told = document.replace(b"%s", TaskPageQuery(sort=Sort.TITLE).fingerprint.encode())
    cursor = urlsafe_b64encode(told).decode().rstrip("=")

    assert is_refused(await client.get(path(client), params={"sort": "title", "cursor": cursor}))
