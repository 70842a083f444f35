"""What is tried on the cluster: the test suite, a node that is lost, one that is silent, and shards that move."""

import asyncio
import contextlib
import os
import secrets
import subprocess
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from typing import Final

import httpx
from alembic import command

from backend.app.config import PROJECT_ROOT
from backend.app.db import embedded
from scripts.bench.processes import Server
from scripts.citus.load import NO_ANSWER, Load, User, users
from scripts.citus.nodes import HOST, Cluster, Node, free_port
from scripts.citus.report import Report

OUTAGE_SECONDS: Final = 15.0
# Of load before anything happens, and after it is over.
QUIET_SECONDS: Final = 5.0
# So long after a node is back its users may still be refused.
RECOVERY_SECONDS: Final = 5.0
MOVES: Final = 4

ROLE = """
SELECT DISTINCT rolname FROM pg_policy JOIN pg_roles r ON r.oid = ANY (polroles)
WHERE polname = 'own_rows' AND rolname <> 'tasks_api'
"""
SHARDS = (
    "SELECT shardid, nodeport FROM citus_shards WHERE table_name = 'task_lists'::regclass ORDER BY shardid LIMIT %d"
)


def suite(cluster: Cluster, report: Report) -> None:
    """The tests that a cluster concerns."""
    url = cluster.new_database("suite").replace("postgres@", "postgres:none@")
    tests = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--cluster", "tests"],
        cwd=PROJECT_ROOT, env={**os.environ, "CITUS_DATABASE_URL": url}, stdout=subprocess.PIPE, text=True, check=False,
    )  # fmt: skip
    lines = tests.stdout.splitlines()
    print("\n".join(line for line in lines if line.startswith(("FAILED", "ERROR"))), flush=True)
    counts = lines[-1].partition(" in ")[0]
    report.add("the test suite", counts)
    report.require(tests.returncode == 0, f"the test suite: {counts}")


async def lost_node(cluster: Cluster, report: Report) -> None:
    """A worker stops; users of the other one notice nothing."""
    await _outage(cluster, report, "lost", stop=lambda node: node.stop("immediate"), start=Node.start)


async def silent_node(cluster: Cluster, report: Report) -> None:
    """A worker accepts connections and never answers: its users' requests hold connections of the API's pool."""
    await _outage(cluster, report, "silent", stop=Node.suspend, start=Node.resume)


async def moved_shard(cluster: Cluster, report: Report) -> None:
    """Shards go from a node to the other, with all that lies beside them."""
    async with _under_load(cluster, report, "moved") as load:
        took = []
        for shard, port in cluster.coordinator.execute(SHARDS % MOVES, "moved"):
            [other] = [worker.port for worker in cluster.workers if worker.port != port]
            move = (
                f"SELECT citus_move_shard_placement({shard}, '{HOST}', {port}, '{HOST}', {other}, "
                "shard_transfer_mode => 'block_writes')"
            )
            since = time.monotonic()
            await asyncio.to_thread(cluster.coordinator.execute, move, "moved")
            took.append(time.monotonic() - since)
        await asyncio.sleep(QUIET_SECONDS)
    answers = Counter(status for user in load.users for status, _, _ in user.answers)
    longest = max(seconds for user in load.users for _, _, seconds in user.answers)
    moves = f"{MOVES} moves of at most {max(took):.1f} s"
    report.add("shards moved under load", f"{moves}; {_shown(answers)}; the slowest answer {longest:.1f} s")
    report.require(not _refused(answers), f"shards moved: {_shown(answers)}")


async def _outage(
    cluster: Cluster, report: Report, what: str, *, stop: Callable[[Node], None], start: Callable[[Node], None]
) -> None:
    worker = cluster.workers[0]
    async with _under_load(cluster, report, what) as load:
        since = time.monotonic()
        await asyncio.to_thread(stop, worker)
        await asyncio.sleep(OUTAGE_SECONDS)
        await asyncio.to_thread(start, worker)
        until = time.monotonic()
        await asyncio.sleep(RECOVERY_SECONDS + QUIET_SECONDS)
    own = [user for user in load.users if user.port == worker.port]
    others = [user for user in load.users if user.port != worker.port]
    for name, group in (("its", own), ("the other node's", others)):
        answers = _answers(group, since, until)
        report.add(f"a {what} node for {until - since:.0f} s: {name} {len(group)} users", _shown(answers))
        if what == "lost" and group is others:
            report.require(not _refused(answers), f"a lost node: the other node's users: {_shown(answers)}")
    after = _answers(load.users, until + RECOVERY_SECONDS, time.monotonic())
    report.add(f"{RECOVERY_SECONDS:.0f} s after the {what} node was back: all users", _shown(after))
    report.require(not _refused(after), f"after a {what} node: {_shown(after)}")


@contextlib.asynccontextmanager
async def _under_load(cluster: Cluster, report: Report, database: str) -> AsyncIterator[Load]:
    """The API on a new database of the cluster, with users at work on it; then their tasks are counted."""
    secret, port = secrets.token_hex(32), free_port()
    settings = {
        "DATABASE_URL": _migrated(cluster, database),
        "DATABASE_CLUSTER": "citus",
        "BETTER_AUTH_SECRET": secret,
        "RATE_LIMIT_PER_USER": "1000000/minute",
        "RATE_LIMIT_PER_ADDRESS": "1000000/minute",
    }
    program = [sys.executable, "-m", "uvicorn", "backend.app.main:app", "--port", str(port), "--log-level", "warning"]
    with Server(program, f"http://{HOST}:{port}", environment=settings, folder=PROJECT_ROOT) as api:
        await asyncio.to_thread(api.wait, "/health/ready")
        load = Load(api.url, secret, users(cluster, database))
        async with load.running():
            await asyncio.sleep(QUIET_SECONDS)
            yield load
        lost, twice = await load.faults()
    made = sum(len(user.created) for user in load.users)
    report.add(f"{database}: tasks made under the load", f"{made}, of which {lost} lost and {twice} there twice")
    report.require(not lost + twice, f"{database}: {lost} tasks lost, {twice} there twice")


def _migrated(cluster: Cluster, database: str) -> str:
    """A new database, distributed; the URL for the API."""
    superuser = cluster.new_database(database)
    alembic = embedded.alembic_for(superuser)
    alembic.attributes["cluster"] = "citus"
    command.upgrade(alembic, "head")
    [[role]] = cluster.coordinator.execute(ROLE, database)
    cluster.coordinator.execute(f"ALTER ROLE {role} LOGIN", database)
    cluster.coordinator.execute(f"ALTER ROLE {role} SET citus.propagate_set_commands = 'local'", database)
    return superuser.replace("postgres@", f"{role}@")


def _answers(group: list[User], since: float, until: float) -> Counter[int]:
    return sum((user.statuses(since, until) for user in group), Counter())


def _refused(answers: Counter[int]) -> int:
    """How many were told that something is wrong with the server, or nothing at all."""
    wrong = [status for status in answers if status == NO_ANSWER or httpx.codes.is_server_error(status)]
    return sum(answers[status] for status in wrong)


def _shown(answers: Counter[int]) -> str:
    return ", ".join(f"{number} of {status or 'no answer'}" for status, number in sorted(answers.items()))
