"""Filters that combine and orders that hold: against a model of a few lines, and by hand where it is about time."""

import random
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlencode

import httpx
import pytest

from backend.app.db import embedded
from backend.app.domain import keys
from backend.app.domain.enums import Sort
from backend.app.main import create_app
from tests.conftest import MakeClient
from tests.support import cluster, ways
from tests.support.applications import Client, client_for, running, settings_for
from tests.support.postgres import Server
from tests.support.tasks import create, path

PRIORITIES = [None, "low", "medium", "high"]
TITLES = ["apple", "Äpfel", "Zebra", "zebra", "100%", "under_score", "éclair", "ECLAIR", "Straße", "back\\slash", "b"]
FOREVER = datetime.max.replace(tzinfo=UTC)
Task = dict[str, Any]
Query = list[tuple[str, str]]


def due_at(task: Task) -> datetime:
    due = task["due_date"]
    if due is None:
        return FOREVER
    if len(due) == len("2026-12-24"):
        return datetime.fromisoformat(due).replace(tzinfo=UTC) + timedelta(days=1, microseconds=-1)
    return datetime.fromisoformat(due)


KEYS: dict[str, Any] = {
    "created": lambda task: -task["id"],
    "updated": lambda task: -task["revision"],
    "title": lambda task: (keys.title_key(task["title"]).encode(), task["id"]),
    "due_date": lambda task: (due_at(task), task["id"]),
    "position": lambda task: (task["position"], task["id"]),
    "priority": lambda task: (-PRIORITIES.index(task["priority"]), -task["id"]),
}


def expected(tasks: list[Task], query: Query) -> list[int]:
    """The model."""

    def meets(task: Task) -> bool:
        now, tags = datetime.now(UTC), [tag.casefold() for tag in task["tags"]]
        texts = (keys.title_key(task["title"]), keys.description_key(task["description"] or ""))
        overdue = not task["completed"] and due_at(task) < now
        priorities = [None if value == "none" else value for name, value in query if name == "priority"]
        one = dict(query)
        return (
            (not priorities or task["priority"] in priorities)
            and all(value.casefold() in tags for name, value in query if name == "tag")
            and {"pending": not task["completed"], "completed": task["completed"]}.get(one.get("status", ""), True)
            and ("overdue" not in one or (one["overdue"] == "true") == overdue)
            and ("due_before" not in one or due_at(task) < datetime.fromisoformat(one["due_before"]))
            and ("due_after" not in one or datetime.fromisoformat(one["due_after"]) <= due_at(task) < FOREVER)
            and ("parent_id" not in one or str(task["parent_id"] or "none") == one["parent_id"])
            and ("q" not in one or any(keys.search_key(one["q"]) in text for text in texts))
        )

    sort = dict(query).get("sort", "created")
    found = sorted(filter(meets, tasks), key=KEYS[sort.removeprefix("-")], reverse=sort.startswith("-"))
    return [task["id"] for task in found]


@pytest.fixture(scope="module")
def planned() -> list[Task]:
    """What forty tasks of a busy person are made of."""
    choose = random.Random(5)  # noqa: S311 - no secret
    days = [None, "2020-01-01", "2026-06-01", "2030-01-01", "2030-01-01T12:00:00+02:00", "2030-01-01T10:00:00Z"]
    return [
        {
            "title": choose.choice(TITLES),
            "description": choose.choice([None, "Milk", "50% off_", "ÄÖÜ"]),
            "completed": choose.random() < 0.3,
            "priority": choose.choice(PRIORITIES),
            "due_date": choose.choice(days),
            "tags": choose.sample(["Home", "work", "éte"], choose.randint(0, 2)),
            "parent_id": 1 if number > 1 and choose.random() < 0.2 else None,
        }
        for number in range(40)
    ]


async def filled(client: Client, planned: list[Task]) -> list[Task]:
    made = [await create(client, **task) for task in planned]
    for task in made[::7]:
        answer = await client.patch(path(client, task["id"]), json={"description": "changed"})
        task.update(answer.json())
    return made


async def walk(client: Client, query: Query, limit: int) -> list[int]:
    """The ids on all pages."""
    found: list[int] = []
    url = f"{path(client)}?{urlencode([*query, ('limit', str(limit))])}"
    while url:
        answer = await client.get(url)
        assert answer.status_code == 200, answer.text
        assert len(answer.json()) <= limit
        found += [task["id"] for task in answer.json()]
        url = answer.links["next"]["url"] if answer.links else ""
    return found


