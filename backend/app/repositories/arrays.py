"""Rows that a statement takes as one array for each column, so that one text serves any number of them."""

import asyncio
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from typing import Any, Final, TypeVar

from sqlalchemy import ARRAY, ColumnElement, Select, Table, Text, bindparam, func
from sqlalchemy.sql.selectable import FromClause

from backend.app.repositories.mapping import plain

# Between the members of a list, which travel in one text: none of them contains it.
SEPARATOR: Final = "\x1f"

# Of so many items something can be read in a millisecond.
LOOKED_AT_ONCE: Final = 5_000

Item = TypeVar("Item")


def is_list(table: Table, name: str) -> bool:
    """Whether a column holds a list of texts: in its array each is one text, joined with SEPARATOR."""
    return isinstance(table.c[name].type, ARRAY)


def rows_of_arrays(table: Table, names: Iterable[str]) -> tuple[FromClause, dict[str, Any]]:
    """The arrays `of_NAME` as rows, and these columns of them as the table has them."""
    types = {name: Text() if is_list(table, name) else plain(table.c[name].type) for name in names}
    arrays = [bindparam(f"of_{name}", type_=ARRAY(type_)) for name, type_ in types.items()]
    rows = func.unnest(*arrays).table_valued(*types).render_derived()
    return rows, {
        name: func.string_to_array(rows.c[name], SEPARATOR) if is_list(table, name) else rows.c[name] for name in types
    }


def array_of(rows: Select[Any]) -> ColumnElement[Any]:
    """The only column of these rows as an array, for `any_`: it is made once.

    As `IN (SELECT ...)`, PostgreSQL finds the rows anew for each one that it compares with them, where it takes a user
    for one with a few.
    """
    [column] = rows.selected_columns
    return func.array(rows.scalar_subquery(), type_=ARRAY(plain(column.type)))


def slices(items: list[Item], size: int) -> Iterator[list[Item]]:
    """The items in their order, so many at a time: what one execution of a statement takes."""
    for start in range(0, len(items), size):
        yield items[start : start + size]


async def looked_at(items: Sequence[Item]) -> AsyncIterator[Sequence[Item]]:
    """The items of a long file in their order, some at a time, with a turn for others after each."""
    for start in range(0, len(items), LOOKED_AT_ONCE):
        yield items[start : start + LOOKED_AT_ONCE]
        await asyncio.sleep(0)
