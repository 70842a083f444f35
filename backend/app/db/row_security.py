"""Wall 4 as the catalog shows it: what must stand in the database before the first statement is sent.

One query lists every fault. It also names the role that each statement runs as, which row-level security confines: the
one of this database that the policies are for.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from backend.app.models import SCHEMA, metadata
from backend.app.problems import StartupError

OWNER_SETTING = "app.user_id"
# Which operators, functions and types a statement means is settled here: only the server's administrator can add to
# this schema. Where others may CREATE in a schema that is searched, one of theirs may fit a call better than
# PostgreSQL's own, and would run with the user's name (CVE-2018-1058). Tables are named with their schema.
SET_SEARCH_PATH = "SET LOCAL search_path = pg_catalog, pg_temp"

ROLE = "role"
NOT_MIGRATED = "not migrated"
WALL_MISSING = "wall missing"

_COLUMNS = [(table.name, column.name) for table in metadata.sorted_tables for column in table.columns]

# How PostgreSQL spells the policies of the migrations.
_CONFINED = f"(user_id = current_setting('{OWNER_SETTING}'::text, true))"

PARAMETERS: dict[str, Any] = {
    "schema": SCHEMA,
    "shared_role": "tasks_api",
    "tables": [table for table, _ in _COLUMNS],
    "columns": [column for _, column in _COLUMNS],
    "confined": _CONFINED,
    "role_kind": ROLE,
    "not_migrated": NOT_MIGRATED,
    "wall_missing": WALL_MISSING,
    "itself": False,
}
# Where the login is the role itself, and Citus has to hand its settings on to the nodes that hold the rows.
PARAMETERS_OF_A_CLUSTER = {**PARAMETERS, "itself": True}


@dataclass(frozen=True, slots=True)
class Expectations:
    """What a deployment asks of its database beyond the walls.

    `role`: the name that the role must have, None for whichever the policies name. `no_neighbours`: nobody else may
    connect to the database, or create anything beside the tables.
    """

    role: str | None = None
    no_neighbours: bool = False

    def parameters(self) -> Mapping[str, Any]:
        return {"named": self.role, "strict": self.no_neighbours}


def quoted(role: str) -> str:
    """A role's name as an identifier in a text that has the driver's placeholders."""
    return '"' + role.replace('"', '""').replace("%", "%%") + '"'


def verdict(rows: list[tuple[Any, ...]]) -> tuple[str | None, str | None]:
    """The role to run as, or why the database is not migrated yet. Raises StartupError for a missing wall."""
    sentences = {kind: "; ".join(sentence for k, sentence in rows if k == kind) for kind, _ in rows}
    if NOT_MIGRATED in sentences:
        return None, sentences[NOT_MIGRATED]
    if WALL_MISSING in sentences:
        raise StartupError(
            f"Refusing to serve: the database would not confine a user to their own rows: {sentences[WALL_MISSING]}. "
            "Run `alembic upgrade head` as the owner of the tables, or undo what was changed by hand."
        )
    return sentences[ROLE], None


# Rows of (kind, sentence), and one with the role's name; no other row means that everything stands. A table must be
# guarded when the models declare it, or when it has a user_id and the role may use it in any way: one that a newer
# release has added is no fault if it is, so that this one goes on serving, and can be gone back to.
FAULTS = (
    SET_SEARCH_PATH  # noqa: S608 - as above
    + """;
