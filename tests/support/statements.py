"""Every statement that the repositories prepare, for tests that ask something of all of them."""

import dataclasses
import importlib
import pkgutil
from collections.abc import Iterator, Mapping
from typing import Any

from backend.app import repositories
from backend.app.db.statement import Statement
from backend.app.repositories.task_writes import DELETE

# A value for each SQL type, with which a statement can be explained.
SAMPLES: Mapping[str, Any] = {
    "BIGINT": 1,
    "BIGINT[]": [1],
    "BYTEA": b"a",
    "BOOLEAN": True,
    "BOOLEAN[]": [True],
    "INTEGER": 1,
    "SMALLINT": 1,
    "SMALLINT[]": [1],
    "TEXT": "a",
    "TEXT[]": ["1"],
    "TIMESTAMP WITH TIME ZONE": "2026-01-01T00:00:00Z",
    "TIMESTAMP WITH TIME ZONE[]": "{2096-01-01T00:00:00Z}",
}


def prepared() -> list[Statement]:
    """Once each, in the order of their names."""
    names = [module.name for module in pkgutil.iter_modules(repositories.__path__, f"{repositories.__name__}.")]
    values = [value for name in names for value in vars(importlib.import_module(name)).values()]
    found = {id(statement): statement for value in values for statement in within(value)}
    return sorted(found.values(), key=lambda statement: (statement.name, statement.text))


def on_cluster() -> list[Statement]:
    """What a cluster is asked: a write that has steps runs as those, and one task is deleted as several are."""
    never = {DELETE.plain.name, DELETE.conditional.name}
    return [statement for statement in prepared() if not statement.steps and statement.name not in never]


def named(statement: Statement) -> str:
    """A name that no other has, as PostgreSQL knows the prepared statement."""
    return f"{statement.name} {statement.execution.split()[1][1:5]}"


def within(value: Any) -> Iterator[Statement]:
    match value:
        case Statement():
            yield value
            yield from within(value.steps)
        case dict():
            for item in value.values():
                yield from within(item)
        case list() | tuple():
            for item in value:
                yield from within(item)
        case _ if dataclasses.is_dataclass(value) and not isinstance(value, type):
            for field in dataclasses.fields(value):
                yield from within(getattr(value, field.name))


def sample(statement: Statement) -> dict[str, Any]:
    """Values for all parameters of a statement."""
    return {name: SAMPLES[kind] for name, kind in statement.types.items()}
