"""How PostgreSQL runs every statement of the repository: along an index that ends where the page ends."""

import contextlib
from collections.abc import Iterator
from typing import Any

import psycopg2
import pytest

from backend.app.db.statement import OWNER, Statement
from backend.app.domain.enums import Sort, Status
from backend.app.repositories import (
    changes,
    completion_export,
    completion_import,
    completion_records,
    completion_undo,
    completions,
    deletion,
    emptying,
    idempotency,
    import_statements,
    list_import,
    list_trash,
    moves,
    query_statements,
    subtasks,
    task_writes,
    trash,
)
from backend.app.repositories.mapping import TASKS
from backend.app.repositories.sorting import ORDERS
from tests.support.postgres import Server

# Orders of living tasks that have an index; the others are sorted from all of the user's rows.
INDEXED = {Sort.CREATED, Sort.UPDATED, Sort("-created"), Sort("-updated")}
HEAVY, PAGE = "heavy", 20
TASKS_OF_HEAVY = 20_000
# One user with very many tasks, nearly all of them completed, among many with few. All of them are planned in some way.
_PLANNED = "title_key, due_date, due_at, priority, tags, tag_keys, parent_id, completed_at"
_PLAN = """
    md5(n::text), '2026-12-24', timestamptz '2026-01-01' + n * interval '1 minute', n % 4,
    ARRAY['Tag ' || n % 50], ARRAY['tag ' || n % 50], CASE WHEN n % 100 = 1 THEN n - 1 END,
    CASE WHEN n % 500 <> 0 THEN timestamptz '2026-01-01' + n * interval '1 minute' END
"""
ROWS = f"""
    INSERT INTO task_lists SELECT 'user' || u, 10, 10, 10, 0 FROM generate_series(1, 3000) u;
    INSERT INTO task_lists VALUES ('{HEAVY}', {TASKS_OF_HEAVY}, {TASKS_OF_HEAVY}, {TASKS_OF_HEAVY}, 0);
    INSERT INTO lists (user_id, id, name, position, revision)
        SELECT 'user' || u, n, 'list', 'a' || n, n FROM generate_series(1, 3000) u, generate_series(1, 3) n;
    INSERT INTO lists (user_id, id, name, position, revision)
        SELECT '{HEAVY}', n, 'list', 'b' || n, n FROM generate_series(10, 20) n;
    INSERT INTO deleted_lists (user_id, id, name, position, revision, deleted_at)
        SELECT user_id, id + 1000, name, position || 'V', revision, now() FROM lists;
    INSERT INTO tasks (user_id, id, title, completed, revision, {_PLANNED})
        SELECT 'user' || u, n, 'task', n % 2 = 0, n, {_PLAN} FROM generate_series(1, 3000) u, generate_series(1, 50) n;
    INSERT INTO tasks (user_id, id, title, completed, revision, {_PLANNED}, list_id, position)
        SELECT '{HEAVY}', n, 'task', n % 500 <> 0, n, {_PLAN}, CASE WHEN n % 2 = 0 THEN 10 + n / 2 % 2 END,
            CASE WHEN n % 2 = 0 THEN 'a' || lpad(n::text, 6, '0') || 'V' ELSE '' END
        FROM generate_series(1, {TASKS_OF_HEAVY}) n;
    INSERT INTO deleted_tasks (user_id, id, title, revision, {_PLANNED}, deleted_at, purged)
        SELECT user_id, id + {TASKS_OF_HEAVY}, title, revision, {_PLANNED}, now(), id < 15000 FROM tasks
        WHERE user_id = '{HEAVY}' OR id <= 10;
    INSERT INTO completions (user_id, task_id, completed_at, title, revision, revision_before, sync_revision)
        SELECT user_id, id % 100 + 1, completed_at, title, revision, revision - 1, revision FROM tasks
        WHERE (user_id = '{HEAVY}' OR id <= 10) AND completed_at IS NOT NULL;
    INSERT INTO deleted_completions (user_id, task_id, completed_at, revision, deleted_at)
        SELECT user_id, task_id, completed_at - interval '1 second', sync_revision, now() FROM completions;
"""
# A user's first import, where all that PostgreSQL has counted are users with a single task.
TASKS_OF_IMPORT = 2500
FIRST_IMPORT = f"""
    ALTER TABLE tasks SET (autovacuum_enabled = off);
    ALTER TABLE deleted_tasks SET (autovacuum_enabled = off);
    ALTER TABLE deleted_lists SET (autovacuum_enabled = off);
    ALTER TABLE idempotency_keys SET (autovacuum_enabled = off);
    ALTER TABLE completions SET (autovacuum_enabled = off);
    ALTER TABLE deleted_completions SET (autovacuum_enabled = off);
    INSERT INTO task_lists SELECT 'user' || u, 1, 1, 1, 0 FROM generate_series(1, 300) u;
    INSERT INTO tasks (user_id, id, title, title_key, revision)
        SELECT 'user' || u, 1, 'task', 'task', 1 FROM generate_series(1, 300) u;
    INSERT INTO deleted_tasks (user_id, id, title, revision, deleted_at, purged)
        SELECT user_id, n, title, n, now(), n = 3 FROM tasks, generate_series(2, 3) n;
    INSERT INTO completions (user_id, task_id, completed_at, title, revision, sync_revision)
        SELECT user_id, id, now(), title, revision, revision FROM tasks;
    INSERT INTO deleted_completions (user_id, task_id, completed_at, revision, deleted_at)
        SELECT user_id, id, now(), revision, now() FROM tasks;
    INSERT INTO idempotency_keys (user_id, key, fingerprint, created_at) SELECT user_id, 'k', 'f', now() FROM tasks;
    INSERT INTO deleted_lists (user_id, id, name, position, revision, deleted_at, purged)
        SELECT user_id, n, 'l', n, n, now(), n = 2 FROM tasks, generate_series(1, 2) n;
    ANALYZE;
    INSERT INTO task_lists VALUES ('{HEAVY}', {TASKS_OF_IMPORT}, {TASKS_OF_IMPORT}, {TASKS_OF_IMPORT}, 0);
    INSERT INTO tasks (user_id, id, title, title_key, revision, parent_id)
        SELECT '{HEAVY}', n, 'task', 'task', n, CASE WHEN n <= 1000 THEN {TASKS_OF_IMPORT} - n END
        FROM generate_series(1, {TASKS_OF_IMPORT}) n;
    INSERT INTO deleted_tasks (user_id, id, title, revision, deleted_at, purged)
        SELECT user_id, id + {TASKS_OF_IMPORT} * n, title, revision, now(), n = 2 FROM tasks, generate_series(1, 2) n
        WHERE user_id = '{HEAVY}';
    INSERT INTO completions (user_id, task_id, completed_at, title, revision, sync_revision)
        SELECT user_id, 1, now() - id * interval '1 second', title, 0, id FROM tasks WHERE user_id = '{HEAVY}';
    INSERT INTO idempotency_keys (user_id, key, fingerprint, created_at)
        SELECT user_id, 'k' || id, 'f', now() FROM tasks WHERE user_id = '{HEAVY}';
    INSERT INTO deleted_lists (user_id, id, name, position, revision, deleted_at, purged)
        SELECT user_id, id + {TASKS_OF_IMPORT} * n, 'l', id, revision, now(), n = 2 FROM tasks, generate_series(1, 2) n
        WHERE user_id = '{HEAVY}';
    INSERT INTO deleted_completions (user_id, task_id, completed_at, revision, deleted_at)
        SELECT user_id, 1, now() - id * interval '1 second', id, now() FROM tasks WHERE user_id = '{HEAVY}';
"""
OF_IMPORT = [
    import_statements.MISPLACED,
    import_statements.CROWDED,
    import_statements.MARK,
    list_import.FOLLOW_PARENTS,
    completion_import.OLDEST_KEPT,
    completion_records.TRIM,
    completion_undo.FORGET_TOMBSTONES,
    trash.PURGE,
    trash.FORGET,
    emptying.PURGE_SOME,
    list_trash.PURGE_LISTS,
    list_trash.FORGET_LISTS,
    idempotency.KEEP,
]
VALUES: dict[str, Any] = {
    "before": 15_000,
    "limit": PAGE + 1,
    "task_id": 500,
    "title": "changed",
    "title_key": "changed",
    "description": None,
    "description_key": None,
    "describe": True,
    "reschedule": True,
    "replace": False,
    "priority": 1,
    "due_date": None,
    "due_at": "infinity",
    "time_zone": None,
    "recurrence": None,
    "on_schedule": False,
    "start_date": None,
    "start_at": None,
    "after_completion": False,
    "tags": ["a"],
    "tag_keys": ["a"],
    "parent_id": None,
    "list_id": None,
    "completed": False,
    "with_itself": True,
    "with_subtasks": True,
    "expected": [500],
    "first_revision": 1,
    "max_tasks": 100_000,
    "since": 10_000,
    "ids": [500, 501],
    "new_ids": [100_500, 100_501],
    "revisions": [100_500, 100_501],
    "revision": 500,
    "created": 1,
    "last_task_id": 500,
    "max_subtasks": 10,
    "completed_at": "2026-01-01 08:20:00+00",
    "reminders": None,
    "reopened": [500, 501],
    "revision_before": 499,
    "after": "2026-01-01 00:00:00+00",
    "at": "2026-01-07 00:00:00+00",
    "at_task": 500,
    "only_task": 500,
    "kept_before": 9_999,
    "kept": 10_000,
    "after_task": 500,
    "of_task_id": [500],
    "of_completed_at": "{2026-01-01 08:20:00+00}",
}
WRITES = (task_writes.UPDATE, *task_writes.UPDATE_TEXT.values(), task_writes.REPLACE_BY_TEXT)
WRITES += (task_writes.COMPLETE, task_writes.DELETE)
STATEMENTS = [
    *query_statements.LIST.values(),
    query_statements.GET,
    query_statements.REVISION,
    query_statements.REVISION_OF,
    query_statements.GET_COUNTERS,
]
STATEMENTS += [task_writes.CREATE, task_writes.CREATE_TEXT]
STATEMENTS += [form for write in WRITES for form in (write.plain, write.conditional)]
STATEMENTS += [
    subtasks.COUNT_SUBTASKS,
    subtasks.MARK,
    subtasks.WRITE,
    subtasks.SETTLE,
]
STATEMENTS += [deletion.REMOVE, deletion.TRASHED, deletion.COUNT_TRASHED_SUBTASKS, deletion.BRING_BACK]
STATEMENTS += [task_writes.CREATE.steps[0], *deletion.REMOVE.steps, *deletion.BRING_BACK.steps[:3]]
STATEMENTS += [
    import_statements.KNOWN,
    import_statements.TRASHED,
    import_statements.KEEP,
    import_statements.KEEP_TRASHED,
    import_statements.UNTRASH,
    import_statements.MARK,
    import_statements.MISPLACED,
    import_statements.CROWDED,
    import_statements.FINISH,
]
STATEMENTS += [
    completion_records.COMPLETED_SUBTASKS,
    completion_records.REMEMBER,
    completion_undo.RECORD,
    completion_undo.FORGET,
    completion_records.PASS_ON,
    completion_undo.REOPEN,
    completion_undo.COMPLETE_SUBTASKS,
    completion_undo.LEAVE_TOMBSTONE,
    completion_export.PAGE,
    completion_import.TAKE_OVER,
]
# With filters that a request leaves out: a place in the middle, as a second page has it.
NO_FILTERS: dict[str, Any] = dict.fromkeys(
    ("completed", "priorities", "tags", "due_before", "due_after", "overdue", "available", "parent_id", "list_id", "q"),
    None,
)
PLACES: dict[str, Any] = {
    "after_id": 10_000,
    "after_revision": 10_000,
    "after_title_key": "8",
    "after_due_at": "2026-01-07 00:00:00+00",
    "after_priority": 2,
}
FILTERS: list[dict[str, Any]] = [
    {"completed": True},
    {"priorities": [1, 2]},
    {"tags": ["tag 3"]},
    {"due_before": "2026-01-07 00:00:00+00", "due_after": "2026-01-02 00:00:00+00"},
    {"overdue": False},
    {"available": True},
    {"parent_id": 0},
    {"list_id": 0},
    {"q": "as"},
]


