"""The roles that all databases of a server shared have no right in this one any more.

The one revision that takes something away: whoever may become `tasks_api` for another database of the server could name
any user of this one. Programs of releases before 0005 stop serving here; where that matters, migrate to 0005, restart
them all with this release, and migrate to 0006.
"""

from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

TABLES = ("deleted_tasks", "idempotency_keys", "task_lists", "tasks")
PURGED = ("deleted_tasks", "idempotency_keys", "task_lists")


def _policies(roles: str) -> str:
    """Who the policies are for: of each the shared role (3) and this database's own (4), as the catalog names it."""
    return f"""
DO $$ DECLARE
  policy record;
BEGIN
  FOR policy IN
    SELECT c.relname, p.polname, s.name AS shared, r.rolname AS own
    FROM pg_policy p JOIN pg_class c ON c.oid = p.polrelid JOIN pg_namespace n ON n.oid = c.relnamespace
    JOIN (VALUES ('own_rows', 'tasks_api'), ('purge', 'tasks_purge')) AS s(policy, name) ON s.policy = p.polname
    JOIN pg_roles r ON r.oid = ANY (p.polroles) AND r.rolname <> s.name
    WHERE n.nspname = 'public' AND c.relname IN ({", ".join(repr(name) for name in TABLES)})
  LOOP
    EXECUTE format(
      'ALTER POLICY %1$I ON public.%2$I TO {roles}', policy.polname, policy.relname, policy.shared, policy.own);
  END LOOP;
END $$
"""  # noqa: S608 - put together of constants


KEEP_OWN = _policies("%4$I")
KEEP_BOTH = _policies("%3$I, %4$I")


# An administrator may have dropped them meanwhile.
_MAKE = """
DO $$ BEGIN
  CREATE ROLE {role} NOLOGIN NOINHERIT;
EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL;
END $$
"""


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.execute(KEEP_OWN)
    for table in TABLES:
        op.execute(f"REVOKE ALL ON public.{table} FROM tasks_api")
    for table in PURGED:
        op.execute(f"REVOKE ALL ON public.{table} FROM tasks_purge")
    # Without this, rights to single columns would stay.
    op.execute("REVOKE ALL (user_id, horizon) ON public.task_lists FROM tasks_purge")
    op.execute("REVOKE ALL (user_id, key, created_at) ON public.idempotency_keys FROM tasks_purge")


def downgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    for role in ("tasks_api", "tasks_purge"):
        op.execute(_MAKE.format(role=role))
    for table in TABLES:
        op.execute(f"GRANT SELECT, INSERT, UPDATE, DELETE ON public.{table} TO tasks_api")
    op.execute("GRANT SELECT, UPDATE, DELETE ON public.deleted_tasks TO tasks_purge")
    op.execute("GRANT SELECT (user_id, key, created_at), DELETE ON public.idempotency_keys TO tasks_purge")
    op.execute("GRANT SELECT (user_id, horizon), UPDATE (horizon) ON public.task_lists TO tasks_purge")
    op.execute(KEEP_BOTH)
