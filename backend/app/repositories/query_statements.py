"""Statements that read the caller's tasks, each compiled once (see scoping.py): one, a page, how many, their tags.

Each list is one statement, along the index of its order or sorted from the user's rows (see sorting.py). The usual
list, newest first and by state at most, has three of its own; any other filter is looked at row by row.
"""

from typing import Any

from sqlalchemy import (
    ARRAY,
    BigInteger,
    Boolean,
    DateTime,
    Integer,
    Select,
    SmallInteger,
    Table,
    Text,
    and_,
    any_,
    bindparam,
    false,
    func,
    literal,
    not_,
    or_,
    select,
    true,
    tuple_,
    union_all,
)
from sqlalchemy.sql.elements import ColumnElement

from backend.app.db.statement import Statement
from backend.app.domain.due_dates import first_moment
from backend.app.domain.enums import DELETED_SORTS, Priority, Sort, Status
from backend.app.domain.keys import search_key, tag_key
from backend.app.domain.positions import unmoved, unmoved_after
from backend.app.repositories.mapping import (
    COUNTERS,
    DELETED,
    PRIORITY_NUMBERS,
    TASKS,
    in_utc,
    owner,
    row_to_task,
    shown,
    task_id,
)
from backend.app.repositories.scoping import compile_scoped
from backend.app.repositories.sorting import ORDERS
from backend.app.schemas.queries import TaskFilter

_limit = bindparam("limit", type_=Integer)
_my_list = COUNTERS.c.user_id == owner

REVISION = compile_scoped("get the list's revision", select(COUNTERS.c.revision).where(_my_list))
# For a transaction, which has locked this row: what it gives to new tasks and lists comes after these.
GET_COUNTERS = compile_scoped(
    "get the list's counters",
    select(
        COUNTERS.c.revision,
        COUNTERS.c.task_count,
        COUNTERS.c.last_task_id,
        func.coalesce(COUNTERS.c.last_list_id, 0).label("last_list_id"),
    ).where(_my_list),
)
REVISION_OF = compile_scoped(
    "get a task's revision", select(TASKS.c.revision).where(TASKS.c.user_id == owner, TASKS.c.id == task_id)
)
GET = compile_scoped(
    "get a task", select(*shown(TASKS)).where(TASKS.c.user_id == owner, TASKS.c.id == task_id), row_to_task
)


def _beside_revision(page: Select[Any]) -> Select[Any]:
    """The list's revision beside each row of the page, in its order.

    An empty page is one row of nulls beside the revision; who has never written anything has no row at all.
    """
    rows = page.subquery("page")
    # A join on nothing can only be made row by row, so the page's order stays, and nothing is sorted again.
    listed = select(COUNTERS.c.revision.label("list_revision"), *rows.c)
    return listed.select_from(COUNTERS.outerjoin(rows, literal(True))).where(_my_list)


def _newest(name: str, *conditions: ColumnElement[bool]) -> Statement:
    page = select(*shown(TASKS)).where(TASKS.c.user_id == owner, *conditions)
    before = TASKS.c.id < bindparam("before", type_=BigInteger)
    return compile_scoped(name, _beside_revision(page.where(before).order_by(TASKS.c.id.desc()).limit(_limit)))


# A statement for each status: all and open tasks have an index that ends where the page ends; completed ones are passed
# by the open that lie between them.
LIST = {
    Status.ALL: _newest("list tasks"),
    Status.PENDING: _newest("list pending tasks", TASKS.c.completed == false()),
    Status.COMPLETED: _newest("list completed tasks", TASKS.c.completed == true()),
}


def _unless_null(name: str, type_: Any, condition: Any) -> ColumnElement[bool]:
    """A filter that a request may leave out, as null."""
    parameter = bindparam(name, type_=type_)
    return or_(parameter.is_(None), condition(parameter))


_sought = bindparam("q", type_=Text)


def filters(table: Table) -> list[ColumnElement[bool]]:
    """The caller's tasks that meet every filter, each of which may be null; `filter_values` are their parameters."""
    columns = table.c
    overdue = and_(not_(columns.completed), columns.due_at < func.now())
    available = and_(not_(columns.completed), or_(columns.start_at.is_(None), columns.start_at <= func.now()))
    text = or_(*(func.strpos(column, _sought) > 0 for column in (columns.title_key, columns.description_key)))
    return [
        columns.user_id == owner,
        _unless_null("completed", Boolean, lambda completed: columns.completed == completed),
        _unless_null("priorities", ARRAY(SmallInteger), lambda some: columns.priority == any_(some)),
        _unless_null("tags", ARRAY(Text), columns.tag_keys.contains),
        _unless_null("due_before", DateTime(timezone=True), lambda moment: columns.due_at < moment),
        _unless_null(
            "due_after",
            DateTime(timezone=True),
            lambda moment: and_(columns.due_at >= moment, columns.due_date.is_not(None)),
        ),
        _unless_null("overdue", Boolean, lambda wanted: overdue == wanted),
        _unless_null("available", Boolean, lambda wanted: available == wanted),
        _unless_null("parent_id", BigInteger, lambda parent: func.coalesce(columns.parent_id, 0) == parent),
        _unless_null("list_id", BigInteger, lambda wanted: func.coalesce(columns.list_id, 0) == wanted),
        _unless_null("q", Text, lambda _: text),
    ]