class Plans:
    """Asks the database how it runs a statement as the API's role, for the user with very many tasks."""

    def __init__(self, url: str, role: str) -> None:
        self.connection = psycopg2.connect(url)
        self._role = role

    def of(self, statement: Statement, mode: str, *, without: str = "", **values: Any) -> list[dict[str, Any]]:
        """The nodes of the plan, after it was run; nothing stays changed, nor does what `without` has dropped."""
        with self.connection.cursor() as cursor:
            cursor.execute(f"{without}; SET LOCAL ROLE {self._role}; SET LOCAL app.user_id = '{HEAVY}'")
            cursor.execute(f"SET LOCAL plan_cache_mode = {mode}")
            told = {**VALUES, **values, OWNER: HEAVY}
            cursor.execute(f"{statement.preparation} EXPLAIN (ANALYZE, FORMAT JSON) {statement.execution}", told)
            [[[explained]]] = cursor.fetchall()
            cursor.execute("DEALLOCATE ALL")
        self.connection.rollback()
        return list(nodes(explained["Plan"]))


def nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for below in plan.get("Plans", ()):
        yield from nodes(below)


def dear(plan: list[dict[str, Any]]) -> list[str]:
    """What reads more than it needs: long sorts, scans of a whole table, and indexes read past the page."""
    found = unordered(plan)
    for node in plan:
        read = node.get("Actual Rows", 0) + node.get("Rows Removed by Filter", 0)
        if "Relation Name" in node and read * node["Actual Loops"] > PAGE + 1:
            found.append(f"{node['Node Type']} of {read} rows")
    return found


