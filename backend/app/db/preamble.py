"""How an owner's statements are introduced to the database: the settings that confine them, and how these are sent."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from backend.app.db import row_security
from backend.app.db.statement import OWNER
from backend.app.models import NO_COUNTS, SCHEMA

# Stand in the texts below for the statement timeout in milliseconds, and for the role that the database names.
TIMEOUT = "{milliseconds}"
ROLE = "{role}"

SET_OWNER = f"SET LOCAL {row_security.OWNER_SETTING} = %({OWNER})s"
SET_TIMEOUT = f"SET LOCAL statement_timeout = {TIMEOUT}"
# A process that stops between two messages must not keep its locks.
SET_IDLE_TIMEOUT = f"SET LOCAL idle_in_transaction_session_timeout = {TIMEOUT}"
# One transaction of an owner at a time, or two that touch the same rows in another order would wait for each other:
# waits until no other write of the user is under way, and makes the list where there is none. `WHERE false` locks the
# row and writes no new one. A lock of the row's, for an advisory lock may be taken by every login of the server.
LOCK_LIST = (
    f"INSERT INTO {SCHEMA}.task_lists AS list "  # noqa: S608 - put together of constants
    f"(user_id, last_task_id, task_count, revision, horizon, {', '.join(NO_COUNTS)}) "
    f"VALUES (%({OWNER})s, 0, 0, %(first_revision)s, %(first_revision)s, {', '.join(map(str, NO_COUNTS.values()))}) "
    "ON CONFLICT (user_id) DO UPDATE SET task_count = list.task_count WHERE false"
)


@dataclass(frozen=True)
class Opening:
    """What precedes the first statement: `messages` are sent one by one, `prefix` stands in the statement's message."""

    prefix: str = ""
    messages: tuple[str, ...] = ()

    def with_text(self, placeholder: str, text: str) -> "Opening":
        messages = tuple(message.replace(placeholder, text) for message in self.messages)
        return Opening(self.prefix.replace(placeholder, text), messages)


@dataclass(frozen=True)
class Preamble:
    """How `Database` opens the session of an owner. Whatever is set ends with the transaction (SET LOCAL).

    `statement` opens a statement that runs alone: where that takes messages, in an explicit transaction. `owner_change`
    goes ahead of a statement of another owner than the one before, in a transaction of two.
    `isolation_parameters` are what `row_security.FAULTS` asks about the login. `in_steps`: a write that has steps runs
    as those.
    """

    statement: Opening
    transaction: Opening
    owner_change: Opening
    isolation_parameters: Mapping[str, Any] = field(repr=False)
    in_steps: bool = False

    def with_timeout(self, seconds: float) -> "Preamble":
        """The same with a statement timeout."""
        return self._with_text(TIMEOUT, str(round(seconds * 1000)))

    def with_role(self, role: str) -> "Preamble":
        """The same, running as the role that the database confines."""
        return self._with_text(ROLE, row_security.quoted(role))

    def _with_text(self, placeholder: str, text: str) -> "Preamble":
        return replace(
            self,
            statement=self.statement.with_text(placeholder, text),
            transaction=self.transaction.with_text(placeholder, text),
        )


_SETTINGS = f"SET LOCAL ROLE {ROLE}; {SET_OWNER}; {row_security.SET_SEARCH_PATH}; {SET_TIMEOUT}; "

# PostgreSQL, directly or behind a pooler: one message each, which PostgreSQL runs as one implicit transaction.
POSTGRESQL = Preamble(
    statement=Opening(prefix=_SETTINGS),
    transaction=Opening(prefix=f"BEGIN; {_SETTINGS}{SET_IDLE_TIMEOUT}; {LOCK_LIST}; "),
    owner_change=Opening(prefix=f"{SET_OWNER}; "),
    isolation_parameters=row_security.PARAMETERS,
)
