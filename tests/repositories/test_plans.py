"""How PostgreSQL runs every statement of the repository: along an index that ends where the page ends."""

import contextlib
from collections.abc import Iterator
from typing import Any

import psycopg2
import pytest

from backend.app.db import OWNER, Statement
from backend.app.repositories import tasks
from backend.app.row_security import ROLE
from backend.app.schemas.task import Status
from tests.conftest import Server

HEAVY, PAGE = "heavy", 20
TASKS_OF_HEAVY = 20_000
# One user with very many tasks, nearly all of them completed, among many with few.
ROWS = f"""
    INSERT INTO task_lists SELECT 'user' || u, 10, 10, 10 FROM generate_series(1, 3000) u;
    INSERT INTO task_lists VALUES ('{HEAVY}', {TASKS_OF_HEAVY}, {TASKS_OF_HEAVY}, {TASKS_OF_HEAVY});
    INSERT INTO tasks (user_id, id, title, completed, revision)
        SELECT 'user' || u, n, 'task', n % 2 = 0, n FROM generate_series(1, 3000) u, generate_series(1, 10) n;
    INSERT INTO tasks (user_id, id, title, completed, revision)
        SELECT '{HEAVY}', n, 'task', n % 500 <> 0, n FROM generate_series(1, {TASKS_OF_HEAVY}) n;
"""
VALUES: dict[str, Any] = {
    "before": 15_000,
    "limit": PAGE + 1,
    "task_id": 500,
    "title": "changed",
    "description": None,
    "describe": True,
    "completed": False,
    "expected": [500],
    "first_revision": 1,
    "max_tasks": 100_000,
}
WRITES = (tasks.UPDATE, tasks.COMPLETE, tasks.DELETE)
STATEMENTS = [*tasks.LIST.values(), tasks.GET, tasks.CREATE]
STATEMENTS += [form for write in WRITES for form in (write.plain, write.conditional)]


class Plans:
    """Asks the database how it runs a statement as `tasks_api`, for the user with very many tasks."""

    def __init__(self, url: str) -> None:
        self.connection = psycopg2.connect(url)

    def of(self, statement: Statement, mode: str, *, after: str = "") -> list[dict[str, Any]]:
        """The nodes of the plan, after it was run; nothing stays changed, nor does what `after` has changed."""
        with self.connection.cursor() as cursor:
            cursor.execute(f"{after}; SET LOCAL ROLE {ROLE}; SET LOCAL app.user_id = '{HEAVY}'")
            cursor.execute(f"SET LOCAL plan_cache_mode = {mode}")
            values = {**VALUES, OWNER: HEAVY}
            cursor.execute(f"{statement.preparation} EXPLAIN (ANALYZE, FORMAT JSON) {statement.execution}", values)
            [[[explained]]] = cursor.fetchall()
            cursor.execute("DEALLOCATE ALL")
        self.connection.rollback()
        return list(nodes(explained["Plan"]))


def nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for below in plan.get("Plans", ()):
        yield from nodes(below)


def dear(plan: list[dict[str, Any]]) -> list[str]:
    """What reads more than it needs: sorts, scans of a whole table, and indexes read past the page."""
    found = [node["Node Type"] for node in plan if node["Node Type"] in ("Seq Scan", "Sort", "Incremental Sort")]
    for node in plan:
        read = node.get("Actual Rows", 0) + node.get("Rows Removed by Filter", 0)
        if "Relation Name" in node and read * node["Actual Loops"] > PAGE + 1:
            found.append(f"{node['Node Type']} of {read} rows")
    return found


@pytest.fixture(scope="module")
def plans(server: Server) -> Iterator[Plans]:
    with server.new_database() as name:
        server.execute(ROWS, database=name)
        server.execute("ANALYZE", database=name)
        plans = Plans(server.database_url(name))
        with contextlib.closing(plans.connection):
            yield plans


@pytest.mark.parametrize("mode", ["force_generic_plan", "force_custom_plan"])
@pytest.mark.parametrize("statement", STATEMENTS, ids=lambda statement: statement.name)
def test_a_statement_reads_what_it_answers(plans: Plans, statement: Statement, mode: str) -> None:
    """No sort, no scan of a table, no index row beyond the page, whether the plan is made once or for the values."""
    assert dear(plans.of(statement, mode)) == []


def test_what_is_dear_is_noticed(plans: Plans) -> None:
    """The failing sample: without its index, the few pending tasks are looked for among all."""
    without_index = "DROP INDEX ix_tasks_user_id_completed_id"

    assert dear(plans.of(tasks.LIST[Status.PENDING], "force_generic_plan", after=without_index))
