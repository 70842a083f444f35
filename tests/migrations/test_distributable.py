"""What a Citus cluster needs of the tables and the statements, held on a PostgreSQL that is none.

So the schema and the statements stay the same on both; each rule has samples of the mistakes that it is there for.
"""

import contextlib
import re
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import psycopg2
import pytest
from sqlalchemy import func, select, update
from sqlalchemy.dialects.postgresql import insert as upsert

from backend.app.config import PROJECT_ROOT
from backend.app.db.statement import OWNER, Statement
from backend.app.models import metadata
from backend.app.repositories.deletion import BRING_BACK, REMOVE
from backend.app.repositories.mapping import COUNTERS, TASKS, owner, task_id
from backend.app.repositories.scoping import UnscopedStatement, compile_scoped
from backend.app.repositories.task_writes import CREATE, DELETE
from tests.support.postgres import Server
from tests.support.statements import named, on_cluster, prepared, sample

STATEMENTS = prepared()

# Rows of sentences; none means that the tables can be distributed by user_id.
OBSTACLES = """
WITH owned AS (
  SELECT c.oid, c.oid::regclass::text AS name, a.attnum, a.attnotnull AND a.atttypid = 'text'::regtype AS fits
  FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'user_id' AND NOT a.attisdropped
  WHERE c.relkind IN ('r', 'p') AND c.relnamespace = 'public'::regnamespace
)
SELECT format('%%s has no user_id', name) FROM unnest(%(tables)s) AS name WHERE name NOT IN (SELECT name FROM owned)
UNION ALL
SELECT format('user_id of %%s is not a text that is never null', name) FROM owned WHERE NOT fits
UNION ALL
SELECT format('%%s has no primary key', name) FROM owned
  WHERE NOT EXISTS (SELECT FROM pg_index WHERE indrelid = owned.oid AND indisprimary)
UNION ALL
SELECT format('%%s is unique without user_id', indexrelid::regclass) FROM pg_index JOIN owned ON indrelid = owned.oid
  WHERE (indisunique OR indisexclusion) AND NOT attnum = ANY ((indkey::int2[])[0 : indnkeyatts - 1])
UNION ALL
SELECT format('%%s does not refer from user_id to user_id', conname) FROM pg_constraint f
  WHERE contype = 'f' AND (conrelid IN (SELECT oid FROM owned) OR confrelid IN (SELECT oid FROM owned))
    AND NOT EXISTS (
      SELECT FROM unnest(conkey, confkey) AS pair(here, there)
      JOIN owned AS mine ON mine.oid = conrelid AND mine.attnum = here
      JOIN owned AS theirs ON theirs.oid = confrelid AND theirs.attnum = there)
UNION ALL
SELECT format('%%s is a sequence', oid::regclass) FROM pg_class
  WHERE relkind = 'S' AND relnamespace = 'public'::regnamespace
UNION ALL
SELECT format('%%s is a trigger', tgname) FROM pg_trigger JOIN owned ON tgrelid = owned.oid WHERE NOT tgisinternal
UNION ALL
SELECT format('%%s is a rule', rulename) FROM pg_rewrite JOIN owned ON ev_class = owned.oid
UNION ALL
SELECT format('%%s asks a query', polname) FROM pg_policy JOIN owned ON polrelid = owned.oid
  WHERE concat(polqual, polwithcheck) LIKE '%%{SUBLINK%%'
"""

NOTES = "CREATE TABLE notes (user_id text NOT NULL, id bigint NOT NULL"
PLANTED = {
    "DROP TABLE idempotency_keys": "idempotency_keys has no user_id",
    "CREATE TABLE notes (user_id varchar(50) PRIMARY KEY)": "user_id of notes is not a text",
    f"{NOTES})": "notes has no primary key",
    f"{NOTES}, PRIMARY KEY (id))": "notes_pkey is unique without user_id",
    "ALTER TABLE tasks ADD UNIQUE (id, revision)": "tasks_id_revision_key is unique without user_id",
    "CREATE UNIQUE INDEX planted ON tasks (id) INCLUDE (user_id)": "planted is unique without user_id",
    "CREATE UNIQUE INDEX planted ON tasks ((user_id || id))": "planted is unique without user_id",
    "ALTER TABLE tasks ADD EXCLUDE USING btree (revision WITH =)": "is unique without user_id",
    "ALTER TABLE tasks ADD owner text REFERENCES task_lists": "tasks_owner_fkey does not refer from user_id",
    "CREATE TABLE plans (id bigint PRIMARY KEY, u text REFERENCES task_lists)": "plans_u_fkey does not refer",
    "ALTER TABLE tasks ADD number bigserial": "tasks_number_seq is a sequence",
    "ALTER TABLE tasks ADD number bigint GENERATED ALWAYS AS IDENTITY": "tasks_number_seq is a sequence",
    "CREATE TRIGGER planted BEFORE UPDATE ON tasks EXECUTE FUNCTION suppress_redundant_updates_trigger()": (
        "planted is a trigger"
    ),
    "CREATE RULE planted AS ON DELETE TO tasks DO ALSO NOTHING": "planted is a rule",
    "CREATE POLICY planted ON tasks USING (user_id IN (SELECT user_id FROM task_lists))": "planted asks a query",
}


