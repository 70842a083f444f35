"""Whoever holds another user's token takes over all that this user has."""

import asyncio
import json
import logging
from typing import Any

import pytest
from fastapi import FastAPI

from backend.app.main import create_app
from backend.app.repositories.claim_statements import MOVED, MOVED_LISTS
from backend.app.repositories.completion_records import COMPLETIONS
from tests.conftest import MakeClient
from tests.support.applications import Client, client_for, running, settings_for
from tests.support.postgres import Server
from tests.support.tasks import PLAN, create, exported_task, path
from tests.support.tokens import SECRET, token

KEPT = ("title", "description", "completed", "completed_at", "priority", "due_date", "time_zone", "recurrence", "tags")
TIMES = ("created_at", "updated_at")


def token_of(client: Client, **claims: Any) -> str:
    """As Better Auth signs it for an anonymous user, unless told otherwise."""
    return token(client.user_id, **{"isAnonymous": True, **claims})


async def claimed(client: Client, text: Any, **headers: str) -> tuple[int, Any]:
    answer = await client.post(f"/api/{client.user_id}/claim", json={"token": text}, headers=headers)
    return answer.status_code, answer.json()


async def listed(client: Client, query: str = "?limit=500") -> list[dict[str, Any]]:
    tasks: list[dict[str, Any]] = (await client.get(path(client) + query)).json()
    return tasks


def kept(task: dict[str, Any]) -> list[Any]:
    return [task[name] for name in (*KEPT, *TIMES)]


async def fill(client: Client) -> None:
    """A parent with a subtask, one that is done, one in the trash, and a family in the trash."""
    parent = await create(client, **PLAN, description="two litres")
    await create(client, parent_id=parent["id"], title="part", tags=["ß", "a,b"])
    await create(client, completed=True, title="done", priority="low")
    gone, family = await create(client, title="gone"), await create(client, title="family")
    await create(client, parent_id=family["id"], title="part of the family")
    for task in (gone, family):
        await client.delete(path(client, task["id"]))


async def test_all_that_a_user_has_moves(make_client: MakeClient) -> None:
    """Under the next ids and in the same order, with families, times and trash; each id and revision once."""
    mine, theirs = make_client(), make_client()
    await create(mine, title="mine")
    await create(mine, title="mine, too")
    await fill(theirs)
    before, trash, own = await listed(theirs), await listed(theirs, "?status=deleted"), await listed(mine)

    answer = await claimed(mine, token_of(theirs))

    tasks, deleted = await listed(mine), await listed(mine, "?status=deleted")
    assert answer == (200, {"tasks": 3, "deleted_tasks": 3})
    assert [task["id"] for task in tasks] == [5, 4, 3, 2, 1]
    assert [task["id"] for task in deleted] == [8, 7, 6]
    assert [kept(task) for task in tasks[:3]] == [kept(task) for task in before]
    assert [(kept(task), task["deleted_at"]) for task in deleted] == [(kept(t), t["deleted_at"]) for t in trash]
    assert [task["parent_id"] for task in tasks[:3]] == [None, 3, None]
    assert tasks[3:] == own
    assert {task["user_id"] for task in (*tasks, *deleted)} == {mine.user_id}
    assert len({task["revision"] for task in (*tasks, *deleted)}) == 8
    assert (await create(mine))["id"] == 9
    assert (await listed(theirs), await listed(theirs, "?status=deleted")) == ([], [])


@pytest.mark.parametrize("trashed", [False, True])
async def test_lists_and_order_move(make_client: MakeClient, trashed: bool) -> None:
    """Tasks stay in their lists and where they were put; lists come behind the caller's; one may be in the trash."""
    mine, theirs = make_client(), make_client()
    for client, names in ((mine, ["Work"]), (theirs, ["Home", "Garden"])):
        for name in names:
            await client.post(f"/api/{client.user_id}/lists", json={"name": name})
    for number, list_id in enumerate((None, 1, None, 2, None, None), 1):
        await create(theirs, title=f"{number}", list_id=list_id)
    await create(mine, title="mine")
    await theirs.patch(path(theirs, 1, "/move"), json={"after": None})
    await theirs.patch(path(theirs, 3, "/move"), json={"after": 1})
    await theirs.patch(path(theirs, 6, "/move"), json={"after": 5})
    if trashed:
        await theirs.delete(f"/api/{theirs.user_id}/lists/2")

    await claimed(mine, token_of(theirs))

    lists = (await mine.get(f"/api/{mine.user_id}/lists")).json()
    tasks = await listed(mine, "?sort=position")
    assert [(one["id"], one["name"]) for one in lists] == [(1, "Work"), (2, "Home"), (3, "Garden")][: 3 - trashed]
    assert [task["title"] for task in tasks if task["list_id"] is None] == ["1", "3", "5", "6", "mine"]
    assert [(task["title"], task["list_id"]) for task in tasks if task["list_id"]] == [("4", 3), ("2", 2)][trashed:]


