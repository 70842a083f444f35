"""The orders of lists, and the places in them where a page can start.

By creation and by change there is an index; by title, due date and priority the user's rows are sorted, for an index
of each costs every write more than it saves these reads: some ten milliseconds for a user of 10,000 tasks.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from sqlalchemy import Table, bindparam, tuple_
from sqlalchemy.sql.elements import ColumnElement

from backend.app.domain.enums import Sort
from backend.app.domain.keys import TITLE_KEY_MAX
from backend.app.domain.limits import ID_MAX
from backend.app.domain.positions import POSITION_CHARACTERS_MAX
from backend.app.repositories.mapping import PRIORITY_NUMBERS, plain

# The least and the greatest of a column, for where a first page starts: no page begins with another statement.
_LONGEST_KEY = chr(0x10FFFF) * (TITLE_KEY_MAX + 1)
_LAST_POSITION = "~" * (POSITION_CHARACTERS_MAX + 1)
# As PostgreSQL writes a moment in UTC.
_MOMENT = re.compile(r"([0-9]{4}-[0-9]{2}-[0-9]{2}) ([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\.[0-9]{1,6})?\+00")


@dataclass(frozen=True, slots=True)
class Order:
    """How a list is sorted: by columns that end with a unique one, in one direction.

    `ends` are the least place and the greatest: a list begins at one of them.
    """

    names: tuple[str, ...]
    ends: tuple[tuple[Any, ...], tuple[Any, ...]]
    descending: bool = False

    def first_position(self) -> tuple[Any, ...]:
        return self.ends[self.descending]

    def is_position(self, place: Sequence[Any]) -> bool:
        """Whether a page can start there, wherever that was taken from."""
        return len(place) == len(self.names) and all(
            _is_value(name, part, least, greatest)
            for name, part, least, greatest in zip(self.names, place, *self.ends, strict=True)
        )

    def after(self, table: Table) -> ColumnElement[bool]:
        """Whether a row comes after the one whose values the parameters `after_*` have."""
        columns = [table.c[name] for name in self.names]
        starts = [
            bindparam(f"after_{name}", type_=plain(column.type))
            for name, column in zip(self.names, columns, strict=True)
        ]
        ours: Any = columns[0] if len(columns) == 1 else tuple_(*columns)
        theirs: Any = starts[0] if len(columns) == 1 else tuple_(*starts)
        after: ColumnElement[bool] = ours < theirs if self.descending else ours > theirs
        return after

    def reversed(self) -> "Order":
        return Order(self.names, self.ends, not self.descending)


def _is_value(name: str, part: Any, least: Any, greatest: Any) -> bool:
    """Whether PostgreSQL can compare this with the column: it has the column's type and lies in its range."""
    if isinstance(least, int):
        return isinstance(part, int) and not isinstance(part, bool) and least <= part <= greatest
    if not isinstance(part, str):
        return False
    if name == "due_at":
        return part in (least, greatest) or _is_moment(part)
    return len(part) <= len(greatest) and "\0" not in part


def _is_moment(text: str) -> bool:
    found = _MOMENT.fullmatch(text)
    try:
        return found is not None and bool(date.fromisoformat(found[1]))
    except ValueError:
        return False


_ORDERS = {
    Sort.CREATED: Order(("id",), ((0,), (ID_MAX,)), descending=True),
    Sort.UPDATED: Order(("revision",), ((0,), (ID_MAX,)), descending=True),
    Sort.TITLE: Order(("title_key", "id"), (("", 0), (_LONGEST_KEY, ID_MAX))),
    Sort.DUE_DATE: Order(("due_at", "id"), (("-infinity", 0), ("infinity", ID_MAX))),
    # Read along two indexes (query_statements.py).
    Sort.POSITION: Order(("position", "id"), (("", 0), (_LAST_POSITION, ID_MAX))),
    Sort.PRIORITY: Order(("priority", "id"), ((0, 0), (max(PRIORITY_NUMBERS.values()), ID_MAX)), descending=True),
}
ORDERS = _ORDERS | {Sort(f"-{sort}"): order.reversed() for sort, order in _ORDERS.items()}
