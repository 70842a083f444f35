"""The purge as cron runs it: a program of its own, on a database of its own, as somebody who owns nothing."""

import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from backend.app.config import PROJECT_ROOT
from backend.app.main import create_app
from scripts import purge as script
from tests.support.applications import Client, client_for, running, settings_for
from tests.support.completions import last_completion, undo_completion
from tests.support.lists import create_list, list_path, lists_of
from tests.support.postgres import Server
from tests.support.programs import environment
from tests.support.sync_client import Copy, ask
from tests.support.tasks import create, path


@pytest.fixture
def name(server: Server) -> Iterator[str]:
    with server.new_database() as name:
        yield name


@pytest.fixture
async def client(server: Server, name: str) -> AsyncIterator[Client]:
    app = create_app(settings_for(server.api_url(name)))
    async with running(app), client_for(app) as client:
        yield client


def purge(url: str, *options: str, **settings: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "scripts.purge", *options],
        cwd=PROJECT_ROOT, env=environment(DATABASE_URL=url, **settings),
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip


async def trash(client: Client) -> list[int]:
    return [task["id"] for task in (await client.get(path(client) + "?status=deleted")).json()]


async def delete_in_the_past(client: Client, server: Server, name: str, ages: dict[int, str]) -> None:
    for task_id, age in ages.items():
        assert (await client.delete(path(client, task_id))).status_code == 204
        server.execute(
            f"UPDATE deleted_tasks SET deleted_at = now() - interval '{age}' WHERE id = {task_id}", database=name
        )


async def test_what_was_deleted_long_ago_is_removed_for_good(client: Client, server: Server, name: str) -> None:
    """Its contents are gone and it cannot be restored; the rest of the trash, and all tasks, stay."""
    for n in range(4):
        await create(client, title=f"secret {n}", description="secret", tags=["secret"])
    for n in range(1, 4):
        repeating = {"due_date": "2026-12-24", "recurrence": "FREQ=DAILY", "completed": True}
        assert (await client.patch(path(client, n), json=repeating)).status_code == 200
    await delete_in_the_past(client, server, name, {1: "31 days", 2: "29 days"})

    done = purge(server.database_url(name), "--older-than", "30d")

    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "Purged 1 deleted tasks and 0 lists, forgot 0, removed 0 old idempotency keys.\n"
    assert await trash(client) == [2]
    assert (await client.post(path(client, 1, "/restore"))).status_code == 404
    assert (await client.post(path(client, 2, "/restore"))).status_code == 200
    [row] = server.execute("SELECT t::text FROM deleted_tasks t", database=name)
    assert "secret" not in row[0]
    completed = (await client.get(f"/api/{client.user_id}/completions")).json()
    assert [one["task_id"] for one in completed] == [3, 2]
    assert len((await client.get(path(client))).json()) == 3
    assert purge(server.database_url(name), "--older-than", "30d").stdout.startswith("Purged 0 ")


async def test_lists_are_purged_and_forgotten_like_tasks(client: Client, server: Server, name: str) -> None:
    """They cannot be restored then; who has not heard of them starts again."""
    for list_name in ("secret", "kept"):
        await create_list(client, list_name)
    behind = (await ask(client, 0)).json()["revision"]
    for list_id, days in ((1, 500), (2, 1)):
        await client.delete(list_path(client, list_id))
        server.execute(
            f"UPDATE deleted_lists SET deleted_at = now() - interval '{days} days' WHERE id = {list_id}", database=name
        )

    done = purge(server.database_url(name), "--older-than", "30d")
    trash = [found["id"] for found in await lists_of(client, "deleted")]
    told = (await ask(client, behind)).json()
    forgotten = purge(server.database_url(name), "--older-than", "30d", "--forget-older-than", "400d")

    assert done.stdout.startswith("Purged 0 deleted tasks and 1 lists")
    assert (trash, told["deleted_lists"]) == ([2], [1, 2])
    assert (await client.post(list_path(client, 1, "/restore"))).status_code == 404
    assert "forgot 1" in forgotten.stdout
    assert (await ask(client, behind)).status_code == 410


