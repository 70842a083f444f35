"""Reminders on their way to the operator's receiver, by the program as it is run, on a database of its own."""

import base64
import contextlib
import hashlib
import hmac
import json
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from backend.app.config import PROJECT_ROOT
from backend.app.main import create_app
from tests.support import leaks, receivers
from tests.support.applications import Client, client_for, running, settings_for
from tests.support.postgres import Server
from tests.support.programs import environment, free_port, until
from tests.support.receivers import Receiver, receiver
from tests.support.scraping import named, scraped
from tests.support.tasks import create, path

KEY = b"a key of thirty-two bytes, or so"
SECRET = leaks.secret(f"whsec_{base64.b64encode(KEY).decode()}")
AT = "2099-12-24T17:00:00Z"
TRIES = 5


@pytest.fixture(scope="module")
def database(server: Server) -> Iterator[str]:
    with server.new_database() as name:
        yield name


@pytest.fixture
def name(server: Server, database: str) -> str:
    """The database, where nobody waits for anything."""
    server.execute("DELETE FROM reminders", database=database)
    return database


@pytest.fixture
async def client(server: Server, name: str) -> AsyncIterator[Client]:
    app = create_app(settings_for(server.api_url(name)))
    async with running(app), client_for(app) as client:
        yield client


@pytest.fixture
def told() -> Iterator[Receiver]:
    with receiver() as told:
        yield told


def settings(url: str, told: Receiver | str, **changes: str) -> dict[str, str]:
    return environment(
        DATABASE_URL=url,
        REMINDER_URL=told if isinstance(told, str) else told.url,
        REMINDER_SECRET=SECRET,
        **changes,
    )


def deliver(url: str, told: Receiver | str, **changes: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "scripts.deliver", "--once"], cwd=PROJECT_ROOT, env=settings(url, told, **changes),
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip


@contextlib.contextmanager
def delivering(url: str, told: Receiver, **changes: str) -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(
        [sys.executable, "-m", "scripts.deliver"], cwd=PROJECT_ROOT, env=settings(url, told, **changes), text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    ) as program:  # fmt: skip
        try:
            yield program
        finally:
            program.kill()


def outcomes(done: subprocess.CompletedProcess[str]) -> list[str]:
    assert (done.returncode, done.stderr) == (0, "")
    return [json.loads(line)["outcome"] for line in done.stdout.splitlines()]


def make_due(server: Server, name: str, ago: str = "1 minute") -> None:
    """What is waited for comes now, or is tried again now."""
    server.execute(
        f"UPDATE reminders SET try_at = now(), remind_at = CASE WHEN remind_at > now() "
        f"THEN now() - interval '{ago}' ELSE remind_at END",
        database=name,
    )


def waiting(server: Server, name: str) -> int:
    [(count,)] = server.execute("SELECT count(*) FROM reminders", database=name)
    return int(count)


async def remind(client: Client, server: Server, name: str, **members: Any) -> dict[str, Any]:
    task = await create(client, reminders=[AT], **members)
    make_due(server, name)
    return task


async def test_a_reminder_is_sent_and_signed(client: Client, server: Server, name: str, told: Receiver) -> None:
    """As Standard Webhooks says, with what the mail needs; once it is taken, nobody waits for it any more."""
    await remind(client, server, name, title="Call Ümit", due_date="2099-12-24T18:00:00+01:00", time_zone="Europe/Rome")

    done = deliver(server.database_url(name), told)
    again = deliver(server.database_url(name), told)

    [one] = told.received
    body, moment = json.loads(one.body), one.data["remind_at"]
    stamp = one.headers["webhook-timestamp"]
    signed = b".".join((one.headers["webhook-id"].encode(), stamp.encode(), one.body))
    expected = base64.b64encode(hmac.new(KEY, signed, hashlib.sha256).digest()).decode()
    assert outcomes(done) == ["delivered"]
    assert outcomes(again) == []
    assert one.line == "POST /api/reminders HTTP/1.1"
    assert one.headers["webhook-signature"] == f"v1,{expected}"
    assert one.headers["content-type"] == "application/json"
    assert abs(time.time() - int(stamp)) < 60
    microseconds = (datetime.fromisoformat(moment) - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)
    assert one.headers["webhook-id"] == f"{client.user_id}:1:{microseconds}"
    assert body == {
        "type": "task.reminder",
        "timestamp": moment,
        "data": {
            "user_id": client.user_id, "task_id": 1, "title": "Call Ümit", "remind_at": moment,
            "due_date": "2099-12-24T18:00:00+01:00", "time_zone": "Europe/Rome",
        },
    }  # fmt: skip
    assert "Ümit" not in done.stdout
    assert waiting(server, name) == 0