def own_rows(plan: list[dict[str, Any]]) -> list[str]:
    """Scans of a whole table, and sorts that keep more than a page."""
    found = [node["Node Type"] for node in plan if node["Node Type"] == "Seq Scan"]
    sorts = [node for node in plan if node["Node Type"] == "Sort" and node["Actual Rows"] > PAGE + 1]
    return found + [node["Node Type"] for node in sorts]


def unordered(plan: list[dict[str, Any]]) -> list[str]:
    """Scans of a whole table, and sorts of more than a few rows: the places of a parent's subtasks are such."""
    found = [node["Node Type"] for node in plan if node["Node Type"] == "Seq Scan"]
    sorts = [node for node in plan if node["Node Type"] in ("Sort", "Incremental Sort")]
    return found + [node["Node Type"] for node in sorts if node["Plans"][0]["Actual Rows"] > PAGE]


@pytest.fixture(scope="module")
def plans(server: Server) -> Iterator[Plans]:
    with server.new_database() as name:
        server.execute(ROWS, database=name)
        server.execute("ANALYZE", database=name)
        plans = Plans(server.database_url(name), server.role())
        with contextlib.closing(plans.connection):
            yield plans


@pytest.mark.parametrize("mode", ["force_generic_plan", "force_custom_plan"])
@pytest.mark.parametrize("statement", STATEMENTS, ids=lambda statement: statement.name)
def test_a_statement_reads_what_it_answers(plans: Plans, statement: Statement, mode: str) -> None:
    """No sort, no scan of a table, no index row beyond the page, whether the plan is made once or for the values."""
    assert dear(plans.of(statement, mode)) == []