def random_query(choose: random.Random) -> Query:
    options: list[Query] = [
        [("status", choose.choice(["all", "pending", "completed"]))],
        [("priority", value) for value in choose.sample(["low", "medium", "high", "none"], choose.randint(1, 3))],
        [("tag", value) for value in choose.sample(["HOME", "Work", "ÉTE"], choose.randint(1, 2))],
        [("due_before", choose.choice(["2030-01-01T10:00:00+00:00", "2026-06-02T00:00:00Z"]))],
        [("due_after", choose.choice(["2030-01-01T12:00:00+02:00", "2020-01-01T23:59:59.999999Z"]))],
        [("overdue", choose.choice(["true", "false"]))],
        [("parent_id", choose.choice(["1", "none", "2"]))],
        [("q", choose.choice(["Ä", "%", "_", "milk", "STRASSE", "\\", "straße", "ECL", "é"]))],
    ]
    return [("sort", choose.choice(list(Sort)).value)] + [
        pair for option in options if choose.random() < 0.25 for pair in option
    ]


async def test_whatever_is_asked_is_what_the_model_finds(client: Client, planned: list[Task]) -> None:
    """Three hundred combinations of filters and orders, in pages of any size, with their exact counts."""
    tasks = await filled(client, planned)
    choose = random.Random(7)  # noqa: S311 - as above
    for _ in range(300):
        query = random_query(choose)
        wanted = expected(tasks, query)

        assert await walk(client, query, choose.choice([1, 3, 7, 100])) == wanted, query
        counted = await client.get(
            f"{path(client)}?{urlencode([*query, ('limit', '1')])}", headers={"Prefer": "count=exact"}
        )
        assert counted.headers["x-total-count"] == str(len(wanted)), query
        assert counted.headers["preference-applied"] == "count=exact"


@pytest.mark.parametrize("sort", [sort.value for sort in Sort])
async def test_an_order_reversed_is_its_reverse(client: Client, planned: list[Task], sort: str) -> None:
    """Ties, too, and tasks without a due date."""
    await filled(client, planned)
    other = sort.removeprefix("-") if sort.startswith("-") else f"-{sort}"

    assert await walk(client, [("sort", sort)], 9) == (await walk(client, [("sort", other)], 4))[::-1]


async def test_others_tasks_are_never_found(make_client: MakeClient, planned: list[Task]) -> None:
    """Two users with the same tasks: every list and count is of one's own."""
    alice, bob = make_client(), make_client()
    await filled(alice, planned)
    await filled(bob, planned[:10])

    for sort in Sort:
        answer = await bob.get(f"{path(bob)}?sort={sort.value}", headers={"Prefer": "count=exact"})
        assert {task["user_id"] for task in answer.json()} == {bob.user_id}
        assert answer.headers["x-total-count"] == "10"


async def test_a_day_is_found_by_its_bounds(client: Client) -> None:
    """`due_after` is inclusive and `due_before` is not, so windows join without a gap; days are UTC's."""
    for due in (
        "2026-12-23",
        "2026-12-24",
        "2026-12-24T00:00:00Z",
        "2026-12-24T23:59:59Z",
        "2026-12-25T00:00:00Z",
        None,
    ):
        await create(client, due_date=due)

    assert await walk(client, [("due_after", "2026-12-24"), ("due_before", "2026-12-25")], 10) == [4, 3, 2]
    assert await walk(client, [("due_after", "2026-12-25")], 10) == [5]
    assert await walk(client, [("due_before", "2026-12-24T00:00:00+00:00")], 10) == [1]
    # A plus sign that was not percent-encoded arrives as a blank.
    plus = await client.get(f"{path(client)}?due_before=2026-12-24T00:00:00+00:00")
    assert [task["id"] for task in plus.json()] == [1]


async def test_what_is_overdue_is_open_and_past(client: Client) -> None:
    """A day is over when it has ended; what repeats is as open as anything."""
    yesterday, today = ((datetime.now(UTC) - timedelta(days=days)).date().isoformat() for days in (1, 0))
    await create(client, due_date=yesterday)
    await create(client, due_date=yesterday, completed=True)
    await create(client, due_date=today)
    await create(client)

    assert await walk(client, [("overdue", "true")], 10) == [1]
    assert await walk(client, [("overdue", "false")], 10) == [4, 3, 2]


REFUSED = [
    ("sort=name", "?sort"),
    ("sort=--title", "?sort"),
    ("sort=title&sort=title", "?sort"),
    ("priority=urgent", "?priority/0"),
    ("priority=low&priority=medium&priority=high&priority=none&priority=low", "?priority"),
    ("tag=", "?tag/0"),
    ("tag=" + "a" * 51, "?tag/0"),
    ("tag=a%00", "?tag/0"),
    ("&".join(f"tag={number}" for number in range(21)), "?tag"),
    ("due_before=soon", "?due_before"),
    ("due_before=2026-12-24T00:00:00", "?due_before"),
    ("due_after=2026-13-01", "?due_after"),
    ("overdue=yes", "?overdue"),
    ("overdue=", "?overdue"),
    ("parent_id=0", "?parent_id"),
    ("parent_id=x", "?parent_id"),
    ("parent_id=9223372036854775808", "?parent_id"),
    ("q=", "?q"),
    ("q=" + "a" * 201, "?q"),
    ("q=a%00b", "?q"),
    ("status=gone", "?status"),
    ("search=x", "?search"),
]