async def test_no_id_has_a_full_stop(server: Server, name: str, told: Receiver) -> None:
    """Which separates it from the time and the body in what is signed, whatever the user is called."""
    async with running(app := create_app(settings_for(server.api_url(name)))), client_for(app, "a.b:c") as client:
        await remind(client, server, name)
        deliver(server.database_url(name), told)

    [one] = told.received
    assert "." not in one.headers["webhook-id"]
    assert one.headers["webhook-id"].startswith("a%2Eb%3Ac:1:")


REFUSALS = {
    "silent": receivers.silent,
    "dripping": receivers.dripping,
    "not HTTP": receivers.lying,
    "closing": receivers.closing,
    "500": receivers.answering("500 Oops"),
    "410": receivers.answering("410 Gone"),
    "429": receivers.answering("429 Slow Down"),
    "304": receivers.answering("304 Not Modified"),
    "redirecting": receivers.answering("302 Found", "Location: http://127.0.0.1:1/elsewhere"),
}


async def test_what_is_not_taken_is_tried_again(client: Client, server: Server, name: str, told: Receiver) -> None:
    """A receiver that is slow, broken or lies gets it again, with the same id, until it says that it has it."""
    for behaviour in REFUSALS.values():
        task = await remind(client, server, name)
        told.by_task[task["id"]] = behaviour

    began = time.monotonic()
    first = outcomes(deliver(server.database_url(name), told, REMINDER_TIMEOUT="1"))
    took = time.monotonic() - began
    left, told.by_task = waiting(server, name), {}
    make_due(server, name)
    second = outcomes(deliver(server.database_url(name), told))

    count = len(REFUSALS)
    assert took < 20
    assert (first, second) == (["failed"] * count, ["delivered"] * count)
    assert (left, waiting(server, name)) == (count, 0)
    assert sorted(told.ids()) == sorted(2 * list(set(told.ids())))
    assert len(told.received) == 2 * count


async def test_a_receiver_that_is_down_is_asked_five_times(
    client: Client, server: Server, name: str, told: Receiver
) -> None:
    """Each time later; then it is given up, which is counted and logged."""
    await remind(client, server, name)
    nobody = f"http://127.0.0.1:{free_port()}/api/reminders"
    found, delays = [], []
    for _ in range(TRIES):
        found += outcomes(deliver(server.database_url(name), nobody))
        delays += server.execute("SELECT round(extract(epoch FROM try_at - now())) FROM reminders", database=name)
        make_due(server, name)

    assert found == ["failed"] * TRIES + ["given_up"]
    assert all(abs(float(delay) - wait) < 15 for (delay,), wait in zip(delays, (30, 120, 480, 1920), strict=True))
    assert waiting(server, name) == 0
    assert outcomes(deliver(server.database_url(name), told)) == []


async def test_who_was_killed_in_a_try_is_followed_by_another(
    client: Client, server: Server, name: str, told: Receiver
) -> None:
    """A claim ends by itself; but a program that dies each time does not try for ever."""
    await remind(client, server, name)
    server.execute("UPDATE reminders SET tries = 4", database=name)
    assert outcomes(deliver(server.database_url(name), told)) == ["delivered"]

    await remind(client, server, name)
    server.execute("UPDATE reminders SET tries = 5", database=name)
    assert outcomes(deliver(server.database_url(name), told)) == ["given_up"]