@pytest.mark.parametrize("mode", ["force_generic_plan", "force_custom_plan"])
@pytest.mark.parametrize(("table", "sort"), query_statements.FIND, ids=lambda value: str(getattr(value, "name", value)))
def test_a_sorted_page_reads_no_more_than_it_has_to(plans: Plans, table: Any, sort: Sort, mode: str) -> None:
    """Along the index of its order, from place to place; or, without one, all of the user's rows and no others."""
    statement = query_statements.FIND[table, sort]

    for place in (PLACES, first_page(sort)):
        plan = plans.of(statement, mode, **NO_FILTERS, **place)
        assert (own_rows(plan) if table is TASKS and sort not in INDEXED else dear(plan)) == []


@pytest.mark.parametrize("filters", FILTERS, ids="+".join)
@pytest.mark.parametrize("sort", [sort for sort in Sort if sort not in query_statements.PLACED])
def test_a_filter_changes_no_order(plans: Plans, sort: Sort, filters: dict[str, Any]) -> None:
    """Whatever is looked for is looked for along the order's index, if it has one, and among the user's rows."""
    statement = query_statements.FIND[TASKS, sort]

    for mode in ("force_generic_plan", "force_custom_plan"):
        plan = plans.of(statement, mode, **{**NO_FILTERS, **filters, **first_page(sort)})
        assert (unordered(plan) if sort in INDEXED else own_rows(plan)) == []


