"""Wall 3 as a truth table: which statements may be prepared, and what is said of those that may not."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import (
    Column,
    Integer,
    MetaData,
    Table,
    Text,
    and_,
    bindparam,
    case,
    cast,
    column,
    delete,
    exists,
    extract,
    func,
    insert,
    lambda_stmt,
    lateral,
    literal,
    literal_column,
    not_,
    or_,
    select,
    table,
    text,
    true,
    tuple_,
    union,
    update,
    values,
)
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.orm import aliased
from sqlalchemy.sql import operators

from backend.app.config import PROJECT_ROOT
from backend.app.models import Task, metadata
from backend.app.repositories.scoping import UnscopedStatement, compile_scoped

tasks = metadata.tables["tasks"]
lists = metadata.tables["task_lists"]
other: Any = tasks.alias("other")  # Any: SQLAlchemy types what update() takes more narrowly than it is
third = tasks.alias("third")
sample = tasks.tablesample(10)
same_name = Table("alembic_version", MetaData(), Column("version_num", Text))
copied = tasks.to_metadata(MetaData())
unowned = Table("settings", metadata, Column("id", Integer))
metadata.remove(unowned)
light = table("tasks", column("user_id"), column("title"))
without_owner = table("tasks", column("title"))
other_task = aliased(Task)

owner = bindparam("owner", type_=Text)
mine = tasks.c.user_id == owner
my_list = lists.c.user_id == owner
others = other.c.user_id == owner
a_row = select(literal("u2"), literal("x")).scalar_subquery()
together = tasks.c.user_id == lists.c.user_id

INSERTED = {"user_id": owner, "id": 1, "title": "t"}
INSERTED_LIST = {"user_id": owner, "last_task_id": 1, "task_count": 1, "revision": 1}
NO_CONDITION = "tasks has no condition user_id = :owner of its own"
NO_CONDITION_ALIAS = "an alias of tasks has no condition user_id = :owner of its own"
NO_CONDITION_LIST = "task_lists has no condition user_id = :owner of its own"
NOT_OWNER = "an INSERT must write :owner itself into user_id"
NOT_A_TABLE = "is not one of the tables in models/"
TEXT = "text() cannot be checked"
OP = "op() is text, which cannot be checked"
WRITES_OWNER = "an UPDATE writes user_id"
NEVER = "it never names :owner"
EXPANDED = "a list of values is made into SQL only when it is executed"


def upserted(**options: Any) -> Any:
    conflict: dict[str, Any] = {"index_elements": [tasks.c.user_id, tasks.c.id], "set_": {"title": "x"}}
    return upsert(tasks).values(INSERTED).on_conflict_do_update(**{**conflict, **options})


def nested(inner: Any) -> Any:
    """`inner` as a CTE that only another CTE reads."""
    innermost = inner.cte("innermost")
    middle = select(innermost.c.id).cte("middle")
    return select(middle.c.id).where(owner == owner)  # noqa: PLR0124 - names the owner, confines nothing


def copied_from(names: list[str], *columns: Any) -> Any:
    """INSERT ... SELECT of these columns from the owner's own tasks."""
    return insert(tasks).from_select(names, select(*columns).where(mine))