@pytest.mark.parametrize("end", ["complete", "delete", "delete its parent", "import it done"])
async def test_a_task_that_is_done_is_not_reminded_of(
    client: Client, server: Server, name: str, told: Receiver, end: str
) -> None:
    """However it came to be done, and also between two tries."""
    await create(client)
    await remind(client, server, name, parent_id=1)
    told.behaviour = receivers.answering("500 Oops")
    first = outcomes(deliver(server.database_url(name), told))
    if end == "complete":
        await client.patch(path(client, 2, "/complete"))
    elif end == "import it done":
        file = (await client.get(f"/api/{client.user_id}/export")).json()
        file["tasks"][1]["completed"] = True
        assert (await client.post(f"/api/{client.user_id}/import", json=file)).json()["changed"] == 1
    else:
        await client.delete(path(client, 2 if end == "delete" else 1))
    make_due(server, name)

    second = outcomes(deliver(server.database_url(name), told))

    assert first == ["failed"]
    # What is deleted is not waited for at all.
    assert second == ([] if end.startswith("delete") else ["cancelled"])
    assert len(told.received) == 1
    assert waiting(server, name) == 0


async def test_a_task_that_is_open_again_reminds(client: Client, server: Server, name: str, told: Receiver) -> None:
    """Where its moment is still to come."""
    await create(client, reminders=[AT])
    for _ in range(2):
        await client.patch(path(client, 1, "/complete"))
    make_due(server, name)

    assert outcomes(deliver(server.database_url(name), told)) == ["delivered"]


async def test_what_is_very_late_is_not_sent(client: Client, server: Server, name: str, told: Receiver) -> None:
    """Nobody ran the program for more than REMINDER_MAX_AGE: a flood of old mails would help nobody."""
    await create(client, reminders=[AT])
    make_due(server, name, "25 hours")
    await create(client, reminders=[AT])
    make_due(server, name, "23 hours")

    assert sorted(outcomes(deliver(server.database_url(name), told))) == ["delivered", "expired"]
    assert [one.data["task_id"] for one in told.received] == [2]


async def test_several_programs_share_the_work(client: Client, server: Server, name: str, told: Receiver) -> None:
    """Each reminder is sent, and by one of them."""
    for _ in range(40):
        await create(client, reminders=[AT, "2099-12-24T17:00:01Z"])
    server.execute("UPDATE reminders SET remind_at = remind_at - interval '80 years', try_at = now()", database=name)
    late = {"REMINDER_MAX_AGE": "3e9"}

    with ThreadPoolExecutor(3) as threads:
        done = list(threads.map(lambda _: deliver(server.database_url(name), told, **late), range(3)))

    assert [outcome for one in done for outcome in outcomes(one)] == ["delivered"] * 80
    assert len(told.received) == len(set(told.ids())) == 80
    assert waiting(server, name) == 0


async def test_nobody_with_many_reminders_holds_up_the_others(server: Server, name: str, told: Receiver) -> None:
    """Users are served in turn."""
    rows = "SELECT '{0}', n, now() - interval '{1}' - n * interval '1 ms', now() FROM generate_series(1, {2}) n"
    for user, ago, count in (("greedy", "1 hour", 300), ("modest", "1 minute", 1)):
        server.execute(
            f"INSERT INTO task_lists VALUES ('{user}', 300, 300, 300, 0); "
            f"INSERT INTO tasks (user_id, id, title, revision) "
            f"SELECT '{user}', n, 't', n FROM generate_series(1, {count}) n; "
            f"INSERT INTO reminders (user_id, task_id, remind_at, try_at) {rows.format(user, ago, count)}",
            database=name,
        )

    deliver(server.database_url(name), told)

    order = [one.data["user_id"] for one in told.received]
    assert len(order) == 301
    assert order.index("modest") < 20