@pytest.mark.parametrize("mode", ["force_generic_plan", "force_custom_plan"])
@pytest.mark.parametrize("since", [0, 10_000, TASKS_OF_HEAVY - 3])
def test_changes_are_read_along_their_revisions(plans: Plans, since: int, mode: str) -> None:
    """A page of changes reads a page of each index, wherever it starts."""
    assert dear(plans.of(changes.CHANGES, mode, since=since)) == []


@pytest.mark.parametrize("mode", ["force_generic_plan", "force_custom_plan"])
@pytest.mark.parametrize("of_task", completions.LIST)
def test_completions_are_read_along_their_moments(plans: Plans, of_task: bool, mode: str) -> None:
    """A page of completions reads a page of each index, from the newest on or from a place in the middle."""
    for at in ("infinity", VALUES["at"]):
        plan = plans.of(completions.LIST[of_task], mode, before="infinity", at=at, only_task=7)
        assert dear(plan) == []


@pytest.mark.parametrize(
    "statement",
    [
        *completions.COUNT.values(),
        completion_records.TRIM,
        completion_import.OLDEST_KEPT,
        completion_undo.FORGET_TOMBSTONES,
    ],
    ids=lambda statement: statement.name,
)
def test_completions_are_counted_along_their_index(plans: Plans, statement: Statement) -> None:
    """Counting them, and finding the oldest that is kept, reads the user's own."""
    plan = plans.of(statement, "force_generic_plan", before="infinity")

    assert [node["Node Type"] for node in plan if node["Node Type"] == "Seq Scan"] == []


@pytest.mark.parametrize(
    "statement", [query_statements.TAGS, *query_statements.COUNT.values()], ids=lambda statement: statement.name
)
def test_what_is_counted_is_the_users_own(plans: Plans, statement: Statement) -> None:
    """Counting reads all of the user's tasks, and nobody else's; there are few different tags to sort."""
    plan = plans.of(statement, "force_generic_plan", **NO_FILTERS, after_tag="")

    assert [node["Node Type"] for node in plan if node["Node Type"] == "Seq Scan"] == []
    assert max(node["Actual Rows"] for node in plan) <= TASKS_OF_HEAVY


