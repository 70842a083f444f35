"""A statement that was compiled once, as it is sent to PostgreSQL."""

import hashlib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

# The parameter that every statement on user-owned tables carries.
OWNER = "owner"

_PLACEHOLDER = re.compile(r"%\((?P<name>\w+)\)s")

Row = tuple[Any, ...]


@dataclass(frozen=True)
class Statement:
    """SQL text in the driver's format (`%(name)s`) and its columns' names; made by `repositories/scoping.py`.

    `preparation` and `execution` are the text as PREPARE and EXECUTE. `types` has the SQL type of every parameter;
    without it the statement is always sent in full. `shape` makes of a row what the repository hands out; by default a
    dict by columns. `bumps_revision` says that it gives the list a new revision where it writes anything.

    `steps` are the same write as statements that run one after the other in one transaction, for a database that does
    not run it as one (see `Preamble.in_steps`). Each step takes the columns of the steps before it as parameters. A
    step that should answer a row and does not is the last one, and nothing was written.
    """

    name: str
    text: str
    columns: tuple[str, ...]
    types: Mapping[str, str] = field(default_factory=dict)
    shape: Callable[[Row], dict[str, Any]] | None = None
    bumps_revision: bool = False
    steps: tuple["Statement", ...] = ()
    preparation: str = field(init=False)
    execution: str = field(init=False)

    def __post_init__(self) -> None:
        # Named after its text and its parameters' types: whoever has prepared this name before has prepared the same.
        # Another release may give a parameter another type.
        prepared = f"{self.text}\0{', '.join(self.types.values())}"
        name = f'"{hashlib.sha256(prepared.encode()).hexdigest()[:16]} {self.name}"'
        numbers = {parameter: f"${number}" for number, parameter in enumerate(self.types, 1)}
        body = _PLACEHOLDER.sub(lambda found: numbers.get(found["name"], found[0]), self.text)
        values = ", ".join(f"%({parameter})s" for parameter in self.types)
        object.__setattr__(self, "preparation", f"PREPARE {name} ({', '.join(self.types.values())}) AS {body}; ")
        object.__setattr__(self, "execution", f"EXECUTE {name} ({values})")

    def has_bumped_revision(self, rows: list[Row]) -> bool:
        """Whether it gave the list a new revision: what was not written comes without a row, or as one of nulls."""
        return self.bumps_revision and bool(rows) and rows[0][0] is not None

    def shaped(self, rows: list[Row]) -> list[dict[str, Any]]:
        if self.shape is not None:
            return [self.shape(row) for row in rows]
        return [dict(zip(self.columns, row, strict=True)) for row in rows]
