"""Give a copy of a database roles of its own: python -m scripts.own_role

A copy (CREATE DATABASE ... TEMPLATE, or a dump that was restored on the same server) is confined to the roles of the
database that it was made of. Runs as the owner of the tables, after `alembic upgrade head`, in one transaction.
"""

import argparse
import contextlib
import sys
from typing import Any

import psycopg2
from psycopg2.sql import SQL, Composable, Identifier

from backend.app import config
from backend.app.config import DatabaseSettings
from backend.app.db import dsn
from backend.app.db.row_security import SET_SEARCH_PATH
from backend.app.models import SCHEMA
from backend.app.problems import StartupError

# The policies that name the roles, and what stands behind the name of the first role in those of the others.
SUFFIXES = {"own_rows": "", "purge": "_purge", "deliver": "_deliver"}
# As the migrations name them: 0005 the first two, 0012 the third, within PostgreSQL's 63 bytes.
DEFAULT_NAME = """
SELECT 'tasks_api_' || rtrim(left(regexp_replace(lower(current_database()), '[^a-z0-9]+', '_', 'g'), 30), '_') || '_'
  || left(encode(sha256(convert_to(current_database(), 'UTF8')), 'hex'), 16)
"""
DELIVER_CHARACTERS = 55
FIND_ROLES = """
SELECT DISTINCT p.polname::text, r.rolname::text
FROM pg_policy p JOIN pg_class c ON c.oid = p.polrelid JOIN pg_roles r ON r.oid = ANY (p.polroles)
WHERE c.relnamespace = %(schema)s::regnamespace AND p.polname = ANY (%(policies)s)
"""
FIND_POLICIES = """
SELECT p.polname::text, c.relname::text
FROM pg_policy p JOIN pg_class c ON c.oid = p.polrelid JOIN pg_roles r ON r.oid = ANY (p.polroles)
WHERE c.relnamespace = %(schema)s::regnamespace AND r.rolname = %(role)s
"""
FIND_RIGHTS = """
SELECT c.relname::text, NULL, acl.privilege_type FROM pg_class c, aclexplode(c.relacl) AS acl
  JOIN pg_roles r ON r.oid = acl.grantee
  WHERE c.relnamespace = %(schema)s::regnamespace AND r.rolname = %(role)s
UNION SELECT c.relname::text, a.attname::text, acl.privilege_type
  FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid, aclexplode(a.attacl) AS acl
  JOIN pg_roles r ON r.oid = acl.grantee
  WHERE c.relnamespace = %(schema)s::regnamespace AND r.rolname = %(role)s
"""


def take_own_roles(cursor: Any, name: str | None) -> str | None:
    """Move the rights and policies of each role to one of this database's own; the first one's name, None if it is.

    Raises StartupError where the database is not migrated.
    """
    cursor.execute(SET_SEARCH_PATH)
    cursor.execute("SET LOCAL lock_timeout = '5s'")
    cursor.execute(FIND_ROLES, {"schema": SCHEMA, "policies": list(SUFFIXES)})
    found = cursor.fetchall()
    if len(found) != len(SUFFIXES):
        raise StartupError("the database is not migrated to this version yet: run `alembic upgrade head`.")
    if name is None:
        cursor.execute(DEFAULT_NAME)
        name = str(cursor.fetchone()[0])
    if dict(found)["own_rows"] == name:
        return None
    for policy, role in found:
        stem = name[:DELIVER_CHARACTERS] if policy == "deliver" else name
        _move(cursor, role, stem + SUFFIXES[policy])
    return name


def _move(cursor: Any, role: str, own: str) -> None:
    cursor.execute("SELECT count(*) FROM pg_roles WHERE rolname = %s", (own,))
    if cursor.fetchone() == (0,):
        _run(cursor, "CREATE ROLE {} NOLOGIN NOINHERIT", own)
    _run(cursor, "GRANT {} TO CURRENT_USER", own)
    cursor.execute(FIND_RIGHTS, {"schema": SCHEMA, "role": role})
    rights = cursor.fetchall()
    for table, column, privilege in rights:
        of_column = SQL("") if column is None else SQL("({})").format(Identifier(column))
        _run(cursor, "GRANT {} {} ON {} TO {}", SQL(privilege), of_column, Identifier(SCHEMA, table), own)
    for table in sorted({table for table, _, _ in rights}):
        _run(cursor, "REVOKE ALL ON {} FROM {}", Identifier(SCHEMA, table), role)
    cursor.execute(FIND_POLICIES, {"schema": SCHEMA, "role": role})
    for policy, table in cursor.fetchall():
        _run(cursor, "ALTER POLICY {} ON {} TO {}", policy, Identifier(SCHEMA, table), own)


def _run(cursor: Any, statement: str, *parts: str | Composable) -> None:
    cursor.execute(SQL(statement).format(*(Identifier(part) if isinstance(part, str) else part for part in parts)))


def copy_url(settings: DatabaseSettings) -> str:
    """Raises StartupError where there can be no copy."""
    if settings.maintenance_url is None or settings.database_cluster is not None:
        raise StartupError("set DATABASE_URL to the copy; on a cluster and on the embedded PostgreSQL there is none.")
    return dsn.checked(settings.maintenance_url, settings.maintenance_setting)


def main() -> None:
    """Exits with 1 and a sentence where the database cannot be used."""
    argparse.ArgumentParser(prog="python -m scripts.own_role", description=__doc__).parse_args()
    try:
        settings = config.load(DatabaseSettings)
        with contextlib.closing(psycopg2.connect(copy_url(settings))) as connection, connection:
            name = take_own_roles(connection.cursor(), settings.database_role)
    except (StartupError, psycopg2.Error) as error:
        sys.exit(f"Nothing is changed: {str(error).strip()}")
    if name is None:
        print("The database has roles of its own already.")
    else:
        print(f'The tables are confined to "{name}" now. Whoever serves needs it: GRANT "{name}" TO the_app_user')


if __name__ == "__main__":
    main()