def _found(table: Table, sort: Sort) -> Statement:
    order = ORDERS[sort]
    columns = [table.c[name] for name in order.names]
    place = [in_utc(column) if isinstance(column.type, DateTime) else column for column in columns]
    labelled = [column.label(f"place_{number}") for number, column in enumerate(place)]
    page = select(*shown(table), *labelled).where(*filters(table), order.after(table))
    if table is DELETED:
        page = page.add_columns(in_utc(DELETED.c.deleted_at)).where(not_(DELETED.c.purged))
    page = page.order_by(*(column.desc() if order.descending else column for column in columns)).limit(_limit)
    return compile_scoped(f"find {table.name} by {sort}", _beside_revision(page))


# The orders by position, and whether they are reversed.
PLACED = {Sort.POSITION: False, Sort.POSITION_REVERSED: True}


def _found_placed(name: str, *only: ColumnElement[bool], reverse: bool) -> Statement:
    """Tasks that were moved along their positions, and the others along their ids: a page of each, to be merged.

    Those that were never moved have no position in the database, for a plain write makes none.
    """
    place = (TASKS.c.position, TASKS.c.id)
    here = tuple_(bindparam("after_position", type_=Text), bindparam("after_id", type_=BigInteger))
    bound = bindparam("unmoved", type_=BigInteger)
    beyond = (tuple_(*place) < here, TASKS.c.id > bound) if reverse else (tuple_(*place) > here, TASKS.c.id < bound)
    conditions = (*filters(TASKS), *only)
    moved = select(*shown(TASKS)).where(*conditions, TASKS.c.position != "", beyond[0])
    others = select(*shown(TASKS)).where(*conditions, TASKS.c.position == "", beyond[1])
    pages = [
        moved.order_by(*(column.desc() if reverse else column for column in place)).limit(_limit).subquery("moved"),
        others.order_by(TASKS.c.id if reverse else TASKS.c.id.desc()).limit(_limit).subquery("others"),
    ]
    both = union_all(*(select(*page.c) for page in pages)).subquery("both")
    return compile_scoped(name, _beside_revision(select(*both.c)))


def unmoved_bound(key: str, task_id: int, *, reverse: bool) -> int:
    """Where the ids of unmoved tasks begin that stand beyond a place: below this, or above it where it is reversed."""
    bound = unmoved_after(key, task_id)
    return bound - (reverse and (unmoved(bound), bound) != (key, task_id))


FIND_PLACED = {reverse: _found_placed(f"find tasks by {sort}", reverse=reverse) for sort, reverse in PLACED.items()}
# With a condition of its own, for which there is an index.
_in_list = TASKS.c.list_id == bindparam("list_id", type_=BigInteger)
FIND_PLACED_IN_LIST = {
    reverse: _found_placed(f"find tasks of a list by {sort}", _in_list, reverse=reverse)
    for sort, reverse in PLACED.items()
}

FIND = {(TASKS, sort): _found(TASKS, sort) for sort in Sort if sort not in PLACED}
FIND |= {(DELETED, sort): _found(DELETED, sort) for sort in DELETED_SORTS}

COUNT = {
    TASKS: compile_scoped("count tasks", select(func.count().label("found")).select_from(TASKS).where(*filters(TASKS))),
    DELETED: compile_scoped(
        "count deleted tasks",
        select(func.count().label("found")).select_from(DELETED).where(*filters(DELETED), not_(DELETED.c.purged)),
    ),
}


def _tags() -> Select[Any]:
    each = func.unnest(TASKS.c.tag_keys, TASKS.c.tags).table_valued("tag_key", "tag").render_derived()
    counted = select(
        each.c.tag_key,
        func.min(each.c.tag).label("tag"),
        func.count().filter(not_(TASKS.c.completed)).label("open"),
        func.count().label("total"),
    ).select_from(TASKS.join(each, literal(True)))
    after = each.c.tag_key > bindparam("after_tag", type_=Text)
    page = (
        counted.where(TASKS.c.user_id == owner, after).group_by(each.c.tag_key).order_by(each.c.tag_key).limit(_limit)
    )
    return _beside_revision(page)


TAGS = compile_scoped("list tags", _tags())


_STATES = {Status.PENDING: False, Status.COMPLETED: True}


def filter_values(query: TaskFilter) -> dict[str, Any]:
    """The parameters of `filters`; null is no filter."""
    return {
        "completed": _STATES.get(query.status),
        "priorities": [PRIORITY_NUMBERS[None if one == "none" else Priority(one)] for one in query.priority] or None,
        "tags": [tag_key(tag) for tag in query.tag] or None,
        "due_before": query.due_before and first_moment(query.due_before),
        "due_after": query.due_after and first_moment(query.due_after),
        "overdue": query.overdue and query.overdue == "true",
        "available": query.available and query.available == "true",
        "parent_id": 0 if query.parent_id == "none" else query.parent_id,
        "list_id": 0 if query.list_id == "none" else query.list_id,
        "q": query.q and search_key(query.q),
    }
