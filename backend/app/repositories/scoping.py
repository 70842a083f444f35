"""Wall 3: statements are prepared once, at import, and one that is not confined to its owner stops the program there.

The check sits in the SQL compiler, at the places where a table's name, or text that could hold one, becomes SQL. It
stops mistakes; what renders itself (a custom type or element, a name marked as quoted already) is left to wall 4.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Never

from sqlalchemy import BindParameter, Column, Delete, Insert, Select, Table, Update
from sqlalchemy.dialects.postgresql.base import PGCompiler
from sqlalchemy.dialects.postgresql.psycopg2 import PGDialect_psycopg2
from sqlalchemy.sql import operators
from sqlalchemy.sql.elements import BinaryExpression, BooleanClauseList, ColumnClause, Grouping, Label
from sqlalchemy.sql.selectable import AliasedReturnsRows, FromClause

from backend.app.db.statement import OWNER, Row, Statement
from backend.app.models import SCHEMA, metadata

OWNER_COLUMN = "user_id"

# Functions that see their arguments and nothing else: query_to_xml() reads any table, set_config() would move wall 4.
FUNCTIONS = frozenset(
    {
        "array",  # PostgreSQL's own word for the rows of a query, which is checked as any other
        "coalesce",
        "count",
        "greatest",
        "least",
        "max",
        "min",
        "now",
        "nullif",
        "octet_length",
        "row_number",
        "string_to_array",
        "strpos",
        "sum",
        "timezone",
        "unnest",
    }
)
# What text() may say: how a common table expression is computed.
KEYWORDS = frozenset({"MATERIALIZED"})
# Operators that SQLAlchemy has as text: whether an array contains another.
OPERATORS = frozenset({"@>"})

Shape = Callable[[Row], dict[str, Any]]

_PLACEHOLDER = re.compile(r"%%|%\((?P<name>[^)]*)\)s")


class UnscopedStatement(Exception):
    """A statement reaches a user-owned table without being confined to `user_id = :owner`."""


def compile_scoped(
    name: str,
    statement: Select[Any] | Insert | Update | Delete,
    shape: Shape | None = None,
    *,
    bumps_revision: bool = False,
    steps: tuple[Statement, ...] = (),
) -> Statement:
    """Check and compile a statement on user-owned tables; `shape` makes of a row what the repository hands out.

    `bumps_revision`: it gives the list a new revision, unless it answers no row, or nulls.

    In every SELECT, UPDATE and DELETE, at any depth, each user-owned table or alias must carry a top-level AND
    condition `x.user_id = :owner` of its own; an INSERT must write `:owner` itself. Functions must be in FUNCTIONS.
    Raises UnscopedStatement, which names the statement.
    """
    try:
        compiled = ScopedCompiler(_DIALECT, statement)
        compiled.check_parameters()
    except UnscopedStatement as error:
        raise UnscopedStatement(f"Statement {name!r} is not confined to its owner: {error}") from None
    # str(): a label is a subclass of str, which orjson takes for a key only as itself.
    columns = tuple(str(column.keyname) for column in compiled._result_columns)  # noqa: SLF001 - no public list of them
    text, types = compiled.text_with_constants(), compiled.parameter_types()
    return Statement(name, text, columns, types, shape, bumps_revision, steps)


class ScopedCompiler(PGCompiler):
    """Compiles like PostgreSQL's own compiler and refuses whatever is not confined."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._confined: list[frozenset[FromClause]] = []
        self._in_column = 0
        super().__init__(*args, **kwargs)

    @property
    def preparer(self) -> Any:
        """Names tables with their schema: statements run with a search_path that holds pg_catalog alone."""
        return _WITHOUT_SCHEMA if self._in_column else _WITH_SCHEMA

    @preparer.setter
    def preparer(self, _: Any) -> None:
        """SQLAlchemy sets its own."""

    def check_parameters(self) -> None:
        """Refuse a statement without :owner, or with one that has a value already and would stand for every other."""
        if OWNER not in self.binds:
            _refuse(f"it never names :{OWNER}")
        if any(parameter.key == OWNER and not parameter.required for parameter in self.bind_names):
            _refuse(f":{OWNER} has a value already")
        if self.post_compile_params or self.literal_execute_params:
            _refuse("a list of values is made into SQL only when it is executed; use = ANY of an array")

    def text_with_constants(self) -> str:
        """The SQL text, in which only what has no value yet is left as a parameter."""
        constants = {
            name: self.render_literal_value(parameter.effective_value, parameter.type)  # type: ignore[no-untyped-call] # as SQLAlchemy has it
            for parameter, name in self.bind_names.items()
            if not parameter.required
        }
        # One pass: a constant may itself look like a placeholder.
        return _PLACEHOLDER.sub(lambda found: constants.get(found["name"], found[0]), self.string)

    def parameter_types(self) -> dict[str, str]:
        """The SQL type of every parameter that is left, by name."""
        return {
            name: parameter.type.compile(dialect=self.dialect)
            for parameter, name in self.bind_names.items()
            if parameter.required
        }

    def visit_select(self, select_stmt: Select[Any], *args: Any, **kw: Any) -> str:
        return self._within(select_stmt.whereclause, super().visit_select, select_stmt, *args, **kw)

    def visit_update(self, update_stmt: Update, *args: Any, **kw: Any) -> str:
        written = _values(update_stmt)
        if not written:
            _refuse("an UPDATE must say what it writes, or it writes every column")
        if not all(isinstance(column, str | ColumnClause) for column in written):
            _refuse("an UPDATE must write single columns")
        if OWNER_COLUMN in {_name(column) for column in written}:
            _refuse(f"an UPDATE writes {OWNER_COLUMN}")
        return self._within(update_stmt.whereclause, super().visit_update, update_stmt, *args, **kw)

    def visit_delete(self, delete_stmt: Delete, *args: Any, **kw: Any) -> str:
        return self._within(delete_stmt.whereclause, super().visit_delete, delete_stmt, *args, **kw)

    def visit_insert(self, insert_stmt: Insert, *args: Any, **kw: Any) -> str:
        _require_ours(insert_stmt.table)
        _check_insert(insert_stmt)
        return self._within(None, super().visit_insert, insert_stmt, *args, **kw)

    def visit_on_conflict_do_update(self, on_conflict: Any, **kw: Any) -> str:
        if OWNER_COLUMN not in {_name(target) for target in on_conflict.inferred_target_elements or ()}:
            _refuse(f"ON CONFLICT must name {OWNER_COLUMN} among the columns that conflict")
        if OWNER_COLUMN in {_name(column) for column, _ in dict(on_conflict.update_values_to_set).items()}:
            _refuse(f"ON CONFLICT DO UPDATE writes {OWNER_COLUMN}")
        return str(super().visit_on_conflict_do_update(on_conflict, **kw))  # type: ignore[no-untyped-call] # as above

    def visit_table(self, table: Any, asfrom: Any = False, *args: Any, **kw: Any) -> str:
        alias = kw.get("enclosing_alias")
        self._require_confined(table if alias is None or alias.element is not table else alias, table)
        return str(super().visit_table(table, asfrom, *args, **kw))  # type: ignore[no-untyped-call] # as above

    def visit_textclause(self, textclause: Any, add_to_result_map: Any = None, **kw: Any) -> str:  # noqa: ARG002 - as above
        if textclause.text not in KEYWORDS:
            self.visit_textual_select()
        return str(textclause.text)

    def visit_textual_select(self, *_: Any, **__: Any) -> Never:
        _refuse("text() cannot be checked")

    visit_tstring = visit_textual_select

    def visit_custom_op_binary(self, element: Any, operator: Any, **kw: Any) -> str:
        if operator.opstring not in OPERATORS:
            self.visit_custom_op_unary_operator()
        return str(super().visit_custom_op_binary(element, operator, **kw))  # type: ignore[no-untyped-call] # as above

    def visit_custom_op_unary_operator(self, *_: Any, **__: Any) -> Never:
        _refuse("op() is text, which cannot be checked")

    visit_custom_op_unary_modifier = visit_custom_op_unary_operator

    def visit_extract(self, extract: Any, **kw: Any) -> str:
        if not extract.field.isidentifier():
            _refuse("a field to extract() is text, which cannot be checked")
        return str(super().visit_extract(extract, **kw))  # type: ignore[no-untyped-call] # as above

    def visit_function(self, func: Any, *args: Any, **kw: Any) -> str:
        if func.name.lower() not in FUNCTIONS or func.packagenames:
            _refuse(f"{func.name}() is not one of the FUNCTIONS in scoping.py, which are known to read no table")
        return str(super().visit_function(func, *args, **kw))

    def visit_column(self, column: Any, *args: Any, **kw: Any) -> str:
        if column.is_literal and column.name != "*":
            _refuse("literal_column() cannot be checked")
        self._in_column += 1
        try:
            return str(super().visit_column(column, *args, **kw))
        finally:
            self._in_column -= 1

    def get_statement_hint_text(self, hint_texts: Any) -> Never:  # noqa: ARG002 - SQLAlchemy's signature
        _refuse("a hint is text, which cannot be checked")

    def _within(self, where: Any, visit: Any, statement: Any, *args: Any, **kw: Any) -> str:
        self._confined.append(frozenset(_confined_by(where)))
        try:
            return str(visit(statement, *args, **kw))
        finally:
            self._confined.pop()

    def _require_confined(self, rendered: FromClause, table: FromClause) -> None:
        _require_ours(table)
        if rendered not in self._confined[-1]:
            _refuse(f"{_name(rendered)} has no condition {OWNER_COLUMN} = :{OWNER} of its own")