WITH meant AS (
  SELECT DISTINCT r.rolname FROM pg_policy p JOIN pg_roles r ON r.oid = ANY (p.polroles)
  WHERE p.polrelid = to_regclass(%(schema)s || '.task_lists') AND p.polname = 'own_rows'
    AND r.rolname <> %(shared_role)s
),
role AS (SELECT r.* FROM pg_roles r JOIN meant USING (rolname) WHERE (SELECT count(*) FROM meant) = 1),
declared AS (SELECT DISTINCT t AS name, to_regclass(%(schema)s || '.' || t) AS oid FROM unnest(%(tables)s) AS t),
server AS (SELECT current_setting('server_version_num')::int < 160000 AS before_16),
database AS (SELECT * FROM pg_database WHERE datname = current_database()),
owners AS (
  SELECT oid FROM pg_roles WHERE rolsuper
  UNION SELECT datdba FROM database
  UNION SELECT relowner FROM pg_class WHERE oid IN (SELECT oid FROM declared)
),
-- What others have in schemas of their own is theirs: it shows nothing of ours, whomever they let use it.
relation AS (
  SELECT c.*, CASE n.nspname WHEN %(schema)s THEN quote_ident(c.relname) ELSE c.oid::regclass::text END AS name
  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
  WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND n.nspname <> 'information_schema' AND n.nspname !~ '^pg_'
    AND (n.nspname = %(schema)s OR c.relowner IN (SELECT oid FROM owners UNION SELECT oid FROM role))
),
reachable AS (
  SELECT r.* FROM relation r, role WHERE EXISTS (
    SELECT FROM pg_attribute a WHERE a.attrelid = r.oid AND a.attname = 'user_id' AND NOT a.attisdropped
  ) AND (r.oid IN (SELECT oid FROM declared)
         OR has_table_privilege(role.oid, r.oid, 'SELECT, INSERT, UPDATE, DELETE, TRUNCATE')
         OR has_any_column_privilege(role.oid, r.oid, 'SELECT, INSERT, UPDATE'))
),
policy AS (
  SELECT p.polrelid, p.polcmd = '*' AND pg_get_expr(p.polqual, p.polrelid) = %(confined)s
         AND pg_get_expr(p.polwithcheck, p.polrelid) = %(confined)s AS confines
  FROM pg_policy p, role WHERE p.polpermissive AND (role.oid = ANY (p.polroles) OR 0::oid = ANY (p.polroles))
),
granted AS (
  SELECT d.oid, d.name, acl.grantee, acl.privilege_type FROM declared d, pg_class c, aclexplode(c.relacl) AS acl
    WHERE c.oid = d.oid
  UNION SELECT d.oid, d.name, acl.grantee, acl.privilege_type
    FROM declared d, pg_attribute a, aclexplode(a.attacl) AS acl WHERE a.attrelid = d.oid
),
-- The purge's and the one that delivers reminders.
of_all_users AS (
  SELECT unnest(polroles) AS oid FROM pg_policy WHERE polrelid IN (SELECT oid FROM declared)
  EXCEPT SELECT oid FROM role
),
-- Other roles that the tables know, and those that may do more than the policies say.
powerful AS (
  SELECT oid FROM owners
  UNION SELECT oid FROM pg_roles
    WHERE rolbypassrls OR rolname ~ '^pg_' OR rolcreaterole AND (SELECT before_16 FROM server)
  UNION SELECT grantee FROM granted
  UNION SELECT oid FROM of_all_users
),
-- A copy of a database is confined to the roles of the one that it was made of.
copied AS (
  SELECT CASE WHEN EXISTS (
      SELECT FROM pg_shdepend, database WHERE refclassid = 'pg_authid'::regclass AND refobjid IN (SELECT oid FROM role)
        AND dbid NOT IN (0, database.oid))
    THEN '; where this database is a copy of another one of the server, first: python -m scripts.own_role'
    ELSE '' END AS hint
),
-- Who may do anyway what membership allows, and who was let in by name.
at_home AS (
  SELECT oid FROM owners
  UNION SELECT oid FROM pg_roles WHERE rolname IN (current_user, session_user)
  UNION SELECT granted.grantee FROM database, aclexplode(datacl) AS granted
    WHERE granted.privilege_type = 'CONNECT' AND granted.grantee <> 0
)
SELECT %(role_kind)s, rolname::text FROM role
UNION ALL
SELECT %(not_migrated)s, format('there is no column %%s.%%s', t, c)
  FROM unnest(%(tables)s, %(columns)s) AS expected(t, c) WHERE NOT EXISTS (
    SELECT FROM pg_attribute a WHERE a.attrelid = to_regclass(%(schema)s || '.' || t) AND a.attname = c
      AND NOT a.attisdropped)
UNION ALL
SELECT %(not_migrated)s, format('role %%s may not use table %%s', role.rolname, d.name) FROM declared d, role
  WHERE NOT (has_table_privilege(role.oid, d.oid, 'SELECT') AND has_table_privilege(role.oid, d.oid, 'INSERT')
    AND has_table_privilege(role.oid, d.oid, 'UPDATE') AND has_table_privilege(role.oid, d.oid, 'DELETE'))