def obstacles(server: Server, name: str) -> list[str]:
    with contextlib.closing(psycopg2.connect(server.database_url(name))) as connection, connection.cursor() as cursor:
        cursor.execute(OBSTACLES, {"tables": list(metadata.tables)})
        return [sentence for [sentence] in cursor.fetchall()]


def test_the_tables_can_be_distributed(server: Server) -> None:
    """Every key has the user in it, and nothing is counted or made beside the rows of a user."""
    assert obstacles(server, "migrated") == []


@pytest.mark.parametrize(("plant", "sentence"), PLANTED.items(), ids=[plant[:70] for plant in PLANTED])
def test_an_obstacle_is_named(server: Server, plant: str, sentence: str) -> None:
    """The failing samples of the tables' rules."""
    with server.new_database() as name:
        server.execute(plant, database=name)

        found = obstacles(server, name)

    assert [obstacle for obstacle in found if sentence in obstacle] != [], found


COUNT = """
import gc, importlib, pkgutil
from backend.app import repositories
from backend.app.db.statement import Statement
for module in pkgutil.iter_modules(repositories.__path__, f"{repositories.__name__}."):
    importlib.import_module(module.name)
print(sum(isinstance(thing, Statement) for thing in gc.get_objects()))
"""


def test_all_statements_are_looked_at() -> None:
    """As many as there are in a program that has imported the repositories and nothing else."""
    counted = subprocess.run(
        [sys.executable, "-c", COUNT], cwd=PROJECT_ROOT, capture_output=True, text=True, check=True
    )

    assert len(STATEMENTS) == int(counted.stdout)


CALL = re.compile(r"\b([a-z_][a-z0-9_]*)\s*\(")
MOMENT = re.compile(r"\b(current_(date|time|timestamp)|localtime(stamp)?)\b", re.IGNORECASE)
CONFLICT = re.compile(r"ON CONFLICT .*?(?= RETURNING |\)[,)]? (?=INSERT|SELECT|UPDATE|DELETE)|$)", re.DOTALL)


class Volatility:
    """What PostgreSQL's catalog says of the functions that a statement calls."""

    def __init__(self, server: Server) -> None:
        found = server.execute("SELECT proname, string_agg(DISTINCT provolatile::text, '') FROM pg_proc GROUP BY 1")
        self._kinds = {str(name): str(kinds) for name, kinds in found}

    def unsteady(self, text: str) -> list[str]:
        """Functions that may answer differently from one row to the next."""
        return [name for name in CALL.findall(text) if "v" in self._kinds.get(name, "")]

    def unsteady_in_conflict(self, text: str) -> list[str]:
        """What a cluster refuses in DO UPDATE: whatever depends on when it is asked."""
        return self.timely(" ".join(found[0] for found in CONFLICT.finditer(text)))

    def timely(self, text: str) -> list[str]:
        """Whatever depends on when it is asked: functions that are not immutable, and keywords for the moment."""
        timely = [name for name in CALL.findall(text) if self._kinds.get(name.lower(), "i").strip("i")]
        return timely + [found[0] for found in MOMENT.finditer(text)]


@pytest.fixture(scope="module")
def volatility(server: Server) -> Volatility:
    return Volatility(server)


@pytest.mark.parametrize("statement", STATEMENTS, ids=named)
def test_no_statement_depends_on_where_it_runs(volatility: Volatility, statement: Statement) -> None:
    """No volatile function at all, and in ON CONFLICT none that is not immutable."""
    assert volatility.unsteady(statement.text) == []
    assert volatility.unsteady_in_conflict(statement.text) == []


