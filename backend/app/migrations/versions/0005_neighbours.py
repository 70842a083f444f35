"""Roles of this database's own in place of those that all databases of a server share; counts for what is capped.

Only adds: whoever still serves as `tasks_api` goes on. 0006 takes its rights away.
"""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

TABLES = ("deleted_tasks", "idempotency_keys", "task_lists", "tasks")
COUNTS = ("trash_count", "tombstone_count", "key_count", "key_bytes")

# The name is DATABASE_ROLE, which env.py hands on, or made of the database's name: readable, at most 57 bytes, and with
# a hash, so that databases of similar names never share a role. PostgreSQL alone is searched for what this calls.
NAMES = r"""
  shared constant text[] := '{tasks_api, tasks_purge}';
  api constant text := coalesce(
    nullif(current_setting('app.database_role', true), ''),
    'tasks_api_' || rtrim(left(regexp_replace(lower(current_database()), '[^a-z0-9]+', '_', 'g'), 30), '_') || '_'
      || left(encode(sha256(convert_to(current_database(), 'UTF8')), 'hex'), 16));
  own constant text[] := ARRAY[api, api || '_purge'];
"""

# Roles belong to the whole server: another migration may be making or granting the same one at this moment. Where this
# user may not grant, somebody who may has to; the check at the app's start says so.
ROLES = f"""
DO $$ DECLARE {NAMES}
BEGIN
  FOR n IN 1..2 LOOP
    BEGIN
      EXECUTE format('CREATE ROLE %I NOLOGIN NOINHERIT', own[n]);
    EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL;
    END;
    FOR attempt IN 1..10 LOOP
      BEGIN
        EXECUTE format('GRANT %I TO %I', own[n], current_user);
        EXIT;
      EXCEPTION
        WHEN insufficient_privilege THEN EXIT;
        WHEN unique_violation OR internal_error THEN PERFORM pg_sleep(0.05);
      END;
    END LOOP;
  END LOOP;
END $$
"""

# Who serves this database goes on serving it: the members of the shared role that were let into it by name. Others may
# serve another database of the server; where they serve this one, the check at the app's start says what to grant.
MEMBERS = f"""
DO $$ DECLARE {NAMES} member record;
BEGIN
  FOR n IN 1..2 LOOP
    FOR member IN
      SELECT r.rolname FROM pg_auth_members m JOIN pg_roles r ON r.oid = m.member
      WHERE m.roleid = (SELECT oid FROM pg_roles WHERE rolname = shared[n])
        AND NOT r.rolsuper AND r.rolname <> current_user AND EXISTS (
          SELECT FROM pg_database d, aclexplode(d.datacl) a
          WHERE d.datname = current_database() AND a.grantee = r.oid AND a.privilege_type = 'CONNECT')
    LOOP
      BEGIN
        EXECUTE format('GRANT %I TO %I', own[n], member.rolname);
      EXCEPTION WHEN insufficient_privilege THEN NULL;
      END;
    END LOOP;
  END LOOP;
END $$
"""  # noqa: S608 - put together of constants

RIGHTS = f"""
DO $$ DECLARE {NAMES} name text;
BEGIN
  FOREACH name IN ARRAY '{{{", ".join(TABLES)}}}'::text[] LOOP
    EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE ON public.%I TO %I', name, api);
    EXECUTE format('ALTER POLICY own_rows ON public.%I TO tasks_api, %I', name, api);
  END LOOP;
  EXECUTE format('GRANT SELECT, UPDATE, DELETE ON public.deleted_tasks TO %I', own[2]);
  EXECUTE format('GRANT SELECT (user_id, key, created_at), DELETE ON public.idempotency_keys TO %I', own[2]);
  EXECUTE format('GRANT SELECT (user_id, horizon, trash_count, tombstone_count), '
                 'UPDATE (horizon, trash_count, tombstone_count) ON public.task_lists TO %I', own[2]);
  FOREACH name IN ARRAY '{{deleted_tasks, idempotency_keys, task_lists}}'::text[] LOOP
    EXECUTE format('ALTER POLICY purge ON public.%I TO tasks_purge, %I', name, own[2]);
  END LOOP;
END $$
"""
BACK = f"""
DO $$ DECLARE {NAMES} name text;
BEGIN
  FOREACH name IN ARRAY '{{{", ".join(TABLES)}}}'::text[] LOOP
    EXECUTE format('ALTER POLICY own_rows ON public.%I TO tasks_api', name);
    EXECUTE format('REVOKE ALL ON public.%I FROM %I, %I', name, own[1], own[2]);
  END LOOP;
  FOREACH name IN ARRAY '{{deleted_tasks, idempotency_keys, task_lists}}'::text[] LOOP
    EXECUTE format('ALTER POLICY purge ON public.%I TO tasks_purge', name);
  END LOOP;
  EXECUTE format('REVOKE ALL (user_id, horizon, trash_count, tombstone_count) ON public.task_lists FROM %I', own[2]);
  EXECUTE format('REVOKE ALL (user_id, key, created_at) ON public.idempotency_keys FROM %I', own[2]);
END $$
"""


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    # Roles first, and all nodes one after the other: a cluster refuses a new role after a change to its tables.
    op.execute("SET LOCAL citus.multi_shard_modify_mode = 'sequential'")
    op.execute(ROLES)
    op.execute(MEMBERS)
    for name in COUNTS:
        op.add_column("task_lists", sa.Column(name, sa.BigInteger(), nullable=True))
    op.add_column("idempotency_keys", sa.Column("compressed_body", sa.LargeBinary(), nullable=True))
    op.execute(RIGHTS)


def downgrade() -> None:
    # The roles stay, without any right: PostgreSQL drops none that another session may be using.
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.execute(BACK)
    op.drop_column("idempotency_keys", "compressed_body")
    for name in reversed(COUNTS):
        op.drop_column("task_lists", name)