async def test_completions_that_were_taken_back_are_forgotten(client: Client, server: Server, name: str) -> None:
    """Who has not heard of them starts again; those of a purged task go with it."""
    for _ in range(2):
        await create(client, due_date="2026-12-24", recurrence="FREQ=DAILY")
    behind, undone = (await ask(client, 0)).json()["revision"], []
    for number in (1, 2, 2):
        await client.patch(path(client, number, "/complete"))
        undone.append(await last_completion(client))
        assert (await undo_completion(client, undone[-1]))[0] == 200
    server.execute(
        "UPDATE deleted_completions SET deleted_at = now() - interval '500 days' "
        "WHERE revision = (SELECT min(revision) FROM deleted_completions WHERE task_id = 2)",
        database=name,
    )
    await delete_in_the_past(client, server, name, {1: "31 days"})

    purged = purge(server.database_url(name), "--older-than", "30d")
    told = (await ask(client, behind)).json()
    forgotten = purge(server.database_url(name), "--older-than", "30d", "--forget-older-than", "400d")

    assert purged.stdout.startswith("Purged 1 deleted tasks")
    assert told["deleted_completions"] == undone[1:]
    assert "forgot 1" in forgotten.stdout
    assert (await ask(client, behind)).status_code == 410
    assert (await ask(client, told["revision"])).status_code == 200
    assert server.execute("SELECT task_id FROM deleted_completions", database=name) == [(2,)]


async def test_who_is_in_sync_hears_of_deletions_after_a_purge(client: Client, server: Server, name: str) -> None:
    """The tombstone of what is gone stays until it is forgotten; then who has not heard of it starts again."""
    for _ in range(5):
        await create(client)
    copies = [Copy(client) for _ in range(2)]
    for copy in copies:
        await copy.follow()
    behind = copies[1].since
    await delete_in_the_past(client, server, name, {1: "500 days", 2: "500 days", 3: "40 days"})

    purge(server.database_url(name), "--older-than", "30d")
    await copies[0].follow(limit=2)
    known = copies[0].since
    forgotten = purge(server.database_url(name), "--older-than", "30d", "--forget-older-than", "400d")

    assert await copies[0].is_whole()
    assert "forgot 2" in forgotten.stdout
    assert (await ask(client, behind)).status_code == 410
    told = (await ask(client, known)).json()
    assert (told["tasks"], told["deleted"], told["revision"]) == ([], [], known)
    await copies[1].follow(limit=1)
    assert await copies[1].is_whole()
    fresh = Copy(client)
    await fresh.follow(limit=1)
    assert await fresh.is_whole()


async def test_batches_and_two_at_once(client: Client, server: Server, name: str) -> None:
    """More than a batch, by two programs at the same time: each row once, nobody waits for ever."""
    await create(client)
    server.execute(
        f"INSERT INTO deleted_tasks (user_id, id, title, revision, deleted_at) "
        f"SELECT '{client.user_id}', n, 't', n, now() - interval '1 year' FROM generate_series(100, 1700) n; "
        f"INSERT INTO idempotency_keys SELECT '{client.user_id}', n::text, '', now() - interval '2 days' "
        f"FROM generate_series(1, 600) n",
        database=name,
    )
    url = server.database_url(name)
    options = ("--older-than", "1d", "--forget-older-than", "2d")

    with ThreadPoolExecutor(2) as threads:
        done = list(threads.map(lambda _: purge(url, *options), range(2)))
    last = purge(url, *options)

    assert [program.returncode for program in done] == [0, 0], [program.stderr for program in done]
    purged = [int(program.stdout.split()[1]) for program in (*done, last)]
    assert sum(purged) == 1601
    assert server.execute("SELECT count(*) FROM deleted_tasks", database=name) == [(0,)]
    assert server.execute("SELECT count(*) FROM idempotency_keys", database=name) == [(0,)]
    assert script.BATCH < 1601


@pytest.mark.parametrize("user", ["purger", "tasks_login"])
async def test_who_may_purge(client: Client, server: Server, name: str, user: str) -> None:
    """Whoever is in the role, though row-level security confines the tables' owner too; the API's login is not."""
    await create(client)
    await delete_in_the_past(client, server, name, {1: "31 days"})

    with server.member(f"purger_of_{name}", server.role("purge"), name) as purger:
        done = purge(server.database_url(name, purger if user == "purger" else user), "--older-than", "30d")

    if user == "purger":
        assert (done.returncode, await trash(client)) == (0, [])
    else:
        assert done.returncode == 1
        assert done.stderr.startswith("Nothing more is purged: permission denied to set role")
        assert await trash(client) == [1]