def on_conflict(name: str, value: Any) -> str:
    """A statement that writes this value where there is a row already."""
    new = upsert(TASKS).values(user_id=owner, id=task_id, title="x", revision=1)
    key = [TASKS.c.user_id, TASKS.c.id]
    return compile_scoped("planted", new.on_conflict_do_update(index_elements=key, set_={name: value})).text


def test_what_depends_on_the_moment_is_noticed(volatility: Volatility) -> None:
    """The failing samples: stable in DO UPDATE, volatile anywhere; elsewhere now() may be."""
    both = f"{on_conflict('revision', TASKS.c.revision + 1)} RETURNING now()"

    assert volatility.unsteady_in_conflict(on_conflict("updated_at", func.now())) == ["now"]
    assert volatility.unsteady_in_conflict("ON CONFLICT (a) DO UPDATE SET b = CURRENT_DATE") == ["CURRENT_DATE"]
    assert volatility.unsteady_in_conflict(both) == []
    assert volatility.unsteady("UPDATE tasks SET updated_at = clock_timestamp()") == ["clock_timestamp"]
    assert volatility.unsteady("SELECT random () FROM tasks") == ["random"]
    assert volatility.unsteady("UPDATE tasks SET updated_at = now()") == []


# Citus evaluates these on the coordinator for the nodes, and refuses what is not immutable within them ...
EVALUATED = re.compile(r"\bCASE\b|\bcoalesce\s*\(", re.IGNORECASE)
CASE_WORD = re.compile(r"\b(CASE|END)\b", re.IGNORECASE)
UPDATE = re.compile(r"\bUPDATE (?!SET\b)", re.IGNORECASE)
# ... and a subscript of an array with a moment in it crashes its server.
SUBSCRIPT = re.compile(r"\bARRAY\s*\[[^]]*\]\s*\)*\s*\[|\)\s*\[", re.IGNORECASE)


def evaluated_parts(text: str) -> Iterator[str]:
    """Each CASE ... END and coalesce(...) of a statement."""
    for found in EVALUATED.finditer(text):
        depth, pattern = 0, CASE_WORD if found[0].upper() == "CASE" else re.compile(r"[()]")
        for piece in pattern.finditer(text, found.start()):
            depth += 1 if piece[0].upper() in ("CASE", "(") else -1
            if depth == 0:
                yield text[found.start() : piece.end()]
                break


def timely_in_evaluated(volatility: Volatility, text: str) -> list[str]:
    """What an UPDATE calls within CASE or COALESCE, and Citus refuses there."""
    if not UPDATE.search(text):
        return []
    return volatility.timely(" ".join(evaluated_parts(text)))


@pytest.mark.parametrize("statement", on_cluster(), ids=named)
def test_no_update_asks_for_the_moment_within_a_case(volatility: Volatility, statement: Statement) -> None:
    """Nor within COALESCE; `completion` in mapping.py says how it is written."""
    assert timely_in_evaluated(volatility, statement.text) == []
    assert SUBSCRIPT.search(statement.text) is None


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("UPDATE tasks SET completed_at = CASE WHEN completed THEN now() END", ["now"]),
        ("UPDATE tasks SET a = CASE WHEN b THEN CASE WHEN c THEN 1 END ELSE now() END", ["now"]),
        (
            "WITH w AS (UPDATE tasks SET a = 1 + coalesce(b, nullif(c, 2), now()) RETURNING id) SELECT id FROM w",
            ["now"],
        ),
        ("UPDATE tasks SET a = COALESCE (b, CURRENT_TIMESTAMP)", ["CURRENT_TIMESTAMP"]),
        ("UPDATE tasks SET a = case when b then clock_timestamp() end", ["clock_timestamp"]),
        ("UPDATE tasks SET a = coalesce(b, lower(c)), updated_at = now()", []),
        ("UPDATE tasks SET a = CASE WHEN b THEN 1 END, updated_at = now(), c = coalesce(d, 1)", []),
        ("UPDATE tasks SET a = nullif(greatest(b, least(b, now())), 'infinity')", []),
        ("SELECT CASE WHEN a THEN now() END FROM tasks", []),
        ("INSERT INTO tasks SELECT CASE WHEN a THEN now() END ON CONFLICT (a) DO UPDATE SET b = 1", []),
    ],
)
def test_a_moment_within_a_case_is_noticed(volatility: Volatility, text: str, found: list[str]) -> None:
    """The samples, nested and in other spellings; elsewhere in an UPDATE, and in no UPDATE, now() may be."""
    assert timely_in_evaluated(volatility, text) == found


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("UPDATE tasks SET a = (ARRAY[now(), b])[1]", True),
        ("UPDATE tasks SET a = (array [b])[c]", True),
        ("UPDATE tasks SET a = (string_to_array(b, ','))[1]", True),
        ("UPDATE tasks SET a = %(tags)s::TEXT[], b = ARRAY[c]", False),
    ],
)
def test_a_subscript_is_noticed(text: str, found: bool) -> None:
    """The samples."""
    assert (SUBSCRIPT.search(text) is not None) is found