async def test_it_goes_on_until_it_is_ended(client: Client, server: Server, name: str, told: Receiver) -> None:
    """What comes due is sent while it runs, and counted; a database that goes away is waited for."""
    port = free_port()
    changes = {"REMINDER_INTERVAL": "0.1", "REMINDER_METRICS_PORT": str(port)}
    with delivering(server.database_url(name), told, **changes) as program:
        await remind(client, server, name)
        until(lambda: len(told.received) == 1)
        await create(client, reminders=[AT])
        server.end_sessions(name)
        make_due(server, name)
        until(lambda: named(scraped(port), "tasks_reminders_total")[("delivered",)] == 2)
        counted = named(scraped(port), "tasks_reminders_total")
        program.send_signal(signal.SIGTERM)
        printed, errors = program.communicate(timeout=30)

    assert (program.returncode, errors) == (0, "")
    assert len(told.received) == 2
    assert counted == {("delivered",): 2, ("failed",): 0, ("given_up",): 0, ("cancelled",): 0, ("expired",): 0}
    assert printed.count('"outcome":"delivered"') == 2
    assert '"event":"reminders: no database"' in printed


@pytest.mark.parametrize("user", ["deliverer", "tasks_login"])
async def test_who_may_deliver(client: Client, server: Server, name: str, told: Receiver, user: str) -> None:
    """Whoever is in the role, though row-level security confines the tables' owner too; the API's login is not."""
    await remind(client, server, name)

    with server.member(f"deliverer_beside_{user}", server.role("deliver"), name) as deliverer:
        done = deliver(server.database_url(name, deliverer if user == "deliverer" else user), told)

    if user == "deliverer":
        assert outcomes(done) == ["delivered"]
    else:
        assert done.returncode == 1
        assert done.stderr.startswith("No reminders are delivered: permission denied to set role")
        assert told.received == []


async def test_on_a_cluster_it_logs_in_as_the_role_itself(
    client: Client, server: Server, name: str, told: Receiver
) -> None:
    """Over the direct way; any other login would see no row, and is refused."""
    role = server.role("deliver")
    server.execute(f"ALTER ROLE {role} LOGIN")
    server.execute(f"GRANT CONNECT ON DATABASE {name} TO {role}")
    try:
        await remind(client, server, name)
        way = {"DATABASE_CLUSTER": "citus"}
        refused = deliver(server.database_url(name, "tasks_login"), told, **way)
        done = deliver(
            "postgresql://nobody@127.0.0.1:1/none", told, DATABASE_DIRECT_URL=server.database_url(name, role), **way
        )
    finally:
        server.execute(f"ALTER ROLE {role} NOLOGIN")

    assert refused.returncode == 1
    assert f"on a cluster it logs in as {role} itself" in refused.stderr
    assert outcomes(done) == ["delivered"]


@pytest.mark.parametrize(
    "statement",
    [
        *("SELECT description FROM tasks", "SELECT * FROM tasks", "SELECT tags FROM tasks", "DELETE FROM tasks"),
        *("UPDATE tasks SET completed = true", "INSERT INTO reminders VALUES ('a', 1, now(), now())"),
        *("UPDATE reminders SET user_id = 'b'", "UPDATE reminders SET remind_at = now()"),
        *("SELECT * FROM deleted_tasks", "SELECT * FROM task_lists", "SELECT * FROM idempotency_keys"),
    ],
)  # fmt: skip
def test_the_delivering_role_reaches_what_it_tells(server: Server, name: str, statement: str) -> None:
    """And nothing else, of anybody."""
    with pytest.raises(Exception, match="permission denied"):
        server.execute(f"SET ROLE {server.role('deliver')}; {statement}", database=name)


def test_a_database_that_is_away_or_not_migrated_is_told(server: Server, told: Receiver) -> None:
    """In a sentence, and with 1."""
    away = deliver("postgresql://nobody@127.0.0.1:1/none", told)
    with server.new_database(migrated=False) as empty:
        early = deliver(server.database_url(empty), told)

    assert (away.returncode, early.returncode) == (1, 1)
    assert "Traceback" not in away.stderr + early.stderr
    assert early.stderr.startswith("No reminders are delivered: the database is not migrated to this version yet")


def test_a_port_that_is_taken_is_told(server: Server, name: str, told: Receiver) -> None:
    """Before anything is delivered."""
    done = deliver(server.database_url(name), told, REMINDER_METRICS_PORT=str(told.port))

    assert done.returncode == 1
    assert done.stderr.startswith(f"No reminders are delivered: REMINDER_METRICS_PORT {told.port} on METRICS_HOST")
