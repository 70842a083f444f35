"""Wall 4 as the catalog shows it: what must stand in the database before the first statement is sent.

One query lists every fault. `tasks_api` is the role that each statement runs as; row-level security confines it.
"""

from backend.app.models import metadata

ROLE = "tasks_api"
OWNER_SETTING = "app.user_id"

NOT_MIGRATED = "not migrated"
WALL_MISSING = "wall missing"

_COLUMNS = [(table.name, column.name) for table in metadata.sorted_tables for column in table.columns]

# How PostgreSQL spells the policies of the migrations.
_CONFINED = f"(user_id = current_setting('{OWNER_SETTING}'::text, true))"

PARAMETERS = {
    "role": ROLE,
    "tables": [table for table, _ in _COLUMNS],
    "columns": [column for _, column in _COLUMNS],
    "confined": _CONFINED,
    "not_migrated": NOT_MIGRATED,
    "wall_missing": WALL_MISSING,
    "itself": False,
}
# Where the login is the role itself, and Citus has to hand its settings on to the nodes that hold the rows.
PARAMETERS_OF_A_CLUSTER = {**PARAMETERS, "itself": True}

# Rows of (kind, sentence); no row means that everything stands. A table must be guarded when the models declare it, or
# when it has a user_id and the role may use it in any way: one that a newer release has added is no fault if it is, so
# that this one goes on serving, and can be gone back to.
FAULTS = """
WITH role AS (SELECT * FROM pg_roles WHERE rolname = %(role)s),
declared AS (SELECT DISTINCT t AS name, to_regclass(t) AS oid FROM unnest(%(tables)s) AS t),
relation AS (
  SELECT c.*, c.oid::regclass::text AS name FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
  WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND n.nspname NOT IN ('pg_catalog', 'information_schema')
    AND n.nspname NOT LIKE 'pg_toast%%'
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
  FROM pg_policy p, role WHERE p.polpermissive AND (p.polroles @> ARRAY[role.oid] OR p.polroles @> ARRAY[0::oid])
)
SELECT %(not_migrated)s, format('there is no column %%s.%%s', t, c)
  FROM unnest(%(tables)s, %(columns)s) AS expected(t, c) WHERE NOT EXISTS (
    SELECT FROM pg_attribute a WHERE a.attrelid = to_regclass(t) AND a.attname = c AND NOT a.attisdropped)
UNION ALL
SELECT %(not_migrated)s, format('role %%s may not use table %%s', role.rolname, d.name) FROM declared d, role
  WHERE NOT has_table_privilege(role.oid, d.oid, 'SELECT')
UNION ALL
SELECT %(wall_missing)s, 'the role that statements run as does not exist' WHERE NOT EXISTS (SELECT FROM role)
UNION ALL
SELECT %(wall_missing)s, format('role %%s can bypass row-level security', rolname)
  FROM role WHERE rolsuper OR rolbypassrls
UNION ALL
SELECT %(wall_missing)s, format('role %%s is a member of %%s', role.rolname, m.roleid::regrole)
  FROM role JOIN pg_auth_members m ON m.member = role.oid
UNION ALL
SELECT %(wall_missing)s, format('role %%s owns %%s', role.rolname, c.oid::regclass)
  FROM role JOIN pg_class c ON c.relowner = role.oid
UNION ALL
SELECT %(wall_missing)s, format('user %%I may not SET ROLE %%s; an administrator runs: GRANT %%s TO %%I',
                                current_user, role.rolname, role.rolname, current_user)
  FROM role WHERE NOT pg_has_role(
    current_user, role.oid, CASE WHEN current_setting('server_version_num')::int >= 160000 THEN 'SET' ELSE 'MEMBER' END)
UNION ALL
SELECT %(wall_missing)s, format('the user of DATABASE_URL is %%I, and on a cluster must be %%s', session_user, rolname)
  FROM role WHERE %(itself)s AND session_user <> rolname
UNION ALL
SELECT %(wall_missing)s, format('the nodes would not be told whose rows are meant; an administrator runs: '
                                'ALTER ROLE %%s SET citus.propagate_set_commands = ''local''', rolname)
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
"""