async def test_every_column_is_as_it_was(server: Server, database_url: str, make_client: MakeClient) -> None:
    """Also what nobody is shown; but for whose it is, and what counts anew."""
    mine, theirs = make_client(), make_client()
    await fill(theirs)
    name = database_url.partition("@/")[2].partition("?")[0]

    def rows(user_id: str) -> list[Any]:
        anew = "'{user_id,id,revision,parent_id,deleted_with}'::text[]"
        return [
            server.execute(
                f"SELECT to_jsonb({table}) - {anew} FROM {table} WHERE user_id = '{user_id}' ORDER BY id", database=name
            )
            for table in ("tasks", "deleted_tasks")
        ]

    before = rows(theirs.user_id)
    await claimed(mine, token_of(theirs))

    assert rows(mine.user_id) == before


async def test_what_moved_works_as_before(make_client: MakeClient) -> None:
    """A repeating task goes on, a family comes back from the trash, and who follows hears of all."""
    mine, theirs = make_client(), make_client()
    since = (await create(mine))["revision"]
    await fill(theirs)

    await claimed(mine, token_of(theirs))

    changes = (await mine.get(f"/api/{mine.user_id}/changes?since={since}")).json()
    assert ([task["id"] for task in changes["tasks"]], sorted(changes["deleted"])) == ([2, 3, 4], [5, 6, 7])
    again = (await mine.patch(path(mine, 2, "/complete"))).json()
    assert again["completed_occurrence"]["due_date"] == PLAN["due_date"]
    assert (await mine.post(path(mine, 6, "/restore"))).status_code == 200
    assert [(task["id"], task["parent_id"]) for task in await listed(mine)] == [
        (7, 6), (6, None), (4, None), (3, 2), (2, None), (1, None)
    ]  # fmt: skip
    assert [task["title"] for task in await listed(mine, "?q=TWO LITRES")] == [again["title"]]
    tags = (await mine.get(f"/api/{mine.user_id}/tags")).json()
    assert {tag["tag"] for tag in tags} >= {"ß", "a,b"}


async def test_a_second_time_there_is_nothing_left(make_client: MakeClient) -> None:
    """Repeated after a lost answer, with a key or without; not even a revision changes."""
    mine, theirs = make_client(), make_client()
    await create(theirs)
    held = token_of(theirs)

    first = [await claimed(mine, held, **{"Idempotency-Key": "once"}) for _ in range(2)]
    before = (await mine.get(path(mine))).headers["etag"]
    second = await claimed(mine, token_of(theirs))
    never = await claimed(mine, token_of(make_client()))

    assert first == [(200, {"tasks": 1, "deleted_tasks": 0})] * 2
    assert second == never == (200, {"tasks": 0, "deleted_tasks": 0})
    assert (len(await listed(mine)), (await mine.get(path(mine))).headers["etag"]) == (1, before)


async def test_nothing_of_the_other_user_is_left(server: Server, database_url: str, make_client: MakeClient) -> None:
    """No row in any table; who comes back starts anew, above every number."""
    mine, theirs = make_client(), make_client()
    await fill(theirs)
    await theirs.post(path(theirs), json={"title": "x"}, headers={"Idempotency-Key": "once"})
    old = (await theirs.get(path(theirs))).headers["etag"]

    await claimed(mine, token_of(theirs))

    name = database_url.partition("@/")[2].partition("?")[0]
    tables = [row[0] for row in server.execute(
        "SELECT table_name FROM information_schema.columns WHERE column_name = 'user_id' AND table_schema = 'public'",
        database=name,
    )]  # fmt: skip
    assert {"tasks", "deleted_tasks", "task_lists", "idempotency_keys"} <= set(tables)
    for table in tables:
        assert server.execute(f"SELECT 1 FROM {table} WHERE user_id = '{theirs.user_id}'", database=name) == [], table
    assert (await create(theirs))["id"] == 1
    assert (await theirs.get(path(theirs))).headers["etag"] > old


REFUSED_TOKENS: list[tuple[str, Any]] = [
    ("is no token", "nonsense"),
    ("has no signature", "eyJhbGciOiJub25lIn0.eyJzdWIiOiJ4In0."),
    ("has expired", {"exp": 1}),
    ("is not good yet", {"nbf": 2**40}),
    ("is a session token", "a" * 32),
    ("is too long", "a" * 9000),
    ("has a line feed", "a\nb"),
    ("is not ASCII", "é.é.é"),
    ("is blank", " "),
    ("has a scheme before it", "Bearer"),
    ("was signed by somebody else", {"secret": "x" * 40}),
]