@pytest.mark.parametrize("mode", ["force_generic_plan", "force_custom_plan"])
@pytest.mark.parametrize("in_list", [None, 10])
@pytest.mark.parametrize("reverse", [False, True])
def test_the_users_own_order_is_read_along_its_indexes(
    plans: Plans, reverse: bool, in_list: int | None, mode: str
) -> None:
    """A page of what was moved and one of what was not; no other user's row is read."""
    statement = (query_statements.FIND_PLACED if in_list is None else query_statements.FIND_PLACED_IN_LIST)[reverse]
    place = {"after_position": "a010000V", "after_id": 10_000, "unmoved": 10_000, "list_id": in_list}

    plan = plans.of(statement, mode, **{**NO_FILTERS, **place})

    assert [node for node in plan if node["Node Type"] == "Seq Scan"] == []


@pytest.mark.parametrize("mode", ["force_generic_plan", "force_custom_plan"])
@pytest.mark.parametrize("name", ["first", "following", "before", "after"])
def test_neighbours_are_found_along_their_index(plans: Plans, name: str, mode: str) -> None:
    """So a move costs as much among many tasks as among few."""
    place: dict[str, Any] = {
        "moving": 500,
        "low": "a010000V",
        "low_id": 10_000,
        "end": "a0" if name == "before" else "b",
    }
    plan = plans.of(getattr(moves.TASK_ORDER, name), mode, **place)

    assert [node for node in plan if node["Node Type"] == "Seq Scan"] == []


@pytest.fixture(scope="module")
def plans_of_import(server: Server) -> Iterator[Plans]:
    with server.new_database() as name:
        server.execute(FIRST_IMPORT, database=name)
        plans = Plans(server.database_url(name), server.role())
        with contextlib.closing(plans.connection):
            yield plans


@pytest.mark.parametrize("statement", OF_IMPORT, ids=lambda statement: statement.name)
def test_a_first_import_reads_each_task_a_few_times(plans_of_import: Plans, statement: Statement) -> None:
    """Not each task for each other one, though PostgreSQL takes a user for one with a single task."""
    values: dict[str, Any] = {"ids": list(range(1, 2001)), "revision": TASKS_OF_IMPORT, "max_subtasks": 100}
    values |= {"kept_before": 999, "kept": 999, "surplus": 1000, "limit": 1000, "key": "k1", "status": 200}
    values |= {"headers": "{}", "body": "{}", "compressed_body": None, "kept_from": "-infinity"}

    plan = plans_of_import.of(statement, "force_custom_plan", **values)

    scans = [node for node in plan if "Relation Name" in node]
    read = sum((node["Actual Rows"] + node.get("Rows Removed by Filter", 0)) * node["Actual Loops"] for node in scans)
    assert read < 5 * TASKS_OF_IMPORT


def first_page(sort: Sort) -> dict[str, Any]:
    order = ORDERS[sort]
    return {f"after_{name}": part for name, part in zip(order.names, order.first_position(), strict=True)}


def test_what_is_dear_is_noticed(plans: Plans) -> None:
    """The failing samples: without their index, a few tasks are looked for among all, and a page has to be sorted."""
    without_state = "DROP INDEX ix_tasks_open_user_id_id"
    without_revision = "DROP INDEX ix_tasks_user_id_revision"
    without_any = f"{without_revision}; ALTER TABLE tasks DROP CONSTRAINT pk_tasks; {without_state}"
    latest, soonest = query_statements.FIND[TASKS, Sort.UPDATED], query_statements.FIND[TASKS, Sort.DUE_DATE]

    assert dear(plans.of(query_statements.LIST[Status.PENDING], "force_generic_plan", without=without_state))
    assert unordered(plans.of(latest, "force_generic_plan", without=without_revision, **NO_FILTERS, **PLACES))
    assert own_rows(plans.of(soonest, "force_generic_plan", without=without_any, **NO_FILTERS, **PLACES))