class Plans:
    """How PostgreSQL reads the tables for a statement whose values it does not know, without row-level security."""

    def __init__(self, url: str) -> None:
        self._connection = psycopg2.connect(url)
        self._connection.autocommit = True

    def close(self) -> None:
        self._connection.close()

    def unpinned(self, statement: Statement) -> list[str]:
        """The tables that are read without `user_id = :owner`: on a cluster, from every node."""
        pin = re.compile(rf"(\w+\.)?user_id = \${list(statement.types).index(OWNER) + 1}")
        scans = [node for node in self._nodes(statement) if "Relation Name" in node and "Scan" in node["Node Type"]]
        return [node["Relation Name"] for node in scans if not any(pin.fullmatch(found) for found in conditions(node))]

    def inserts_in_ctes(self, statement: Statement) -> list[str]:
        """The tables that a CTE inserts into: on a cluster its intermediate result is copied to every node."""
        inserts = [node for node in self._nodes(statement) if node.get("Operation") == "Insert"]
        return [node["Relation Name"] for node in inserts if node.get("Subplan Name", "").startswith("CTE ")]

    def _nodes(self, statement: Statement) -> list[dict[str, Any]]:
        with self._connection.cursor() as cursor:
            cursor.execute("SET plan_cache_mode = force_generic_plan")
            explain = f"{statement.preparation} EXPLAIN (FORMAT JSON) {statement.execution}"
            cursor.execute(explain, {**sample(statement), OWNER: "somebody"})
            [[[explained]]] = cursor.fetchall()
            cursor.execute("DEALLOCATE ALL")
        return list(nodes(explained["Plan"]))


def conditions(node: dict[str, Any]) -> list[str]:
    """What a row must be like that is read here: all of these."""
    return [
        condition for name in ("Index Cond", "Recheck Cond", "Filter") for condition in conjuncts(node.get(name, ""))
    ]


def conjuncts(text: str) -> list[str]:
    """The parts of `((a) AND (b))`, or `a` of `(a)`, as PostgreSQL prints conditions."""
    depth, parts = 0, [""]
    for piece in re.split(r"([()]| AND )", text[1:-1]):
        depth += {"(": 1, ")": -1}.get(piece, 0)
        if piece == " AND " and depth == 0:
            parts.append("")
        else:
            parts[-1] += piece
    return [part[1:-1] if part.startswith("(") else part for part in parts]


def nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for below in plan.get("Plans", ()):
        yield from nodes(below)


@pytest.fixture(scope="module")
def plans(server: Server) -> Iterator[Plans]:
    with server.new_database() as name, contextlib.closing(Plans(server.database_url(name))) as plans:
        yield plans


@pytest.mark.parametrize("statement", STATEMENTS, ids=named)
def test_every_statement_pins_one_user(plans: Plans, statement: Statement) -> None:
    """By equality, for every table that it reads: the planner finds it, as a cluster's has to."""
    assert plans.unpinned(statement) == []


UNPINNED = {
    "of anybody": f"SELECT id FROM tasks WHERE id = %(task_id)s AND %({OWNER})s IS NOT NULL",
    "from somebody on": f"SELECT id FROM tasks WHERE user_id >= %({OWNER})s AND id = %(task_id)s",
    "or": f"SELECT id FROM tasks WHERE user_id = %({OWNER})s OR id = %(task_id)s",
    "another": f"SELECT t.id FROM tasks t, deleted_tasks d WHERE t.user_id = %({OWNER})s AND d.id = %(task_id)s",
    "by another's value": f"SELECT id FROM tasks WHERE user_id = %({OWNER})s || 'x' AND id = %(task_id)s",
    "write": f"UPDATE tasks SET title = %({OWNER})s WHERE id = %(task_id)s",
}