@pytest.mark.parametrize("what", [name for name, _ in REFUSED_TOKENS])
async def test_the_token_passes_the_same_verifier(make_client: MakeClient, what: str) -> None:
    """What would be 401 in the header is 422 here, with the same sentence; nothing moves."""
    mine, theirs = make_client(), make_client()
    await create(theirs)
    sent = dict(REFUSED_TOKENS)[what]
    text = token_of(theirs, **sent) if isinstance(sent, dict) else sent
    if what == "has a scheme before it":
        text = f"Bearer {token_of(theirs)}"

    status, problem = await claimed(mine, text)

    assert (status, problem["type"]) == (422, "urn:tasks:problem:claimed-token-refused")
    assert [error["pointer"] for error in problem["errors"]] == ["#/token"]
    assert text.strip() == "" or text not in json.dumps(problem)
    assert (len(await listed(theirs)), await listed(mine)) == (1, [])


BODIES: list[tuple[Any, int, str]] = [
    ({}, 422, "#/token"),
    ({"token": None}, 422, "#/token"),
    ({"token": ""}, 422, "#/token"),
    ({"token": 1}, 422, "#/token"),
    ({"token": ["x"]}, 422, "#/token"),
    ({"token": "x", "user_id": "y"}, 422, "#/user_id"),
    ([], 422, "#"),
    ("x", 422, "#"),
]


@pytest.mark.parametrize(("body", "status", "pointer"), BODIES, ids=range(len(BODIES)))
async def test_the_body_has_a_token_and_nothing_else(client: Client, body: Any, status: int, pointer: str) -> None:
    answer = await client.post(f"/api/{client.user_id}/claim", json=body)

    assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (status, pointer)


async def test_the_body_is_json_without_a_query(client: Client) -> None:
    claim = f"/api/{client.user_id}/claim"

    statuses = [
        (await client.post(claim, content=b"{", headers={"Content-Type": "application/json"})).status_code,
        (await client.post(claim, content=b"{}", headers={"Content-Type": "text/plain"})).status_code,
        (await client.post(claim)).status_code,
        (await client.post(f"{claim}?force=true", json={"token": "x"})).status_code,
        (await client.get(claim)).status_code,
    ]

    assert statuses == [400, 415, 415, 422, 405]


async def test_ones_own_token_claims_nothing(client: Client) -> None:
    """422: the tasks would be erased."""
    await create(client)

    status, problem = await claimed(client, token_of(client))

    assert (status, problem["errors"][0]["pointer"]) == (422, "#/token")
    assert len(await listed(client)) == 1


ANONYMOUS: dict[str, Any] = {"isAnonymous": True}
# The setting, the claims of the other user's token, and whether it is allowed.
ALLOWED = [
    ("off", ANONYMOUS, False),
    ("off", {}, False),
    ("anonymous", ANONYMOUS, True),
    ("anonymous", {}, False),
    ("anonymous", {"isAnonymous": False}, False),
    ("anonymous", {"isAnonymous": None}, False),
    ("anonymous", {"isAnonymous": 1}, False),
    ("anonymous", {"isAnonymous": "true"}, False),
    ("anonymous", {"is_anonymous": True}, False),
    ("anonymous", {"user": ANONYMOUS}, False),
    ("any", ANONYMOUS, True),
    ("any", {}, True),
]


@pytest.mark.parametrize(("setting", "claims", "allowed"), ALLOWED)
async def test_whose_tasks_may_be_claimed(
    database_url: str, setting: str, claims: dict[str, Any], allowed: bool
) -> None:
    """By default those of an anonymous user of Better Auth, as the token says."""
    app = create_app(settings_for(database_url, claim=setting))
    async with running(app), client_for(app) as mine, client_for(app) as theirs:
        await create(theirs)

        status, answer = await claimed(mine, token(theirs.user_id, **claims))

        assert status == (200 if allowed else 403)
        assert allowed or answer["type"] == "urn:tasks:problem:claim-not-allowed"
        assert len(await listed(mine)) == allowed


async def test_bad_tokens_count_as_those_of_strangers(database_url: str) -> None:
    """Whoever guesses is shut out as with a header; a good token of the same address still works."""
    app = create_app(settings_for(database_url, rate_limit_per_address="3/minute"))
    async with running(app), client_for(app) as mine, client_for(app) as theirs:
        guesses = [(await claimed(mine, token_of(theirs, secret="y" * 40)))[0] for _ in range(5)]
        stranger = await mine.get(path(mine), headers={"Authorization": "Bearer x"})
        good = await claimed(mine, token_of(theirs))

    assert guesses == [422, 422, 422, 429, 429]
    assert (stranger.status_code, good[0]) == (429, 200)


