"""The PostgreSQL of a run of the tests, and the way that the API takes to it."""

import contextlib
import secrets
from collections.abc import Iterator
from typing import Any

import psycopg2

from tests.support.servers import Pooler


class Server:
    """The embedded PostgreSQL of this run; `url` is a superuser's. The API logs in as `login`, perhaps by a pooler."""

    def __init__(self, url: str, login: str = "tasks_login", pooler: Pooler | None = None) -> None:
        self.url = url
        self.login = login
        self.pooler = pooler

    def api_url(self, name: str) -> str:
        """The way that the API takes to this database in this run."""
        url = self.database_url(name, self.login)
        return url if self.pooler is None else self.pooler.url(url)

    def database_url(self, name: str, user: str = "postgres") -> str:
        before, _, query = self.url.partition("?")
        return f"{before.rpartition('/')[0].replace('postgres@', f'{user}@')}/{name}?{query}"

    def execute(self, statement: str, *, database: str = "postgres") -> list[tuple[Any, ...]]:
        """Run a statement as the superuser, in a transaction of its own."""
        connection = psycopg2.connect(self.database_url(database))
        connection.autocommit = True
        with contextlib.closing(connection), connection.cursor() as cursor:
            cursor.execute(statement)
            return cursor.fetchall() if cursor.description else []

    def run_as(self, user: str, name: str, *statements: str) -> list[tuple[Any, ...]]:
        """Run statements as this login of a database, in one transaction; the rows of the last one."""
        connection = psycopg2.connect(self.database_url(name, user))
        with contextlib.closing(connection), connection.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)
            rows = cursor.fetchall() if cursor.description else []
            connection.commit()
            return rows

    def role(self, kind: str = "own_rows", *, database: str = "migrated") -> str:
        """The role that the API's statements run as in this database; with `purge` or `deliver`, that program's."""
        [(name,)] = self.execute(
            "SELECT DISTINCT r.rolname FROM pg_policy p JOIN pg_roles r ON r.oid = ANY (p.polroles) "
            f"WHERE p.polname = '{kind}' AND r.rolname NOT IN ('tasks_api', 'tasks_purge')",
            database=database,
        )
        return str(name)

    def close_to_strangers(self, name: str) -> None:
        """As an operator does: not every login of the server may connect, but those that there are now."""
        self.execute(f"REVOKE CONNECT ON DATABASE {name} FROM PUBLIC")
        logins = self.execute("SELECT string_agg(quote_ident(rolname), ', ') FROM pg_roles WHERE rolcanlogin")
        self.execute(f"GRANT CONNECT ON DATABASE {name} TO {logins[0][0]}")

    def end_sessions(self, name: str) -> None:
        """End every connection to this database, also those that a pooler keeps."""
        self.execute(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'")

    @contextlib.contextmanager
    def member(self, login: str, role: str, name: str) -> Iterator[str]:
        """A login that is in the role, and may connect to this database; to all others it would be a fault later."""
        self.execute(f"CREATE ROLE {login} LOGIN IN ROLE {role}")
        self.execute(f"GRANT CONNECT ON DATABASE {name} TO {login}")
        try:
            yield login
        finally:
            self.execute(f"REVOKE {role} FROM {login}")

    def shared_database(self) -> contextlib.AbstractContextManager[str]:
        """The name of the one for all tests that change nothing but their own users' rows."""
        return self.new_database()

    @contextlib.contextmanager
    def new_database(self, *, migrated: bool = True) -> Iterator[str]:
        """The name of a database of the test's own; it is dropped afterwards."""
        name = f"test_{secrets.token_hex(6)}"
        self.execute(f"CREATE DATABASE {name} TEMPLATE {'migrated' if migrated else 'template0'}")
        self.close_to_strangers(name)
        try:
            yield name
        finally:
            self.execute(f"DROP DATABASE {name} WITH (FORCE)")