CONFINED: dict[str, Callable[[], Any]] = {
    "select": lambda: select(tasks).where(mine),
    "select, two conditions": lambda: select(tasks).where(mine, tasks.c.id == 1),
    "select, nested and": lambda: select(tasks).where(and_(tasks.c.id == 1, and_(mine, tasks.c.completed))),
    "select, two calls of where": lambda: select(tasks).where(tasks.c.id == 1).where(mine),
    "select, not unequal": lambda: select(tasks).where(not_(tasks.c.user_id != owner)),
    "select for update": lambda: select(tasks).where(mine).with_for_update(),
    "select with only some columns": lambda: select(tasks).where(mine).with_only_columns(tasks.c.id),
    "count": lambda: select(func.count()).select_from(tasks).where(mine),
    "whole row": lambda: select(tasks.table_valued()).where(mine),
    "alias": lambda: select(other).where(others),
    "self join": lambda: select(tasks.c.id).join(other, tasks.c.id < other.c.id).where(mine, others),
    "join": lambda: select(tasks).join(lists, together).where(mine, my_list),
    "outer join": lambda: select(tasks).outerjoin(lists, together).where(mine, my_list),
    "CTE": lambda: select(select(tasks).where(mine).cte().c.id),
    "nested CTEs": lambda: nested(select(tasks).where(mine)),
    "recursive CTE": lambda: select(
        (c := select(tasks.c.id).where(mine).cte(recursive=True)).union_all(select(c.c.id + 1)).c.id
    ),
    "add_cte": lambda: select(tasks).where(mine).add_cte(delete(lists).where(my_list).cte()),
    "sub-select": lambda: select(select(tasks).where(mine).subquery().c.id),
    "exists": lambda: select(tasks).where(mine, exists().where(my_list)),
    "correlated exists": lambda: select(tasks).where(mine, exists(select(other.c.id).where(others, tasks.c.id > 1))),
    "lateral": lambda: (
        select(lists.c.revision, (s := lateral(select(tasks).where(mine))).c.id).join(s, true()).where(my_list)
    ),
    "union": lambda: union(select(tasks.c.id).where(mine), select(other.c.id).where(others)),
    "scalar sub-select": lambda: select(select(lists.c.revision).where(my_list).scalar_subquery()),
    "extract": lambda: select(extract("epoch", tasks.c.created_at)).where(mine),
    "case": lambda: select(case((tasks.c.completed, 1), else_=0)).where(mine),
    "collation": lambda: select(tasks).where(mine).order_by(tasks.c.title.collate("C")),
    "update": lambda: update(tasks).where(mine).values(title="x"),
    "update an alias": lambda: update(other).where(others).values(title="x"),
    "ordered update": lambda: update(tasks).where(mine).ordered_values((tasks.c.title, "x")),
    "update from": lambda: update(tasks).where(mine, my_list, together).values(revision=lists.c.revision),
    "delete": lambda: delete(tasks).where(mine),
    "delete using": lambda: delete(tasks).where(mine, my_list, together),
    "insert": lambda: insert(tasks).values(INSERTED),
    "insert by position": lambda: insert(tasks).values((owner, 1, "t", None, False, 1, None, None)),
    "insert from select": lambda: copied_from(["user_id", "id", "title"], owner, tasks.c.id + 1, tasks.c.title),
    "insert from select, labelled": lambda: copied_from(["user_id", "id"], owner.label("mine"), tasks.c.id + 1),
    "upsert": upserted,
    "upsert, do nothing": lambda: upsert(tasks).values(INSERTED).on_conflict_do_nothing(),
    "upsert with a confined sub-select": lambda: upserted(
        set_={"revision": select(lists.c.revision).where(my_list).scalar_subquery()}
    ),
    "ORM select": lambda: select(Task).where(Task.user_id == owner),  # type: ignore[arg-type] # SQLModel types it as str
    "ORM alias": lambda: select(other_task).where(other_task.user_id == owner),  # type: ignore[arg-type] # as above
    "ORM from_statement": lambda: select(Task).from_statement(select(tasks).where(mine)),
}