async def test_over_the_cap_nothing_moves(database_url: str) -> None:
    """The trash does not count."""
    app = create_app(settings_for(database_url, max_tasks_per_user=3))
    async with running(app), client_for(app) as mine, client_for(app) as theirs:
        for client in (mine, theirs):
            for _ in range(2):
                await create(client)
        before = await listed(theirs)
        status, problem = await claimed(mine, token_of(theirs))
        after, own = await listed(theirs), await listed(mine)
        await theirs.delete(path(theirs, 1))
        fits = await claimed(mine, token_of(theirs))

    assert (status, problem["type"]) == (422, "urn:tasks:problem:task-limit-reached")
    assert (after, len(own)) == (before, 2)
    assert fits == (200, {"tasks": 1, "deleted_tasks": 1})


async def test_a_trash_that_moves_stays_bounded(database_url: str) -> None:
    """As after a delete: the oldest is purged beyond what a user may have."""
    app = create_app(settings_for(database_url, max_tasks_per_user=3))
    async with running(app), client_for(app) as mine, client_for(app) as theirs:
        for client in (mine, theirs):
            for _ in range(3):
                await client.delete(path(client, (await create(client))["id"]))

        status, _ = await claimed(mine, token_of(theirs))
        trash = await listed(mine, "?status=deleted")

    assert (status, [task["id"] for task in trash]) == (200, [6, 5, 4])


async def test_many_tasks_move(make_client: MakeClient) -> None:
    """More than a statement reads: families that are far apart stay together."""
    mine, theirs = make_client(), make_client()
    tasks = [exported_task(n, parent_id=2500 - n if n <= 1000 else None) for n in range(1, 2500)]
    answer = await theirs.post(
        f"/api/{theirs.user_id}/import?ids=keep", json={"format": "tasks-backend", "version": 1, "tasks": tasks}
    )
    assert answer.status_code == 200, answer.text
    await create(mine)

    status, counts = await claimed(mine, token_of(theirs))

    file = (await mine.get(f"/api/{mine.user_id}/export")).json()["tasks"][1:]
    assert (status, counts["tasks"]) == (200, 2499)
    assert [(t["id"], t["title"], t["parent_id"]) for t in file] == [
        (t["id"] + 1, t["title"], t["parent_id"] and t["parent_id"] + 1) for t in tasks
    ]


@pytest.mark.parametrize("keyed", [False, True])
async def test_two_who_claim_each_other_lose_nothing(make_client: MakeClient, keyed: bool) -> None:
    """At the same moment, again and again: both are answered, and each task is with one of them, once."""
    for round_ in range(5):
        one, two = make_client(), make_client()
        for number, client in enumerate((one, two)):
            await create(client, title=f"{number}")
        keys = [{"Idempotency-Key": f"{round_}"} if keyed else {} for _ in range(2)]

        answers = await asyncio.gather(claimed(one, token_of(two), **keys[0]), claimed(two, token_of(one), **keys[1]))

        titles = sorted([task["title"] for client in (one, two) for task in await listed(client)])
        assert [status for status, _ in answers] == [200, 200]
        assert titles == ["0", "1"]


async def test_what_is_written_meanwhile_is_not_lost(make_client: MakeClient) -> None:
    """By the other user, while they are claimed: it has moved, or is theirs still."""
    mine, theirs = make_client(), make_client()

    async def write() -> None:
        for number in range(20):
            await create(theirs, title=f"{number}")

    async def claim() -> None:
        for _ in range(5):
            assert (await claimed(mine, token_of(theirs)))[0] == 200

    await asyncio.gather(write(), claim())

    titles = [task["title"] for client in (mine, theirs) for task in await listed(client)]
    assert sorted(map(int, titles)) == list(range(20))


async def test_the_log_names_both_and_no_token(
    app: FastAPI, make_client: MakeClient, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    """One line for the request, also for one that is refused."""
    mine, theirs = make_client(), make_client()
    text = token_of(theirs)
    with caplog.at_level(logging.INFO):
        await claimed(mine, text)
        await claimed(mine, token(theirs.user_id))
        await claimed(mine, "nonsense")

    written = caplog.text + "".join(capsys.readouterr()) + str([vars(record) for record in caplog.records])
    assert (text in written, SECRET in written) == (False, False)
    assert written.count(theirs.user_id) >= 2


# What does not move: the list's own numbers, answers that were the other user's, what their clients have to hear of,
# and what is made anew of the tasks.
LEFT = {"task_lists", "idempotency_keys", "deleted_completions", "reminders"}


def test_every_table_moves_or_is_left_on_purpose() -> None:
    """A table that comes later is listed in claim_statements.py, or here."""
    assert {table.name for table in (*MOVED, *MOVED_LISTS, COMPLETIONS)} | LEFT == set(MOVED[0].metadata.tables)
