"""How Alembic reaches the database: the same URL as the app, over SQLAlchemy's ordinary engine."""

from alembic import context
from sqlalchemy import create_engine, pool

from backend.app import config, embedded
from backend.app.models import metadata


def run(url: str) -> None:
    """Migrate over one connection, every revision in a transaction of its own."""
    # SQLAlchemy reads postgresql:// as psycopg 3; this project's driver is psycopg2.
    engine = create_engine(
        url.replace("postgresql://", "postgresql+psycopg2://", 1),
        poolclass=pool.NullPool,
        hide_parameters=True,
    )
    with engine.connect() as connection:
        context.configure(connection=connection, target_metadata=metadata, transaction_per_migration=True)
        with context.begin_transaction():
            context.run_migrations()
    engine.dispose()


if context.is_offline_mode():
    context.configure(dialect_name="postgresql", target_metadata=metadata, literal_binds=True)
    with context.begin_transaction():
        context.run_migrations()
elif url := context.config.attributes.get("url"):
    run(url)
else:
    settings = config.load(config.DatabaseSettings)
    if settings.database_url is not None:
        run(settings.database_url.get_secret_value())
    else:
        with embedded.joined() as url:
            run(url)