UNION ALL
SELECT %(not_migrated)s, format('the tables are confined to %%s, a role of the whole server', %(shared_role)s)
  WHERE NOT EXISTS (SELECT FROM meant) AND EXISTS (
    SELECT FROM pg_policy p JOIN pg_roles r ON r.oid = ANY (p.polroles)
    WHERE p.polrelid = to_regclass(%(schema)s || '.task_lists') AND r.rolname = %(shared_role)s)
UNION ALL
SELECT %(wall_missing)s, 'the role that statements run as does not exist: no policy own_rows on task_lists names one'
  WHERE NOT EXISTS (SELECT FROM role)
UNION ALL
SELECT %(wall_missing)s, format('DATABASE_ROLE is %%s, and the tables are confined to %%s', %(named)s, rolname)
  FROM role WHERE %(named)s <> rolname
UNION ALL
SELECT %(wall_missing)s, format('role %%s can bypass row-level security', rolname)
  FROM role WHERE rolsuper OR rolbypassrls
UNION ALL
SELECT %(wall_missing)s, format('role %%s may give itself the rights of others (CREATEROLE)', rolname)
  FROM role WHERE rolcreaterole
UNION ALL
SELECT %(wall_missing)s, format('role %%s is a member of %%s', role.rolname, powerful.oid::regrole)
  FROM role, powerful
  WHERE powerful.oid NOT IN (0, role.oid) AND NOT role.rolsuper AND pg_has_role(role.oid, powerful.oid, 'MEMBER')
UNION ALL
SELECT DISTINCT %(wall_missing)s, format(
    'user %%1$s is a member of role %%2$I, could name any user, and was not let into this database by name; an '
    'administrator runs: REVOKE %%2$I FROM %%1$s (or, where it serves this database too: '
    'GRANT CONNECT ON DATABASE %%3$I TO %%1$s)%%4$s', m.member::regrole, reached.rolname, current_database(), hint)
  FROM copied, pg_roles reached JOIN pg_auth_members m ON m.roleid = reached.oid
  WHERE (reached.oid IN (SELECT oid FROM role) OR %(strict)s AND reached.oid IN (SELECT oid FROM of_all_users))
    AND m.member NOT IN (SELECT oid FROM at_home)
UNION ALL
SELECT %(wall_missing)s, format(
    'user %%1$I may become anybody of this server (CREATEROLE, before PostgreSQL 16), and was not let into this '
    'database by name; an administrator runs: ALTER ROLE %%1$I NOCREATEROLE (or, where it serves this database too: '
    'GRANT CONNECT ON DATABASE %%2$I TO %%1$I)', rolname, current_database())
  FROM pg_roles WHERE %(strict)s AND (SELECT before_16 FROM server) AND rolcreaterole
    AND oid NOT IN (SELECT oid FROM at_home UNION SELECT oid FROM role)
UNION ALL
SELECT %(wall_missing)s, format(
    '%%1$s may do on %%2$s what row-level security does not confine; an administrator runs: '
    'REVOKE %%3$s ON %%2$s FROM %%1$s', coalesce(quote_ident(rolname), 'PUBLIC'),
    string_agg(DISTINCT format('%%I.%%I', %(schema)s, name), ', '), string_agg(DISTINCT privilege_type, ', '))
  FROM granted LEFT JOIN pg_roles ON pg_roles.oid = granted.grantee
  WHERE CASE WHEN granted.grantee IN (SELECT oid FROM role UNION SELECT 0)
    THEN privilege_type NOT IN ('SELECT', 'INSERT', 'UPDATE', 'DELETE')
    ELSE %(strict)s AND privilege_type NOT IN ('SELECT', 'INSERT')
      AND granted.grantee NOT IN (SELECT oid FROM owners)
      AND pg_roles.rolname NOT IN (current_user, session_user)
      -- Those may LOCK a table, too: the programs that the policies know need them.
      AND NOT (privilege_type IN ('UPDATE', 'DELETE') AND EXISTS (
        SELECT FROM pg_policy p WHERE p.polrelid = granted.oid AND granted.grantee = ANY (p.polroles)))
    END
  GROUP BY rolname
