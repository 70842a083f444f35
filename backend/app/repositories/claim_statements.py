"""Statements that read everything of one user and write it for another; each is confined to the owner it runs for."""

from typing import Any, Final

from sqlalchemy import (
    ARRAY,
    BigInteger,
    DateTime,
    Select,
    Table,
    Text,
    any_,
    bindparam,
    cast,
    false,
    func,
    insert,
    not_,
    select,
)
from sqlalchemy.sql.dml import ReturningInsert
from sqlalchemy.sql.elements import ColumnElement

from backend.app.repositories.arrays import rows_of_arrays
from backend.app.repositories.mapping import DELETED, DELETED_LISTS, NAMED_LISTS, TASKS, owner
from backend.app.repositories.scoping import compile_scoped

# What is moved. What stays behind and is erased: tombstones, the answers to keyed writes, and what is waited for of
# reminders, which the tasks that moved bring along.
MOVED: Final = (TASKS, DELETED)
MOVED_LISTS: Final = (NAMED_LISTS, DELETED_LISTS)

_after = bindparam("after_id", type_=BigInteger)
_most = bindparam("most", type_=BigInteger)
_ids = bindparam("ids", type_=ARRAY(BigInteger))


def names_of(table: Table) -> list[str]:
    """What is moved of a row: all but whose it is."""
    return [column.name for column in table.c if column.name != "user_id"]


def _kept(table: Table) -> tuple[ColumnElement[bool], ...]:
    mine = table.c.user_id == owner
    return (mine, not_(func.coalesce(table.c.purged, false()))) if "purged" in table.c else (mine,)


def _some_ids(table: Table) -> Select[Any]:
    return select(table.c.id).where(*_kept(table), table.c.id > _after).order_by(table.c.id).limit(_most)


def _some(table: Table) -> Select[Any]:
    columns = [_as_kept(table.c[name]) for name in names_of(table)]
    return select(*columns).where(*_kept(table), table.c.id == any_(_ids)).order_by(table.c.id)


def _as_kept(column: ColumnElement[Any]) -> ColumnElement[Any]:
    """A moment as PostgreSQL's text, which comes back as the same one: Python has no infinity."""
    return cast(column, Text).label(column.key) if isinstance(column.type, DateTime) else column


def _write(table: Table) -> ReturningInsert[Any]:
    rows, columns = rows_of_arrays(table, names_of(table))
    written = insert(table).from_select(["user_id", *columns], select(owner, *columns.values()).select_from(rows))
    return written.returning(table.c.id)


_ALL: Final = (*MOVED, *MOVED_LISTS)
IDS = {table: compile_scoped(f"read ids of {table.name}", _some_ids(table)) for table in _ALL}
ROWS = {table: compile_scoped(f"read rows of {table.name}", _some(table)) for table in _ALL}
WRITE = {table: compile_scoped(f"write rows of {table.name}", _write(table)) for table in _ALL}