_DIALECT = PGDialect_psycopg2()  # type: ignore[no-untyped-call] # as SQLAlchemy has it
_WITHOUT_SCHEMA = _DIALECT.identifier_preparer
_WITH_SCHEMA = _DIALECT.preparer(_DIALECT)
_WITH_SCHEMA.schema_for_object = lambda table: SCHEMA if isinstance(table, Table) else ""


def _refuse(reason: str) -> Never:
    raise UnscopedStatement(reason)


def _name(named: Any) -> str:
    if isinstance(named, AliasedReturnsRows):
        return f"an alias of {_name(named.element)}"
    return str(getattr(named, "name", named))


def _require_ours(table: FromClause) -> None:
    if not isinstance(table, Table) or table.metadata is not metadata:
        _refuse(f"{_name(table)} is not one of the tables in models/")
    if OWNER_COLUMN not in table.c:
        _refuse(f"{_name(table)} has no {OWNER_COLUMN}")


def _is_owner(value: Any) -> bool:
    return isinstance(value, BindParameter) and value.key == OWNER and value.required


def _confined_by(where: Any) -> Iterator[FromClause]:
    """The tables and aliases that a top-level AND condition confines."""
    match where:
        case Grouping():
            yield from _confined_by(where.element)
        case BooleanClauseList() if where.operator is operators.and_:
            for clause in where.clauses:
                yield from _confined_by(clause)
        case BinaryExpression(operator=operators.eq, left=Column() as column, right=value):
            if column.name == OWNER_COLUMN and _is_owner(value):
                yield column.table
        case _:
            return


def _check_insert(insert: Insert) -> None:
    if insert._multi_values:  # noqa: SLF001 - no public way to see these
        _refuse("values([...]) with several rows cannot be checked")
    if insert.select is not None:
        names = list(insert._select_names or ())  # noqa: SLF001 - as above
        columns = _selected(insert.select)
        if len(names) != len(columns):
            _refuse(f"INSERT ... SELECT names {len(names)} columns and selects {len(columns)}")
        selected = dict(zip(names, columns, strict=True))
    else:
        selected = {_name(column): value for column, value in _values(insert).items()}
    if not _is_owner(_unlabelled(selected.get(OWNER_COLUMN))):
        _refuse(f"an INSERT must write :{OWNER} itself into {OWNER_COLUMN}")


def _values(statement: Insert | Update) -> Mapping[Any, Any]:
    return statement._values or {}  # noqa: SLF001 - SQLAlchemy has no public list of what a statement writes


def _selected(select: Any) -> list[Any]:
    if not isinstance(select, Select):
        _refuse("INSERT ... SELECT must read from one SELECT")
    return list(select.selected_columns)


def _unlabelled(value: Any) -> Any:
    return value.element if isinstance(value, Label) else value
