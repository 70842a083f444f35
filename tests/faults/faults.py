"""The faults. Each goes on for a while beside the traffic and undoes itself; it returns how often it has struck."""

import asyncio
import contextlib
import os
import random
import signal
import subprocess
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg2

from tests.faults.stage import Api, Bouncer, Postgres
from tests.support.key_server import KeyServer, SigningKey, http
from tests.support.programs import SECRET
from tests.support.tokens import token
from tests.support.wire import Wire

Ways = tuple[str, ...]
DIRECT, POOLED = "direct", "PgBouncer"
BOTH: Ways = (DIRECT, POOLED)


def remembered(sign: Callable[[str], str]) -> Callable[[str], str]:
    """A token per user, as a frontend keeps it."""
    known: dict[str, str] = {}
    return lambda user_id: known.get(user_id) or known.setdefault(user_id, sign(user_id))


def _signed(user_id: str) -> str:
    return token(user_id, secret=SECRET, exp=int(time.time()) + 24 * 3600)


@dataclass
class Stage:
    """What a fault can lay hands on."""

    server: Postgres
    database: str
    api: Api
    users: tuple[str, ...]
    folder: Path
    wire: Wire | None = None
    bouncer: Bouncer | None = None
    keys: KeyServer | None = None
    after: contextlib.ExitStack = field(default_factory=contextlib.ExitStack)
    """What a fault leaves to be undone when everything has been looked at."""
    sign: Callable[[str], str] = field(default_factory=lambda: remembered(_signed))
    """How tokens are signed at the moment; some faults change it."""

    def execute(self, statement: str) -> list[tuple[Any, ...]]:
        return self.server.execute(statement, database=self.database)

    async def run(self, statement: str) -> list[tuple[Any, ...]]:
        """Beside the event loop, on which the writers are."""
        return await asyncio.to_thread(self.execute, statement)


Strike = Callable[[Stage], Awaitable[int]]


@dataclass(frozen=True)
class Fault:
    name: str
    strike: Strike
    ways: Ways = BOTH
    short: bool = False
    """In the short subset that every run of the tests has."""
    wired: bool = False
    ends_api: bool = False
    """Requests may stay without an answer, for who would answer them is gone."""
    felt: bool = True
    """Whether requests must have been answered 503 or late, or the fault has not struck."""
    settings: dict[str, str] = field(default_factory=dict)
    needs: Callable[[], str | None] = lambda: None
    """What is missing here, as a sentence."""


async def nothing(stage: Stage) -> int:
    await asyncio.sleep(3)
    return 1


async def restart(stage: Stage) -> int:
    before = stage.server.pid
    await asyncio.to_thread(stage.server.restart)
    return int(stage.server.pid != before)


