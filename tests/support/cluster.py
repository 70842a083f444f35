"""A real Citus cluster in place of the embedded server: what tests stand on where CITUS_DATABASE_URL is set.

    CITUS_DATABASE_URL=postgresql://postgres:...@coordinator/tasks_test ./scripts/test.sh

The URL is a superuser's, of a database of the tests' own with the extension made on every node; the nodes log in at
each other without a password, also as the API's role. What needs a database of its own, or is not about the cluster, is
left out.
"""

import contextlib
import os
import secrets
from collections.abc import Iterator
from typing import Never
from urllib.parse import quote, urlsplit

import pytest
from alembic import command

from backend.app.db import embedded
from tests.support.postgres import Server

VARIABLE = "CITUS_DATABASE_URL"
URL = os.environ.get(VARIABLE)
# Beside what no other way is about (see conftest.py): how statements are sent to one PostgreSQL.
LEFT_OUT = ("db/test_citus.py", "db/test_database.py", "migrations/test_distributable.py")


class ClusterServer(Server):
    """The coordinator, and the one database that all tests share."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self._password = secrets.token_hex(16)

    def set_up(self) -> None:
        """Migrate and distribute, and let the API's role log in."""
        alembic = embedded.alembic_for(self.url)
        alembic.attributes["cluster"] = "citus"
        command.upgrade(alembic, "head")
        name = urlsplit(self.url).path.removeprefix("/")
        self.login = self.role(database=name)
        self.execute(f"ALTER ROLE {self.login} LOGIN PASSWORD '{self._password}'")
        self.execute(f"ALTER ROLE {self.login} SET citus.propagate_set_commands = 'local'")
        self.close_to_strangers(name)

    def database_url(self, name: str, user: str = "postgres") -> str:  # noqa: ARG002 - there is one
        if user != self.login:
            return self.url
        parts = urlsplit(self.url)
        place = parts.netloc.rpartition("@")[2]
        return parts._replace(netloc=f"{quote(user)}:{self._password}@{place}").geturl()

    @contextlib.contextmanager
    def shared_database(self) -> Iterator[str]:
        yield urlsplit(self.url).path.removeprefix("/")

    def new_database(self, *, migrated: bool = True) -> Never:  # noqa: ARG002 - none is made
        pytest.skip("needs a database of its own, and the cluster has one")