UNCONFINED: dict[str, tuple[str, Callable[[], Any]]] = {
    # Conditions that are missing, weaker than they look, or another table's.
    "select": (NO_CONDITION, lambda: select(tasks)),
    "select by id": (NO_CONDITION, lambda: select(tasks).where(tasks.c.id == owner)),
    "owner named elsewhere": (NO_CONDITION, lambda: select(tasks).where(owner == owner)),  # noqa: PLR0124 - on purpose
    "literal owner": (NO_CONDITION, lambda: select(tasks).where(tasks.c.user_id == "u1")),
    "literal owner, cast": (NO_CONDITION, lambda: select(tasks).where(tasks.c.user_id == cast("u1", Text))),
    "another parameter": (NO_CONDITION, lambda: select(tasks).where(tasks.c.user_id == bindparam("user"))),
    "not the owner": (NO_CONDITION, lambda: select(tasks).where(tasks.c.user_id != owner)),
    "negated": (NO_CONDITION, lambda: select(tasks).where(not_(mine))),
    "negated and": (NO_CONDITION, lambda: select(tasks).where(not_(and_(mine, tasks.c.completed)))),
    "above the owner": (NO_CONDITION, lambda: select(tasks).where(tasks.c.user_id >= owner)),
    "like the owner": (NO_CONDITION, lambda: select(tasks).where(tasks.c.user_id.like(owner))),
    "in the owner": (NO_CONDITION, lambda: select(tasks).where(tasks.c.user_id.in_([owner]))),
    "or": (NO_CONDITION, lambda: select(tasks).where(or_(mine, tasks.c.completed))),
    "or within and": (NO_CONDITION, lambda: select(tasks).where(and_(tasks.c.id > 1, or_(mine, tasks.c.id == 2)))),
    "two owners, ORed": (NO_CONDITION, lambda: select(tasks).where(or_(mine, tasks.c.user_id == "u2"))),
    "case": (NO_CONDITION, lambda: select(tasks).where(case((mine, true()), else_=true()))),
    "having": (NO_CONDITION, lambda: select(tasks.c.user_id).group_by(tasks.c.user_id).having(mine)),
    "another column": (NO_CONDITION, lambda: select(tasks).where(tasks.c.title == owner)),
    "cast column": (NO_CONDITION, lambda: select(tasks).where(cast(tasks.c.user_id, Text) == owner)),
    "lower-case owner": (NO_CONDITION, lambda: select(tasks).where(func.coalesce(tasks.c.user_id, "") == owner)),
    "alias confined, table not": (NO_CONDITION, lambda: select(tasks).where(others)),
    "another alias confined": (
        NO_CONDITION_ALIAS,
        lambda: select(other).where(exists(select(third.c.id).where(third.c.user_id == owner))),
    ),
    "self join, one side": (NO_CONDITION_ALIAS, lambda: select(tasks).join(other, tasks.c.id < other.c.id).where(mine)),
    "join, one side": (NO_CONDITION_LIST, lambda: select(tasks).join(lists, true()).where(mine)),
    "join, owner through the join": (NO_CONDITION_LIST, lambda: select(tasks).join(lists, together).where(mine)),
    "join, owner in ON": (NO_CONDITION_LIST, lambda: select(tasks).join(lists, my_list).where(mine)),
    "outer join, owner in ON": (NO_CONDITION, lambda: select(lists).outerjoin(tasks, mine).where(my_list)),
    "comma join": (NO_CONDITION_LIST, lambda: select(tasks.c.id, lists.c.revision).where(mine)),
    "select_from": (NO_CONDITION, lambda: select(owner).select_from(tasks)),
    "with_only_columns": (NO_CONDITION_LIST, lambda: select(tasks).where(mine).with_only_columns(lists.c.revision)),
    "whole row": (NO_CONDITION, lambda: select(tasks.table_valued(), owner)),
    "tablesample": (NO_CONDITION_ALIAS, lambda: select(sample.c.id).where(owner == owner)),  # noqa: PLR0124 - on purpose
    # Depths at which a table can hide.
    "CTE": (NO_CONDITION, lambda: select((c := select(tasks).cte()).c.id).where(c.c.user_id == owner)),
    "nested CTEs": (NO_CONDITION, lambda: nested(select(tasks))),
    "recursive CTE": (
        NO_CONDITION_ALIAS,
        lambda: select(select(tasks.c.id).where(mine).cte(recursive=True).union_all(select(other.c.id)).c.id),
    ),
    "add_cte": (NO_CONDITION_LIST, lambda: select(tasks).where(mine).add_cte(delete(lists).cte())),
    "add_cte to an insert": (NO_CONDITION, lambda: insert(lists).values(INSERTED_LIST).add_cte(delete(tasks).cte())),
    "writing CTE": (NO_CONDITION, lambda: select(update(tasks).values(title=owner).returning(tasks.c.id).cte().c.id)),
    "sub-select": (NO_CONDITION, lambda: select((s := select(tasks).subquery()).c.id).where(s.c.user_id == owner)),
    "exists": (NO_CONDITION_LIST, lambda: select(tasks).where(mine, exists().where(lists.c.revision > 1))),
    "exists, owner correlated": (
        NO_CONDITION_LIST,
        lambda: select(tasks).where(mine, exists(select(lists.c.revision).where(together))),
    ),
    "in a sub-select": (
        NO_CONDITION_LIST,
        lambda: select(tasks).where(mine, tasks.c.revision.in_(select(lists.c.revision))),
    ),
    "lateral": (NO_CONDITION, lambda: select(lists, lateral(select(tasks).where(together)).c.id).where(my_list)),
    "lateral table": (NO_CONDITION_ALIAS, lambda: select(tasks.lateral("l").c.id, owner)),
    "union": (NO_CONDITION_ALIAS, lambda: union(select(tasks.c.id).where(mine), select(other.c.id))),
    "scalar sub-select": (NO_CONDITION_LIST, lambda: select(select(lists.c.revision).scalar_subquery(), owner)),
    "order by a sub-select": (
        NO_CONDITION_LIST,
        lambda: select(tasks).where(mine).order_by(select(lists.c.revision).scalar_subquery()),
    ),
    "limit by a sub-select": (
        NO_CONDITION_LIST,
        lambda: select(tasks).where(mine).limit(select(lists.c.revision).scalar_subquery()),
    ),
    "case of a sub-select": (
        NO_CONDITION_LIST,
        lambda: select(case((select(lists.c.revision).scalar_subquery() > 1, 1))).select_from(tasks).where(mine),
    ),
    "argument of a function": (
        NO_CONDITION_LIST,
        lambda: select(func.coalesce(select(lists.c.revision).scalar_subquery(), 0)).select_from(tasks).where(mine),
    ),
    "returning a sub-select": (
        NO_CONDITION_LIST,
        lambda: delete(tasks).where(mine).returning(select(lists.c.revision).scalar_subquery()),
    ),
    "lambda statement": (NO_CONDITION, lambda: lambda_stmt(lambda: select(tasks))),
    # Inserts.
    "insert without an owner": (NOT_OWNER, lambda: insert(tasks).values(id=1, title=owner)),
    "insert without values": (NOT_OWNER, lambda: insert(tasks)),
    "insert a literal owner": (NOT_OWNER, lambda: insert(tasks).values({**INSERTED, "user_id": "u2", "title": owner})),
    "insert another parameter": (NOT_OWNER, lambda: insert(tasks).values({**INSERTED, "user_id": bindparam("user")})),
    "insert what is made of the owner": (
        NOT_OWNER,
        lambda: insert(tasks).values({**INSERTED, "user_id": owner.desc()}),
    ),
    "insert a function of the owner": (
        NOT_OWNER,
        lambda: insert(tasks).values({**INSERTED, "user_id": func.coalesce(owner, "u2")}),
    ),
    "insert several rows": (
        "values([...]) with several rows cannot be checked",
        lambda: insert(tasks).values([INSERTED, {**INSERTED, "user_id": "u2"}]),
    ),
    "insert a sub-select": (
        NO_CONDITION,
        lambda: insert(tasks).values({**INSERTED, "title": select(tasks.c.title).limit(1).scalar_subquery()}),
    ),
    "insert from select, owner at the wrong place": (
        NOT_OWNER,
        lambda: copied_from(["user_id", "title"], tasks.c.title, owner),
    ),
    "insert from select, owner column": (
        NOT_OWNER,
        lambda: copied_from(["user_id", "id"], tasks.c.user_id, tasks.c.id + 1),
    ),
    "insert from select, a column too many": (
        "INSERT ... SELECT names 2 columns and selects 3",
        lambda: copied_from(["user_id", "id"], owner, tasks.c.id, tasks.c.title),
    ),
    "insert from select without an owner": (NOT_OWNER, lambda: copied_from(["id", "title"], tasks.c.id, tasks.c.title)),
    "insert from select, not confined": (
        NO_CONDITION_ALIAS,
        lambda: insert(tasks).from_select(["user_id", "id"], select(owner, other.c.id)),
    ),
    "insert from union": (
        "INSERT ... SELECT must read from one SELECT",
        lambda: insert(tasks).from_select(
            ["user_id", "id"], union(select(owner, literal(1)), select(owner, literal(2)))
        ),
    ),
    "upsert on another key": (
        "ON CONFLICT must name user_id among the columns that conflict",
        lambda: upserted(index_elements=[tasks.c.id]),
    ),
    "upsert on a constraint": (
        "ON CONFLICT must name user_id among the columns that conflict",
        lambda: upserted(index_elements=None, constraint="pk_tasks"),
    ),
    "upsert that writes the owner": ("ON CONFLICT DO UPDATE writes user_id", lambda: upserted(set_={"user_id": "u2"})),
    "upsert that writes the owner by column": (
        "ON CONFLICT DO UPDATE writes user_id",
        lambda: upserted(set_={tasks.c.user_id: owner}),
    ),
    "upsert with a sub-select": (
        NO_CONDITION_LIST,
        lambda: upserted(set_={"revision": select(lists.c.revision).scalar_subquery()}),
    ),
    "upsert where exists": (NO_CONDITION_LIST, lambda: upserted(where=exists(select(lists.c.revision)))),
    "upsert with text": (TEXT, lambda: upserted(where=text("true"))),
    # Updates and deletes.
    "update": (NO_CONDITION, lambda: update(tasks).values(title=owner)),
    "update an alias": (NO_CONDITION_ALIAS, lambda: update(other).where(mine).values(title="x")),
    "update the owner": (WRITES_OWNER, lambda: update(tasks).where(mine).values(user_id="u2")),
    "update the owner to itself": (WRITES_OWNER, lambda: update(tasks).where(mine).values({tasks.c.user_id: owner})),
    "ordered update of the owner": (
        WRITES_OWNER,
        lambda: update(tasks).where(mine).ordered_values((tasks.c.title, "x"), (tasks.c.user_id, owner)),
    ),
    "ORM update of the owner": (
        WRITES_OWNER,
        lambda: update(Task).where(mine).values({Task.user_id: owner}),
    ),
    "update of a row value": (
        "an UPDATE must write single columns",
        lambda: update(tasks).where(mine).values({tuple_(tasks.c.user_id, tasks.c.title): a_row}),
    ),
    "update of every column": ("an UPDATE must say what it writes", lambda: update(tasks).where(mine)),
    "update to a sub-select": (
        NO_CONDITION_LIST,
        lambda: update(tasks).where(mine).values(revision=select(lists.c.revision).scalar_subquery()),
    ),
    "update from, owner through the join": (
        NO_CONDITION_LIST,
        lambda: update(tasks).where(mine, together).values(revision=lists.c.revision),
    ),
    "delete": (NO_CONDITION, lambda: delete(tasks).where(tasks.c.title == owner)),
    "delete using, owner through the join": (NO_CONDITION_LIST, lambda: delete(tasks).where(mine, together)),
    # Text.
    "text": (TEXT, lambda: text("SELECT * FROM tasks WHERE user_id = :owner")),
    "text with columns": (TEXT, lambda: text("SELECT id FROM tasks").columns(column("id"))),
    "text condition": (TEXT, lambda: select(tasks).where(mine, text("true"))),
    "text column": (TEXT, lambda: select(text("(SELECT count(*) FROM tasks)")).where(owner == owner)),  # noqa: PLR0124 - on purpose
    "text order": (TEXT, lambda: select(tasks).where(mine).order_by(text("id"))),
    "text beside a keyword": (TEXT, lambda: select(tasks).where(mine).prefix_with("MATERIALIZED SELECT 1,")),
    "text table": (TEXT, lambda: select(text("1")).select_from(text("tasks"))),
    "literal column": (
        "literal_column() cannot be checked",
        lambda: select(literal_column("(SELECT count(*) FROM tasks)")).where(owner == owner),  # noqa: PLR0124 - on purpose
    ),
    "prefix": (TEXT, lambda: select(tasks).where(mine).prefix_with("(SELECT 1 FROM task_lists),")),
    "suffix": (TEXT, lambda: select(tasks).where(mine).suffix_with("UNION SELECT * FROM tasks")),
    "CTE suffix": (TEXT, lambda: select(select(tasks).where(mine).cte().suffix_with("x").c.id)),
    "insert prefix": (TEXT, lambda: insert(tasks).values(INSERTED).prefix_with("x")),
    "statement hint": (
        "a hint is text, which cannot be checked",
        lambda: select(tasks).where(mine).with_statement_hint("UNION SELECT * FROM tasks"),
    ),
    "operator": (OP, lambda: select(tasks).where(mine, tasks.c.title.op("= '' OR true OR '' =")("x"))),
    "boolean operator": (OP, lambda: select(tasks).where(mine, tasks.c.title.bool_op("= '' OR true OR '' =")("x"))),
    "prefix operator": (OP, lambda: select(tasks).where(mine, operators.custom_op("x")(tasks.c.title, "y"))),
    "field of extract": (
        "a field to extract() is text, which cannot be checked",
        lambda: select(extract("day FROM now()), (SELECT 1 FROM tasks), extract(day", tasks.c.created_at)).where(mine),
    ),
    # Functions that reach further than their arguments.
    "query_to_xml": (
        "query_to_xml() is not one of the FUNCTIONS",
        lambda: select(func.query_to_xml("SELECT * FROM tasks", True, False, "")).where(owner == owner),  # noqa: PLR0124 - on purpose
    ),
    "set_config": (
        "set_config() is not one of the FUNCTIONS",
        lambda: select(func.set_config("app.user_id", "u2", True), tasks).where(mine),
    ),
    "function of a schema": (
        "count() is not one of the FUNCTIONS",
        lambda: select(func.public.count(owner)),
    ),
    "table-valued function": (
        "read_tasks() is not one of the FUNCTIONS",
        lambda: select(func.read_tasks(owner).table_valued("id")),
    ),
    # Tables that are not this program's own.
    "lightweight table": (NOT_A_TABLE, lambda: select(light).where(light.c.user_id == owner)),
    "lightweight insert": (NOT_A_TABLE, lambda: insert(without_owner).values(title=owner)),
    "lightweight update": (NOT_A_TABLE, lambda: update(without_owner).values(title=owner)),
    "lightweight delete": (NOT_A_TABLE, lambda: delete(light).where(light.c.user_id == owner)),
    "another metadata": (NOT_A_TABLE, lambda: select(copied).where(copied.c.user_id == owner)),
    "insert into another metadata": (NOT_A_TABLE, lambda: insert(same_name).values(version_num=owner)),
    "table without owners": ("settings has no user_id", lambda: select(unowned).where(owner == owner)),  # noqa: PLR0124 - on purpose
    # The owner itself.
    "never named": (NEVER, lambda: select(literal(1))),
    "values that never name it": (NEVER, lambda: select(values(column("a", Integer)).data([(1,)]).c.a)),
    "owner with a value": (NO_CONDITION, lambda: select(tasks).where(tasks.c.user_id == bindparam("owner", "u2"))),
    "owner with a value beside": (
        ":owner has a value already",
        lambda: select(tasks).where(mine, tasks.c.title != bindparam("owner", "u2")),
    ),
    "owner as a list": (EXPANDED, lambda: select(tasks).where(tasks.c.user_id == bindparam("owner", expanding=True))),
    "owner rendered late": (
        EXPANDED,
        lambda: select(tasks).where(tasks.c.user_id == bindparam("owner", literal_execute=True)),
    ),
    # ORM.
    "ORM select": (NO_CONDITION, lambda: select(Task).where(Task.title == owner)),  # type: ignore[arg-type] # SQLModel types it as str
    "ORM alias": (NO_CONDITION_ALIAS, lambda: select(other_task).where(mine)),
    "ORM from_statement": (
        NO_CONDITION,
        lambda: select(Task).from_statement(select(tasks).where(tasks.c.title == owner)),
    ),
    "ORM from text": (TEXT, lambda: select(Task).from_statement(text("SELECT * FROM tasks"))),
}