@pytest.fixture
def purger(server: Server, name: str) -> Iterator[str]:
    """The role itself, which logs in on a cluster."""
    role = server.role("purge")
    server.execute(f"ALTER ROLE {role} LOGIN")
    server.execute(f"GRANT CONNECT ON DATABASE {name} TO {role}")
    yield role
    server.execute(f"ALTER ROLE {role} NOLOGIN")


async def test_on_a_cluster_it_works_user_by_user(server: Server, name: str, purger: str) -> None:
    """As its own login, on the direct way: all users' trash, tombstones and keys, and of each only what is old."""
    for user in ("alice", "bob", "carol"):
        server.execute(
            f"INSERT INTO task_lists VALUES ('{user}', 2000, 0, 9000, 0); "
            f"INSERT INTO deleted_tasks (user_id, id, title, revision, deleted_at) "
            f"SELECT '{user}', n, 't', n, now() - n * interval '1 day' FROM generate_series(1, 700) n; "
            f"INSERT INTO idempotency_keys VALUES ('{user}', 'old', '', now() - interval '2 days'), "
            f"('{user}', 'new', '', now())",
            database=name,
        )
    ways = {"DATABASE_DIRECT_URL": server.database_url(name, purger), "DATABASE_CLUSTER": "citus"}
    options = ("--older-than", "30d", "--forget-older-than", "400d")

    done = purge("postgresql://nobody@127.0.0.1:1/none", *options, **ways)

    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "Purged 2013 deleted tasks and 0 lists, forgot 903, removed 3 old idempotency keys.\n"
    assert server.execute("SELECT count(*) FROM deleted_tasks WHERE NOT purged", database=name) == [(3 * 29,)]
    assert server.execute("SELECT user_id, horizon FROM task_lists ORDER BY 1", database=name) == [
        (user, 700) for user in ("alice", "bob", "carol")
    ]


async def test_on_a_cluster_another_login_is_refused(server: Server, name: str) -> None:
    """It would see nobody's rows, and say that there was nothing to do."""
    done = purge(server.database_url(name, "tasks_login"), "--older-than", "30d", DATABASE_CLUSTER="citus")

    assert done.returncode == 1
    assert done.stderr.startswith(f"Nothing more is purged: on a cluster it logs in as {server.role('purge')} itself")


def test_the_purging_role_reaches_no_task(server: Server, name: str) -> None:
    """Nor any contents of keys."""
    for statement in (
        "SELECT * FROM tasks", "DELETE FROM tasks", "SELECT body FROM idempotency_keys",
        "INSERT INTO deleted_tasks VALUES ('a')",
        "SELECT title FROM completions", "UPDATE completions SET title = ''", "INSERT INTO completions VALUES ('a')",
        "UPDATE deleted_completions SET revision = 0", "INSERT INTO deleted_completions VALUES ('a')",
        "SELECT revision FROM task_lists", "UPDATE task_lists SET revision = 0", "DELETE FROM task_lists",
    ):  # fmt: skip
        with pytest.raises(Exception, match="permission denied"):
            server.execute(f"SET ROLE {server.role('purge')}; {statement}", database=name)


@pytest.mark.parametrize(
    "options",
    [(), ("--older-than", "30"), ("--older-than", "-1d"), ("--older-than", "1w"), ("--older-than", ""),
     ("--older-than", "1d", "--forget-older-than", "23h")],
)  # fmt: skip
def test_nonsense_is_refused(options: tuple[str, ...]) -> None:
    """Before anything is connected to."""
    done = purge("postgresql://nobody@127.0.0.1:1/none", *options)

    assert done.returncode == 2
    assert "Traceback" not in done.stderr


def test_a_database_that_is_away_is_told() -> None:
    done = purge("postgresql://nobody@127.0.0.1:1/none", "--older-than", "30d")

    assert done.returncode == 1
    assert done.stderr.startswith("Nothing more is purged: ")
    assert "Traceback" not in done.stderr
