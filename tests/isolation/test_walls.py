"""Each wall alone, with the others taken away; and the bug planted that the wall is there for."""

import asyncio
import contextlib
from typing import Any

import psycopg2
import pytest
from fastapi import FastAPI

from backend.app import problems
from backend.app.db.database import Database
from backend.app.db.session import OwnerSession
from backend.app.db.statement import Statement
from backend.app.main import create_app
from backend.app.middleware.path_guard import PathGuardMiddleware
from backend.app.repositories.queries import TaskQueries
from backend.app.schemas.queries import TaskPageQuery
from backend.app.schemas.task import TaskCreate
from tests.support import cluster
from tests.support.applications import client_for, database_for, running, settings_for
from tests.support.postgres import Server
from tests.support.repositories import repository
from tests.support.tokens import new_user, token


def without(app: FastAPI, removed: Any) -> FastAPI:
    """The application as if somebody had forgotten these middleware."""
    app.user_middleware = [layer for layer in app.user_middleware if layer.cls is not removed]
    return app


def found(database: Database, user_id: str) -> TaskQueries:
    return TaskQueries(OwnerSession(database, user_id))


async def test_without_the_guard_a_foreign_path_still_leads_to_ones_own_tasks(database_url: str) -> None:
    """Walls 3 to 5 without wall 2: the id in the path is compared and never used."""
    app = without(create_app(settings_for(database_url)), PathGuardMiddleware)
    async with running(app), client_for(app) as alice, client_for(app) as bob:
        made = await alice.post(f"/api/{alice.user_id}/tasks", json={"title": "Alice's"})
        listed = await bob.get(f"/api/{alice.user_id}/tasks")
        written = await bob.post(f"/api/{alice.user_id}/tasks", json={"title": "Bob's"})
        deleted = [await bob.delete(f"/api/{alice.user_id}/tasks/{number}") for number in (1, 2)]
        kept = await alice.get(made.headers["location"])

    assert listed.json() == []
    assert written.json()["user_id"] == bob.user_id
    assert [answer.status_code for answer in deleted] == [204, 404]
    assert kept.json() == made.json()


async def test_the_guard_alone_keeps_others_out() -> None:
    """Wall 2 in front of an application that would answer anybody."""
    reached: list[str] = []

    async def careless(scope: Any, receive: Any, send: Any) -> None:
        reached.append(scope["path"])

    guard = PathGuardMiddleware(careless, public_paths=frozenset({"/health"}))
    alice = type("User", (), {"user_id": "alice"})()
    for path in ("/api/bob/tasks", "/admin", "/api/alice2"):
        with pytest.raises((problems.UserMismatch, problems.RouteNotFound)):
            await guard({"type": "http", "path": path, "state": {"principal": alice}}, None, None)  # type: ignore[arg-type] # never used
    await guard({"type": "http", "path": "/api/alice/tasks", "state": {"principal": alice}}, None, None)  # type: ignore[arg-type] # as above

    assert reached == ["/api/alice/tasks"]


FORGOTTEN = {
    "read": "SELECT id, title FROM public.tasks WHERE %(owner)s IS NOT NULL",
    "read the counters": "SELECT user_id FROM public.task_lists WHERE %(owner)s IS NOT NULL",
    "read the trash": "SELECT id, title FROM public.deleted_tasks WHERE %(owner)s IS NOT NULL",
    "empty the trash": "DELETE FROM public.deleted_tasks WHERE %(owner)s IS NOT NULL RETURNING id",
    "update": "UPDATE public.tasks SET title = 'stolen' WHERE %(owner)s IS NOT NULL RETURNING id",
    "delete": "DELETE FROM public.tasks WHERE %(owner)s IS NOT NULL RETURNING id",
    "named": "SELECT id FROM public.tasks WHERE user_id = %(victim)s AND %(owner)s IS NOT NULL",
}


@pytest.mark.parametrize("text", FORGOTTEN.values(), ids=FORGOTTEN.keys())
async def test_row_security_alone_confines_a_forgotten_filter(database_url: str, text: str) -> None:
    """Wall 4 without walls 1 to 3: a statement that lost its filter meets no foreign row."""
    victim, thief = new_user(), new_user()
    async with database_for(database_url) as database:
        kept, gone = [await repository(database, victim).create(TaskCreate(title="mine")) for _ in range(2)]
        await repository(database, victim).delete(gone["id"])

        met = await OwnerSession(database, thief).run(Statement("forgotten", text, ("id",)), victim=victim)

        assert met == []
        assert await found(database, victim).get(kept["id"]) == kept
        assert (await repository(database, victim).restore(gone["id"]))["id"] == gone["id"]