UNION ALL
SELECT DISTINCT %(wall_missing)s, format(
    'a trigger on %%1$s, or a table that refers to %%1$s, belongs to %%2$s', d.name, theirs.owner::regrole)
  FROM declared d JOIN pg_trigger t ON t.tgrelid = d.oid JOIN pg_proc f ON f.oid = t.tgfoid
    LEFT JOIN pg_class c ON c.oid = t.tgconstrrelid, unnest(ARRAY[f.proowner, c.relowner]) AS theirs(owner)
  WHERE theirs.owner NOT IN (SELECT oid FROM owners)
UNION ALL
SELECT %(wall_missing)s, format('role %%s owns %%s', role.rolname, r.name)
  FROM role JOIN relation r ON r.relowner = role.oid
UNION ALL
SELECT %(wall_missing)s, format('user %%I may not SET ROLE %%I; an administrator runs: GRANT %%I TO %%I%%s',
                                current_user, role.rolname, role.rolname, current_user, hint)
  FROM role, copied WHERE NOT pg_has_role(
    current_user, role.oid, CASE WHEN (SELECT before_16 FROM server) THEN 'MEMBER' ELSE 'SET' END)
UNION ALL
SELECT %(wall_missing)s, format('the user of DATABASE_URL is %%I, and on a cluster must be %%I', session_user, rolname)
  FROM role WHERE %(itself)s AND session_user <> rolname
UNION ALL
SELECT %(wall_missing)s, format('the nodes would not be told whose rows are meant; an administrator runs: '
                                'ALTER ROLE %%I SET citus.propagate_set_commands = ''local''', rolname)
  FROM role WHERE %(itself)s AND current_setting('citus.propagate_set_commands', true) IS DISTINCT FROM 'local'
UNION ALL
SELECT %(wall_missing)s, format('role %%s may use %%s, which is not a table of this program', role.rolname, r.name)
  FROM role, relation r, aclexplode(r.relacl) AS granted
  WHERE granted.grantee = role.oid AND r.oid NOT IN (SELECT oid FROM declared WHERE oid IS NOT NULL)
    AND r.oid NOT IN (SELECT oid FROM reachable)
UNION ALL
SELECT %(wall_missing)s, format('row-level security is off on %%s', name) FROM reachable WHERE NOT relrowsecurity
UNION ALL
SELECT %(wall_missing)s, format('row-level security is not forced on %%s', name)
  FROM reachable WHERE NOT relforcerowsecurity
UNION ALL
SELECT %(wall_missing)s, format('no policy confines %%s to its owner', name) FROM reachable r
  WHERE NOT EXISTS (SELECT FROM policy WHERE polrelid = r.oid AND confines)
UNION ALL
SELECT %(wall_missing)s, format('a policy opens %%s to more than its owner', name) FROM reachable r
  WHERE EXISTS (SELECT FROM policy WHERE polrelid = r.oid AND confines IS NOT TRUE)
UNION ALL
SELECT %(wall_missing)s, format(
    'every login of this server may connect to database %%1$I (as PostgreSQL has it where nobody says otherwise); its '
    'owner, or an administrator, runs: REVOKE CONNECT ON DATABASE %%1$I FROM PUBLIC; '
    'GRANT CONNECT ON DATABASE %%1$I TO %%2$I', datname, session_user)
  FROM database, aclexplode(coalesce(datacl, acldefault('d', datdba))) AS granted
  WHERE %(strict)s AND granted.grantee = 0 AND granted.privilege_type = 'CONNECT'
UNION ALL
SELECT %(wall_missing)s, format(
    '%%1$s may create things in schema %%2$I; its owner, or an administrator, runs: '
    'REVOKE CREATE ON SCHEMA %%2$I FROM %%1$s', coalesce(grantee.rolname::text, 'PUBLIC'), nspname)
  FROM pg_namespace, aclexplode(nspacl) AS granted LEFT JOIN pg_roles grantee ON grantee.oid = granted.grantee
  WHERE %(strict)s AND nspname IN (%(schema)s, 'pg_catalog') AND granted.privilege_type = 'CREATE'
    AND granted.grantee NOT IN (SELECT oid FROM owners UNION SELECT nspowner)
    AND coalesce(grantee.rolname, '') <> 'pg_database_owner'
"""
)
