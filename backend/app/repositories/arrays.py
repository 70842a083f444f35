"""Rows that a statement takes as one array for each column, so that one text serves any number of them."""

from collections.abc import Iterable, Iterator
from typing import Any, Final, TypeVar

from sqlalchemy import ARRAY, Table, Text, bindparam, func
from sqlalchemy.sql.selectable import FromClause

from backend.app.repositories.mapping import plain

# Between the members of a list, which travel in one text: none of them contains it.
SEPARATOR: Final = "\x1f"

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


def slices(items: list[Item], size: int) -> Iterator[list[Item]]:
    """The items in their order, so many at a time: what one execution of a statement takes."""
    for start in range(0, len(items), size):
        yield items[start : start + size]