# Citus itself refuses some before the node that has the rows is asked.
REFUSED = (psycopg2.errors.InsufficientPrivilege, *((psycopg2.errors.FeatureNotSupported,) if cluster.URL else ()))


@pytest.mark.parametrize(
    "text",
    [
        "INSERT INTO public.tasks (user_id, id, title, revision) SELECT %(victim)s, 99, %(owner)s, 1",
        "INSERT INTO public.task_lists VALUES (%(victim)s || %(owner)s, 0, 0, 0, 0)",
        "UPDATE public.tasks SET user_id = %(victim)s WHERE user_id = %(owner)s",
    ],
)
async def test_row_security_alone_lets_nobody_write_for_another(database_url: str, text: str) -> None:
    """Wall 4, WITH CHECK: no row can be given to another user."""
    victim, thief = new_user(), new_user()
    async with database_for(database_url) as database:
        for user in (victim, thief):
            await repository(database, user).create(TaskCreate(title="mine"))

        with pytest.raises(REFUSED):
            await OwnerSession(database, thief).run(Statement("planted", text, ()), victim=victim)

        page = await found(database, victim).page(TaskPageQuery(), None)
        assert [task["title"] for task in page.found] == ["mine"]


async def test_without_row_security_the_planted_bug_would_be_seen(server: Server) -> None:
    """The counter-proof: with wall 4 off, the same forgotten filter does meet the foreign row."""
    with server.new_database() as name:
        async with database_for(server.api_url(name)) as database:
            await repository(database, "victim").create(TaskCreate(title="mine"))
            server.execute("ALTER TABLE tasks DISABLE ROW LEVEL SECURITY", database=name)

            met = await OwnerSession(database, "thief").run(Statement("forgotten", FORGOTTEN["read"], ("id", "title")))

    assert met == [{"id": 1, "title": "mine"}]


async def test_ids_count_per_user_and_name_nothing_of_others(app: FastAPI) -> None:
    """Wall 5: another user's task id is answered like one that never was, byte for byte."""
    async with client_for(app) as alice, client_for(app) as bob:
        for title in ("one", "two"):
            await alice.post(f"/api/{alice.user_id}/tasks", json={"title": title})
        await bob.post(f"/api/{bob.user_id}/tasks", json={"title": "Bob's"})
        answers = [
            await bob.get(f"/api/{bob.user_id}/tasks/{task_id}", headers={"X-Request-ID": "same"})
            for task_id in (2, 77)
        ]
        own = await bob.get(f"/api/{bob.user_id}/tasks/1")

    assert answers[0].content == answers[1].content
    assert [answer.status_code for answer in answers] == [404, 404]
    assert own.json()["title"] == "Bob's"


def test_psql_sees_only_who_is_named(server: Server) -> None:
    """As the login role after SET ROLE: nobody's rows without a name, one's own with it, and no other table."""
    with server.new_database() as name:
        for user in ("alice", "bob"):
            server.execute(f"INSERT INTO task_lists VALUES ('{user}', 1, 1, 1)", database=name)
            server.execute(
                f"INSERT INTO tasks (user_id, id, title, revision) VALUES ('{user}', 1, 't', 1)", database=name
            )
        connection = psycopg2.connect(server.database_url(name, server.login))
        connection.autocommit = True
        with contextlib.closing(connection), connection.cursor() as cursor:

            def seen(statement: str) -> list[Any]:
                cursor.execute(statement)
                return [row[0] for row in cursor.fetchall()]

            assert seen("SELECT user_id FROM tasks") == []
            cursor.execute(f"SET ROLE {server.role()}")
            assert seen("SELECT user_id FROM tasks") == seen("SELECT user_id FROM task_lists") == []
            cursor.execute("SET app.user_id = 'alice'")
            assert seen("SELECT user_id FROM tasks") == seen("SELECT user_id FROM task_lists") == ["alice"]
            with pytest.raises(psycopg2.errors.InsufficientPrivilege):
                seen("SELECT * FROM alembic_version")