@pytest.mark.parametrize("text", UNPINNED.values(), ids=UNPINNED.keys())
def test_a_statement_for_many_users_is_noticed(plans: Plans, text: str) -> None:
    """The failing samples, by the plan."""
    statement = Statement("unpinned", text, ("id",), {OWNER: "TEXT", "task_id": "BIGINT"})

    assert plans.unpinned(statement) != []


def test_wall_3_prepares_no_statement_for_many_users() -> None:
    """The failing samples, by the check at import: equality, at the top, with the owner itself."""
    by_query = select(COUNTERS.c.user_id).where(COUNTERS.c.user_id == owner).scalar_subquery()
    of_many: list[Any] = [
        select(TASKS.c.id).where(TASKS.c.user_id >= owner),
        select(TASKS.c.id).where((TASKS.c.user_id == owner) | (TASKS.c.id == task_id)),
        select(TASKS.c.id).where(TASKS.c.user_id == by_query),
        update(TASKS).values(title="x").where(TASKS.c.user_id.in_([owner])),
    ]

    for statement in of_many:
        with pytest.raises(UnscopedStatement):
            compile_scoped("for many", statement)


@pytest.mark.parametrize("statement", on_cluster(), ids=named)
def test_no_cte_inserts(plans: Plans, statement: Statement) -> None:
    """Such a write has steps for a cluster, or a lost node takes the users of the others along."""
    assert plans.inserts_in_ctes(statement) == []


# What an INSERT ... SELECT ends with that Citus does not turn into a COPY, which row-level security refuses.
RETURNED = re.compile(r"\b(RETURNING|ON CONFLICT)\b")


@pytest.mark.parametrize("statement", on_cluster(), ids=named)
def test_no_insert_becomes_a_copy(statement: Statement) -> None:
    """Rows that are selected come back, or may be there already."""
    assert copies(statement.text) is False


def copies(text: str) -> bool:
    inserted = re.search(r"\bINSERT INTO [\w.]+ \([^)]*\) (WITH|SELECT)\b", text)
    return inserted is not None and RETURNED.search(text, inserted.end()) is None


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("INSERT INTO public.tasks (user_id, id) SELECT %(owner)s, a.id FROM unnest(%(ids)s) AS a(id)", True),
        ("WITH a AS (SELECT 1 AS id) INSERT INTO tasks (user_id, id) SELECT %(owner)s, id FROM a", True),
        ("INSERT INTO tasks (user_id, id) WITH a AS (SELECT 1 AS id) SELECT %(owner)s, id FROM a", True),
        ("INSERT INTO tasks (user_id, id) SELECT %(owner)s, 1 RETURNING id", False),
        ("INSERT INTO tasks (user_id, id) SELECT %(owner)s, 1 ON CONFLICT DO NOTHING", False),
        ("INSERT INTO tasks (user_id, id) VALUES (%(owner)s, 1)", False),
    ],
)
def test_an_insert_that_becomes_a_copy_is_noticed(text: str, found: bool) -> None:
    """The samples."""
    assert copies(text) is found


WITH = "WITH list AS (UPDATE task_lists SET revision = revision + 1 WHERE user_id = %(owner)s RETURNING revision)"
ROW = "(user_id, id, title, revision) SELECT %(owner)s, 1, 'x', revision FROM list"


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (f"{WITH}, created AS (INSERT INTO tasks {ROW} RETURNING id) SELECT id FROM created", ["tasks"]),
        (f"{WITH}, created AS (INSERT INTO tasks {ROW}) SELECT revision FROM list", ["tasks"]),
        (f"{WITH} INSERT INTO tasks {ROW}", []),
        ("INSERT INTO task_lists VALUES (%(owner)s, 1, 1, 1)", []),
        (CREATE.text, ["task_lists", "tasks"]),
        (DELETE.plain.text, ["deleted_tasks"]),
        (REMOVE.text, ["deleted_tasks"]),
        (BRING_BACK.text, ["tasks"]),
    ],
)
def test_an_insert_in_a_cte_is_noticed(plans: Plans, text: str, found: list[str]) -> None:
    """By the plan's tree, with and without RETURNING; what one PostgreSQL is sent at once is among the samples."""
    known = {statement.text: statement.types for statement in STATEMENTS}
    statement = Statement("planted", text, (), known.get(text, {OWNER: "TEXT"}))

    assert sorted(plans.inserts_in_ctes(statement)) == found
