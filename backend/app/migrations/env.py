"""How Alembic reaches the database: as the app does, but past a pooler, over SQLAlchemy's ordinary engine."""

from typing import Any

from alembic import context
from alembic.util import CommandError
from sqlalchemy import Column, Connection, create_engine, pool, text
from sqlalchemy.dialects.postgresql import DOMAIN

from backend.app import config
from backend.app.config import Cluster, DatabaseSettings
from backend.app.db import dsn, embedded
from backend.app.migrations import distribution, neighbours
from backend.app.models import DOMAINS, metadata
from backend.app.problems import StartupError

# Whether the database was migrated before.
TABLE = {"table": "public.task_lists"}


def run(url: str, cluster: Cluster | None, role: str | None = None, *, no_neighbours: bool = False) -> None:
    """Migrate over one connection, every revision in a transaction of its own; then distribute, on a cluster.

    `no_neighbours`: refuse where others than the owners may create what a migration would call.
    """
    # libpq reads the URL, as everywhere: SQLAlchemy knows neither several hosts nor what passwords may look like.
    engine = create_engine(
        "postgresql+psycopg2://",
        creator=lambda: dsn.connected(url),
        poolclass=pool.NullPool,
        hide_parameters=True,
    )
    with engine.connect() as connection:
        require_utf8(connection)
        if no_neighbours:
            neighbours.require_none(connection)
    distributing = cluster is not None and migrates()
    if distributing:
        with engine.connect() as connection:
            distribution.require_citus(connection)
    with engine.connect() as connection:
        # What the role is to be called that the database makes for itself (0005); for this connection alone.
        connection.execute(text("SELECT set_config('app.database_role', :role, false)"), {"role": role or ""})
        connection.commit()
        context.configure(
            connection=connection,
            target_metadata=metadata,
            transaction_per_migration=True,
            compare_type=is_other_type,
        )
        with context.begin_transaction():
            context.run_migrations()
        distributing &= context.get_context().get_current_heads() == (context.get_head_revision(),)
    if distributing:
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            distribution.distribute(connection, list(metadata.tables))
    engine.dispose()


def require_utf8(connection: Connection) -> None:
    """Raises CommandError for a new database whose encoding does not hold every text, or counts bytes as characters."""
    with connection.begin():
        found = connection.execute(
            text("SELECT pg_catalog.getdatabaseencoding(), pg_catalog.to_regclass(:table)"), TABLE
        )
        encoding, table = found.one()
    if table is None and encoding != "UTF8":
        raise CommandError(
            f"The database's encoding is {encoding}, and tasks need UTF8. Drop it, and make it anew: "
            "CREATE DATABASE ... TEMPLATE template0 ENCODING 'UTF8'"
        )


def is_other_type(_: Any, __: Any, meant: Column[Any], found_type: Any, ___: Any) -> bool | None:
    """Whether a column's domain is not the one that the models name; None leaves the answer to Alembic."""
    found = found_type.name if isinstance(found_type, DOMAIN) else None
    wanted = DOMAINS.get((meant.table.name, meant.name))
    return None if found is wanted is None else found != wanted


def migrates() -> bool:
    """Whether the command changes the schema; `alembic current` and `alembic check` only look at it."""
    try:
        context.get_revision_argument()
    except KeyError:
        return False
    return True


def url_of(settings: DatabaseSettings) -> str | None:
    """Raises CommandError for a pooler, on whose connections a migration would leave its settings to others."""
    url = settings.maintenance_url
    if url is not None and settings.database_direct_url is None and dsn.leads_through_pooler(url):
        raise CommandError(
            "DATABASE_URL leads through a pooler, and a migration needs a connection of its own. Set "
            "DATABASE_DIRECT_URL to the URL of the database itself (Neon: the same without `-pooler` in the host; "
            "where the pooler is in session mode: the same URL)."
        )
    return url


def run_as_set() -> None:
    """Migrate the database that the settings name. Raises CommandError, which Alembic prints without a traceback."""
    try:
        settings = config.load(DatabaseSettings)
        url = url_of(settings)
        if url is not None:
            dsn.checked(url, settings.maintenance_setting)
    except StartupError as refusal:
        raise CommandError(str(refusal)) from None
    if url is not None:
        strict = settings.environment != "development"
        run(url, settings.database_cluster, settings.database_role, no_neighbours=strict)
    else:
        with embedded.joined() as url:
            run(url, None)


if context.is_offline_mode():
    context.configure(dialect_name="postgresql", target_metadata=metadata, literal_binds=True)
    with context.begin_transaction():
        context.run_migrations()
elif given := context.config.attributes.get("url"):
    options = context.config.attributes
    run(given, options.get("cluster"), options.get("role"), no_neighbours=options.get("no_neighbours", False))
else:
    run_as_set()
