"""On a real cluster every statement goes to the one node that has the user's rows (see tests/support/cluster.py)."""

import contextlib
from collections.abc import Iterator
from typing import Any

import psycopg2
import pytest

from backend.app.db.statement import OWNER, Statement
from tests.support import cluster
from tests.support.cluster import task_counts
from tests.support.postgres import Server
from tests.support.statements import named, prepared, sample
from tests.support.tokens import new_user

STATEMENTS = prepared()
# Rows that come with the statement are laid out on the coordinator, and written to the user's shard from there.
FROM_THE_COORDINATOR = ("import tasks",)


class Explainer:
    """Asks how a statement is run, sent as the API sends it to a cluster."""

    def __init__(self, url: str) -> None:
        self._connection = psycopg2.connect(url)

    def close(self) -> None:
        self._connection.close()

    def lines(self, statement: Statement) -> list[tuple[Any, ...]]:
        owner = new_user()
        with self._connection.cursor() as cursor:  # psycopg2 begins, in a message of its own
            cursor.execute("SET LOCAL app.user_id = %s", [owner])
            cursor.execute(f"EXPLAIN (VERBOSE, COSTS OFF) {statement.text}", {**sample(statement), OWNER: owner})
            lines = cursor.fetchall()
        self._connection.rollback()
        return lines


@pytest.fixture(scope="module")
def explainer(server: Server, database_url: str) -> Iterator[Explainer]:
    """As the API's own login; on one PostgreSQL as its superuser, for that login is not confined by itself."""
    url = database_url if cluster.URL else server.database_url("migrated")
    with contextlib.closing(Explainer(url)) as explainer:
        yield explainer


@pytest.mark.skipif(not cluster.URL, reason=f"no cluster: {cluster.VARIABLE} is not set")
def test_each_statement_is_routed_to_one_shard(explainer: Explainer) -> None:
    """Task Count: 1, in every part of every plan."""
    counts = {named(statement): task_counts(explainer.lines(statement)) for statement in STATEMENTS}

    elsewhere = {name: found for name, found in counts.items() if not found or set(found) != {1}}
    assert [name for name in elsewhere if not name.startswith(FROM_THE_COORDINATOR)] == [], elsewhere
    assert [found for found in elsewhere.values() if set(found) - {1}] == [], elsewhere


@pytest.mark.skipif(bool(cluster.URL), reason="there is a cluster to ask")
@pytest.mark.parametrize("statement", STATEMENTS, ids=named)
def test_each_statement_can_be_asked_about(explainer: Explainer, statement: Statement) -> None:
    """With values for all it takes; one PostgreSQL has no shards to tell of."""
    lines = explainer.lines(statement)

    assert lines
    assert task_counts(lines) == []


@pytest.mark.parametrize(
    ("plan", "counts"),
    [
        ([("Custom Scan (Citus Adaptive)",), ("  Task Count: 1",), ("  Tasks Shown: All",)], [1]),
        ([("Custom Scan (Citus Adaptive)",), ("  Task Count: 32",)], [32]),
        ([("  ->  Distributed Subplan 3_1",), ("        Task Count: 1",), ("  Task Count: 32",)], [1, 32]),
        ([("Seq Scan on tasks",)], []),
    ],
)
def test_what_citus_prints_is_read(plan: list[tuple[str]], counts: list[int]) -> None:
    """As its manual shows it."""
    assert task_counts(plan) == counts