def test_the_raw_owner_is_confined_too(server: Server) -> None:
    """FORCE: the tables' owner, who is no superuser, sees no row at all."""
    with server.new_database() as name:
        server.execute("INSERT INTO task_lists VALUES ('alice', 1, 1, 1)", database=name)
        owner = f"owner_of_{name}"
        server.execute(f"CREATE ROLE {owner} LOGIN")
        server.execute(f"GRANT CONNECT ON DATABASE {name} TO {owner}")
        try:
            for table in ("tasks", "task_lists"):
                server.execute(f"ALTER TABLE {table} OWNER TO {owner}", database=name)
            connection = psycopg2.connect(server.database_url(name, owner))
            with contextlib.closing(connection), connection.cursor() as cursor:
                cursor.execute("SELECT count(*) FROM task_lists")
                assert cursor.fetchone() == (0,)
        finally:
            server.execute(f"REASSIGN OWNED BY {owner} TO postgres", database=name)
            server.execute(f"REVOKE CONNECT ON DATABASE {name} FROM {owner}")
            server.execute(f"DROP ROLE {owner}")


async def test_a_token_of_another_key_is_nobodys(app: FastAPI) -> None:
    """Wall 1: the name in a token that this service did not get from Better Auth counts for nothing."""
    async with client_for(app, "u1") as client:
        client.headers["Authorization"] = f"Bearer {token('u1', secret='x' * 40)}"
        answer = await client.get("/api/u1/tasks")

    assert answer.status_code == 401


ALL_TITLES = Statement(
    "titles", "SELECT title FROM public.tasks WHERE %(owner)s IS NOT NULL ORDER BY title", ("title",)
)


async def test_in_a_transaction_of_two_each_statement_sees_one_owners_rows(database_url: str) -> None:
    """Wall 4 without wall 3, while a claim has two owners: in any order, and never a third one's rows."""
    one, two, three = (new_user() for _ in range(3))
    async with database_for(database_url) as database:
        for user_id in (one, two, three):
            await repository(database, user_id).create(TaskCreate(title=user_id))
        async with OwnerSession(database, one).transaction_with(two) as (mine, theirs):
            stranger = OwnerSession(mine._database, three)  # noqa: SLF001 - the mistake that is tried
            seen = [
                [row["title"] for row in await session.run(ALL_TITLES)]
                for session in (theirs, mine, mine, theirs, stranger, mine)
            ]

    assert seen[:4] == [[two], [one], [one], [two]]
    assert three not in seen[4]
    assert seen[5] == [one]


async def test_after_a_transaction_of_two_is_one_owners_again(database_url: str) -> None:
    """Inside a larger one, as a write with an Idempotency-Key has it: the other's rows are out of reach again."""
    one, two = new_user(), new_user()
    async with database_for(database_url) as database:
        for user_id in (one, two):
            await repository(database, user_id).create(TaskCreate(title=user_id))
        async with OwnerSession(database, one).transaction() as session:
            async with session.transaction_with(two) as (_, theirs):
                inside = await theirs.run(ALL_TITLES)
            after = [row["title"] for row in await theirs.run(ALL_TITLES)]
            own = await session.run(ALL_TITLES)

    assert inside == [{"title": two}]
    assert two not in after
    assert own == [{"title": one}]


@pytest.mark.skipif(bool(cluster.URL), reason="the locks are on the node that has the rows, not on the coordinator")
@pytest.mark.parametrize("first", ["a", "b"])
async def test_two_lists_are_locked_in_the_order_of_their_users(server: Server, database_url: str, first: str) -> None:
    """Whoever claims whom: the transaction waits for the list of the first in that order and has no other lock then."""
    suffix = new_user()
    users = {name: f"{name}-{suffix}" for name in ("a", "b")}
    other = users["b" if first == "a" else "a"]
    async with database_for(database_url) as database, database_for(database_url) as elsewhere:
        for user_id in users.values():
            await repository(database, user_id).create(TaskCreate(title=user_id))
        async with OwnerSession(database, users["a"]).transaction() as held:
            await held.run(ALL_TITLES)  # begins it, which locks the list
            claim = asyncio.ensure_future(_titles_of_both(OwnerSession(elsewhere, users[first]), other))
            await _until_somebody_waits(server)
            free = await repository(database, users["b"]).create(TaskCreate(title="not locked yet"))
        titles = await claim

    assert free["id"] == 2
    assert len(titles) == 3


async def _titles_of_both(session: OwnerSession, other: str) -> list[Any]:
    async with session.transaction_with(other) as (mine, theirs):
        return [*await mine.run(ALL_TITLES), *await theirs.run(ALL_TITLES)]


async def _until_somebody_waits(server: Server) -> None:
    async with asyncio.timeout(5):
        while server.execute("SELECT count(*) FROM pg_locks WHERE NOT granted") == [(0,)]:  # noqa: ASYNC110 - the database tells nobody
            await asyncio.sleep(0.01)