async def terminate(stage: Stage) -> int:
    """All backends of the API, every 200 ms for 3 s."""
    ended = 0
    for _ in range(15):
        ended += len(await stage.run(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {_OURS}"))
        await asyncio.sleep(0.2)
    return ended


_OURS = "datname = current_database() AND usename = 'tasks_login'"


def _seldom(share: float, what: bytes) -> Callable[[bytes], bool]:
    chance = random.Random(what)  # noqa: S311 - no secret
    return lambda query: query.startswith(what) and chance.random() < share


async def commit_answers_lost(stage: Stage) -> int:
    """Every third one for 3 s, and with it the connection; each twentieth answer of the other queries too."""
    assert stage.wire is not None
    commit, other = _seldom(0.33, b"COMMIT"), _seldom(0.05, b"")
    stage.wire.loses_answer_to = lambda query: commit(query) or other(query)
    await asyncio.sleep(3)
    stage.wire.loses_answer_to = lambda _: False
    return stage.wire.cuts


async def cut_before_commit(stage: Stage) -> int:
    """Every third COMMIT for 4 s: it never comes to the server."""
    assert stage.wire is not None
    stage.wire.cuts_before = _seldom(0.33, b"COMMIT")
    await asyncio.sleep(4)
    stage.wire.cuts_before = lambda _: False
    return stage.wire.cuts


async def pause(stage: Stage) -> int:
    """PgBouncer lets nothing through for 5 s, as Neon while it wakes up. What waits is answered afterwards."""
    assert stage.bouncer is not None
    await asyncio.to_thread(stage.bouncer.command, "PAUSE")
    begun = await stage.run("SELECT sum(xact_commit) FROM pg_stat_database WHERE datname = current_database()")
    await asyncio.sleep(5)
    await asyncio.to_thread(stage.bouncer.command, "RESUME")
    return len(begun)


@contextlib.contextmanager
def _stopped(pids: list[int]) -> Iterator[None]:
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)


async def stop_one(stage: Stage) -> int:
    """One backend does nothing for 10 s, perhaps with a user's lock in its hands."""
    [pid, *_] = await asyncio.to_thread(stage.server.backends, stage.database)
    with _stopped([pid]):
        await asyncio.sleep(10)
    return 1


async def stop_all(stage: Stage) -> int:
    """All of them."""
    pids = await asyncio.to_thread(stage.server.backends, stage.database)
    with _stopped(pids):
        await asyncio.sleep(10)
    return len(pids)


async def slow_query(stage: Stage) -> int:
    """The only connection waits 7 s for a user's list, longer than a statement may and others wait for their turn."""
    connection = psycopg2.connect(stage.server.database_url(stage.database))
    with contextlib.closing(connection), connection.cursor() as cursor:
        cursor.execute("SELECT FROM task_lists WHERE user_id = %s FOR UPDATE", (stage.users[0],))
        await asyncio.sleep(7)
    return 1


async def storm(stage: Stage) -> int:
    """Six sessions lock what the API locks, in another order, and a table besides, for 5 s; both sides are victims."""
    stop, victims = threading.Event(), [0]
    await stage.run(f"ALTER DATABASE {stage.database} SET deadlock_timeout = '50ms'")
    sessions = [asyncio.to_thread(_disorder, stage, number, stop, victims) for number in range(6)]
    asyncio.get_running_loop().call_later(5, stop.set)
    await asyncio.gather(*sessions)
    [[deadlocks]] = await stage.run("SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()")
    return int(deadlocks - victims[0])


def _disorder(stage: Stage, number: int, stop: threading.Event, victims: list[int]) -> None:
    chance = random.Random(number)  # noqa: S311 - no secret
    connection = psycopg2.connect(stage.server.database_url(stage.database))
    with contextlib.closing(connection), connection.cursor() as cursor:
        # Who is patient leaves it to the API to find out that they wait for each other.
        cursor.execute("SET deadlock_timeout = %s", ("20ms" if number % 2 else "10s",))
        cursor.execute("SET lock_timeout = '2s'")
        connection.commit()
        while not stop.is_set():
            user = (chance.choice(stage.users),)
            try:
                if number == 0:
                    cursor.execute("LOCK TABLE tasks IN ACCESS EXCLUSIVE MODE")
                    time.sleep(0.05)
                else:
                    cursor.execute("SELECT FROM tasks WHERE user_id = %s FOR UPDATE", user)
                    time.sleep(0.02)
                    cursor.execute("SELECT FROM task_lists WHERE user_id = %s FOR UPDATE", user)
            except psycopg2.errors.DeadlockDetected:
                victims[0] += 1
            except psycopg2.errors.LockNotAvailable:
                pass
            connection.rollback()
            time.sleep(0.05)


async def read_only(stage: Stage) -> int:
    """Every transaction is read-only for 3 s, as on a server that has become a standby."""
    await stage.run("ALTER SYSTEM SET default_transaction_read_only = on")
    await stage.run("SELECT pg_reload_conf()")
    await asyncio.sleep(3)
    await stage.run("ALTER SYSTEM RESET default_transaction_read_only")
    await stage.run("SELECT pg_reload_conf()")
    return 1


def cannot_mount() -> str | None:
    if os.geteuid() != 0:
        return "a full disk needs a small tmpfs, which only root may mount"
    probe = subprocess.run(
        ["unshare", "--mount", "mount", "-t", "tmpfs", "none", "/mnt"], check=False, capture_output=True
    )
    return None if probe.returncode == 0 else "a full disk needs a small tmpfs, and mounting is not permitted here"


async def disk_full(stage: Stage) -> int:
    """The tables are on a disk of 24 MB, which somebody fills for 3 s."""
    disk = stage.server.folder.parent / f"disk-of-{stage.database}"
    disk.mkdir()
    mount = f"mount -t tmpfs -o size=24m,uid={stage.server.owner},mode=700 none {disk}"
    await asyncio.to_thread(subprocess.run, mount.split(), check=True)
    stage.after.callback(subprocess.run, ["umount", str(disk)], check=True)
    space = f"small_{stage.database}"
    await stage.run(f"CREATE TABLESPACE {space} LOCATION '{disk}'")
    stage.after.callback(stage.execute, f"DROP TABLESPACE {space}")
    for kind, name in await stage.run(_RELATIONS):
        await stage.run(f"ALTER {kind} {name} SET TABLESPACE {space}")
        stage.after.callback(stage.execute, f"ALTER {kind} {name} SET TABLESPACE pg_default")
    await stage.run(f"CREATE TABLE filler (page text STORAGE PLAIN) TABLESPACE {space}")
    for page in (7000, 100):  # roughly, and to the last page
        with contextlib.suppress(psycopg2.Error):
            while True:
                await stage.run(f"INSERT INTO filler SELECT repeat('x', {page}) FROM generate_series(1, 100)")
    await asyncio.sleep(3)
    await stage.run("DROP TABLE filler")
    return 1


_RELATIONS = """
    SELECT CASE relkind WHEN 'r' THEN 'TABLE' ELSE 'INDEX' END, oid::regclass FROM pg_class
    WHERE relkind IN ('r', 'i') AND relnamespace = 'public'::regnamespace
"""


def _restarting(how: signal.Signals) -> Strike:
    async def end(stage: Stage) -> int:
        """The API ends in the middle of its work; whoever supervises it starts it again."""
        before = stage.api.process.pid
        await stage.api.end(how)
        await stage.api.start()
        return int(stage.api.process.pid != before)

    return end


OLD, NEW = SECRET, "another-secret-of-the-tests-that-is-long-enough"
CLOCKS_DIFFER_SECONDS = 120


async def rotate(stage: Stage) -> int:
    """The signer's clock is two minutes ahead for half of the users and behind for the others; and the secret changes.

    It is the clock in the tokens that is moved, not the machine's. Better Auth's own steps: a backend that knows both
    secrets takes over, then tokens are signed with the new one, then a backend that knows it alone takes over.
    """
    secret = OLD

    def sign(user_id: str) -> str:
        behind = stage.users.index(user_id) % 2 if user_id in stage.users else 0
        moment = int(time.time()) + (-CLOCKS_DIFFER_SECONDS if behind else CLOCKS_DIFFER_SECONDS)
        return token(user_id, secret=secret, iat=moment, exp=moment + 900)

    stage.sign = sign
    await asyncio.sleep(1)
    await stage.api.replace(BETTER_AUTH_SECRETS=f"2:{NEW},1:{OLD}")
    await asyncio.sleep(1)
    secret = NEW
    await asyncio.sleep(1)
    await stage.api.replace(BETTER_AUTH_SECRETS=f"2:{NEW}")
    await asyncio.sleep(1)
    return 1


async def _hang(writer: asyncio.StreamWriter) -> None:
    await writer.wait_closed()


async def _lie(writer: asyncio.StreamWriter) -> None:
    writer.write(http(b"<html>soon back</html>"))


async def _fail(writer: asyncio.StreamWriter) -> None:
    writer.write(http(b"", "500 Internal Server Error"))


async def keys_away(stage: Stage) -> int:
    """Better Auth hangs, lies, fails and is gone, 3 s each, while it signs for half of the users with a new key.

    Who has a token of the old key notices nothing; the others are answered 503 until it is back.
    """
    assert stage.keys is not None
    keys, url = stage.keys, stage.keys.url
    old, new = SigningKey(), SigningKey()
    keys.publish(old)
    await stage.api.replace(ENVIRONMENT="development", BETTER_AUTH_URL=url, BETTER_AUTH_SECRET=SECRET)
    stage.sign = remembered(lambda user_id: old.token(user_id, url))
    await asyncio.sleep(1)
    keys.answer = _hang
    half = stage.users[::2]
    stage.sign = remembered(lambda user_id: (new if user_id in half else old).token(user_id, url))
    for answer in (_hang, _lie, _fail):
        keys.answer = answer
        await asyncio.sleep(3)
    await keys.stop()
    await asyncio.sleep(3)
    keys.answer = None
    keys.publish(new, old)
    await keys.start()
    return keys.asked


FAULTS = (
    Fault("nothing, to compare with", nothing, felt=False),
    Fault("PostgreSQL crashes and starts again", restart, short=True),
    Fault("all backends terminated every 200 ms", terminate, short=True),
    Fault("answers of COMMIT lost", commit_answers_lost, wired=True, short=True),
    Fault("cut before COMMIT", cut_before_commit, wired=True, felt=False),
    Fault("PgBouncer paused for 5 s", pause, (POOLED,)),
    Fault("one backend stopped for 10 s", stop_one, (DIRECT,)),
    Fault("all backends stopped for 10 s", stop_all),
    Fault("a slow query on a pool of one", slow_query, (DIRECT,), settings={"DATABASE_POOL_SIZE": "1"}),
    Fault("locks and deadlocks", storm, felt=False),
    Fault("a read-only server", read_only),
    Fault("disk full", disk_full, needs=cannot_mount),
    Fault("the API gets SIGTERM", _restarting(signal.SIGTERM), ends_api=True, felt=False),
    Fault("the API gets SIGKILL", _restarting(signal.SIGKILL), ends_api=True, felt=False, short=True),
    Fault(
        "clocks 120 s apart, the secret rotates",
        rotate,
        (DIRECT,),
        felt=False,
        settings={"JWT_LEEWAY": str(CLOCKS_DIFFER_SECONDS + 30)},
    ),
    Fault("the key server hangs, lies, comes back", keys_away, (DIRECT,)),
)