@pytest.mark.parametrize("statement", CONFINED.values(), ids=CONFINED)
def test_a_confined_statement_is_prepared(statement: Callable[[], Any]) -> None:
    """A statement in which every table carries its owner becomes SQL in which the owner is a parameter."""
    prepared = compile_scoped("confined", statement())

    assert "%(owner)s" in prepared.text


@pytest.mark.parametrize(("reason", "statement"), UNCONFINED.values(), ids=UNCONFINED)
def test_an_unconfined_statement_is_refused(reason: str, statement: Callable[[], Any]) -> None:
    """A statement that could reach another user's rows, or that cannot be checked, is refused and says why."""
    with pytest.raises(UnscopedStatement) as refusal:
        compile_scoped("get everything", statement())

    assert str(refusal.value).startswith(f"Statement 'get everything' is not confined to its owner: {reason}") or (
        reason == NOT_A_TABLE and reason in str(refusal.value)
    )


def test_a_constant_is_never_taken_for_a_parameter() -> None:
    """Constants become literals in one pass, so one that looks like a placeholder brings no other into the text."""
    statement: Any = select(literal("%(param_2)s").label("a"), literal("' OR true --").label("b")).where(mine)

    prepared = compile_scoped("constants", statement)

    assert "SELECT '%%(param_2)s' AS a, ''' OR true --' AS b" in prepared.text


IMPORTED = """
from sqlalchemy import select

from backend.app.models import metadata
from backend.app.repositories.scoping import compile_scoped

EVERYTHING = compile_scoped("list everybody's tasks", select(metadata.tables["tasks"]))
"""


def test_an_unconfined_statement_stops_the_program_at_import(tmp_path: Path) -> None:
    """A module that prepares an unconfined statement cannot be imported, and the message names the statement."""
    module = tmp_path / "careless.py"
    module.write_text(IMPORTED)

    program = f"import sys; sys.path.insert(0, {str(tmp_path)!r}); import careless"
    ended = subprocess.run(
        [sys.executable, "-c", program], cwd=PROJECT_ROOT, capture_output=True, text=True, check=False
    )

    assert ended.returncode == 1
    assert "careless.py" in ended.stderr
    assert ended.stderr.splitlines()[-1].endswith(
        f'UnscopedStatement: Statement "list everybody\'s tasks" is not confined to its owner: {NO_CONDITION}'
    )