@pytest.mark.parametrize(("query", "pointer"), REFUSED, ids=range(len(REFUSED)))
async def test_what_cannot_be_asked_is_422(client: Client, query: str, pointer: str) -> None:
    """With the parameter that it is about."""
    answer = await client.get(f"{path(client)}?{query}")

    assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, pointer)


async def paged(client: Client, query: str) -> httpx.Response:
    for n in range(3):
        await create(client, title=f"t{n}", due_date="2026-12-24", priority="low", tags=["a"])
    return await client.get(f"{path(client)}?limit=1&{query}")


@pytest.mark.parametrize("query", ["", "sort=title", "sort=due_date&status=pending", "sort=-priority&tag=a", "q=t"])
@pytest.mark.parametrize(
    "change", ["sort=updated", "status=completed", "tag=b", "q=x", "priority=low", "overdue=false", "parent_id=none"]
)
async def test_a_cursor_belongs_to_its_list(client: Client, query: str, change: str) -> None:
    """With another filter or order it is 400; another limit is the same list."""
    following = (await paged(client, query)).links["next"]["url"]
    url, _, told = following.partition("?")
    cursor = told.rpartition("cursor=")[2]
    name = change.partition("=")[0]
    others = "&".join(part for part in query.split("&") if part and not part.startswith(f"{name}="))

    changed = await client.get(f"{url}?limit=1&{others}&{change}&cursor={cursor}")
    longer = await client.get(f"{url}?limit=2&{query}&cursor={cursor}")

    assert (changed.status_code, changed.json()["type"]) == (400, "urn:tasks:problem:invalid-cursor")
    assert [len(longer.json()), longer.status_code] == [2, 200]


async def test_the_list_is_known_by_its_revision(client: Client) -> None:
    """With any filter that a revision decides; what changes by the hour has no tag."""
    await create(client, due_date="2020-01-01", tags=["a"])
    for query in ("", "?tag=a", "?sort=title", "?status=completed"):
        answer = await client.get(path(client) + query)
        known = await client.get(path(client) + query, headers={"If-None-Match": answer.headers["etag"]})
        assert known.status_code == 304

    by_the_hour = await client.get(path(client) + "?overdue=true", headers={"If-None-Match": answer.headers["etag"]})

    assert (by_the_hour.status_code, "etag" in by_the_hour.headers) == (200, False)


@pytest.fixture(scope="module")
async def client_of_locale_c(server: Server) -> AsyncIterator[Client]:
    """A client of the API on a database whose own lower() and order know ASCII only."""
    if "database_cluster" in ways.settings():
        pytest.skip("on a cluster a login is the role of one database")
    if cluster.URL:
        pytest.skip("needs a database of its own, and the cluster has one")
    server.execute("CREATE DATABASE ascii_only TEMPLATE template0 LOCALE 'C'")
    embedded.bring_up_to_date(server.database_url("ascii_only"))
    server.execute(f"GRANT {server.role(database='ascii_only')} TO tasks_login")
    server.close_to_strangers("ascii_only")
    async with running(create_app(settings_for(server.api_url("ascii_only")))) as app:
        yield client_for(app)


@pytest.mark.parametrize(
    ("text", "sought"),
    [("ÄRGER", "ärger"), ("Кафа", "КАФА"), ("Σίσυφος", "ΣΊΣΥΦΟΣ"), ("Straße", "STRASSE"), ("łza", "LZA")],
)
async def test_a_search_finds_the_same_whatever_the_databases_locale(
    client: Client, client_of_locale_c: Client, text: str, sought: str
) -> None:
    """In titles, descriptions and tags, on a server with locale C as on any other."""
    for one in (client, client_of_locale_c):
        await create(one, title=text)
        await create(one, title="other", description=f"before {text} after", tags=[text])
        await create(one, title="neither")

        by_text = await one.get(path(one), params={"q": sought})
        by_tag = await one.get(path(one), params={"tag": text.swapcase()})

        assert {text, "other"} <= {task["title"] for task in by_text.json()} <= {text, "other"}
        assert [task["title"] for task in by_tag.json()] == ["other"]


async def test_titles_sort_the_same_whatever_the_databases_locale(client_of_locale_c: Client) -> None:
    """Each letter beside its base letter."""
    user = client_for(client_of_locale_c._transport.app)  # type: ignore[attr-defined] # noqa: SLF001 - another user there
    for title in ("zebra", "łan", "Äpfel", "lama", "øl", "oak", "Apfelsine", "lato", "oz"):
        await create(user, title=title)

    found = await user.get(path(user), params={"sort": "title"})

    titles = [task["title"] for task in found.json()]
    assert titles == ["Äpfel", "Apfelsine", "lama", "łan", "lato", "oak", "øl", "oz", "zebra"]
