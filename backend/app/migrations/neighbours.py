"""What other logins may have put where a migration looks for names: it would run as the owner of the tables.

A migration names functions, operators and types without their schema, and one that somebody made in `public` may fit a
call better than PostgreSQL's own (CVE-2018-1058). Statements of the API search `pg_catalog` alone; see
`db/row_security.py`.
"""

from alembic.util import CommandError
from sqlalchemy import Connection, text

from backend.app.db.row_security import SET_SEARCH_PATH

# Asked for by its full name, before anything is searched for.
SEARCHED = text("SELECT pg_catalog.current_schemas(false)")
FAULTS = text("""
WITH owners AS (
  SELECT oid FROM pg_roles WHERE rolsuper OR rolname IN (current_user, 'pg_database_owner')
  UNION SELECT datdba FROM pg_database WHERE datname = current_database()
  UNION SELECT relowner FROM pg_class WHERE oid = to_regclass('public.task_lists')
),
searched AS (SELECT * FROM pg_namespace WHERE nspname::text = ANY (:schemas))
SELECT format('schema %I belongs to %s', nspname, nspowner::regrole) FROM searched
  WHERE nspowner NOT IN (SELECT oid FROM owners)
UNION ALL
SELECT format(
    '%1$s may create things in schema %2$I; its owner, or an administrator, runs: '
    'REVOKE CREATE ON SCHEMA %2$I FROM %1$s', coalesce(quote_ident(grantee.rolname), 'PUBLIC'), nspname)
  FROM searched, aclexplode(nspacl) AS granted LEFT JOIN pg_roles grantee ON grantee.oid = granted.grantee
  WHERE granted.privilege_type = 'CREATE' AND granted.grantee NOT IN (SELECT oid FROM owners UNION SELECT nspowner)
UNION ALL
SELECT format('%s %I.%I belongs to %s; drop it, or give it to the owner of the database', kind, nspname, name,
    owner::regrole)
  FROM searched, LATERAL (
    SELECT 'function' AS kind, proname AS name, proowner AS owner FROM pg_proc WHERE pronamespace = searched.oid
    UNION SELECT 'operator', oprname, oprowner FROM pg_operator WHERE oprnamespace = searched.oid
    -- Not the types that PostgreSQL makes for tables and for arrays.
    UNION SELECT 'type', typname, typowner FROM pg_type
      WHERE typnamespace = searched.oid AND typrelid = 0 AND typcategory <> 'A'
  ) AS found WHERE owner NOT IN (SELECT oid FROM owners)
ORDER BY 1
""")
FAULTS_SHOWN = 20


def require_none(connection: Connection) -> None:
    """Raises CommandError where others have put something into the schemas that are searched, or may do so."""
    with connection.begin():
        schemas = connection.execute(SEARCHED).scalar_one()
        connection.execute(text(SET_SEARCH_PATH))
        faults = list(connection.execute(FAULTS, {"schemas": schemas}).scalars())
    if faults:
        raise CommandError(
            "Refusing to migrate: PostgreSQL might call what others wrote, as the owner of the tables: "
            f"{'; '.join(faults[:FAULTS_SHOWN])}."
        )
