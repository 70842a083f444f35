"""A database as an older revision of the schema left it, whose owner is no superuser, as on Neon."""

import contextlib
import secrets
from collections.abc import Iterator

from alembic import command
from alembic.config import Config

from backend.app.db import embedded
from tests.support.postgres import Server


@contextlib.contextmanager
def migrated_to(server: Server, name: str, revision: str) -> Iterator[Config]:
    """Alembic for this database; it is dropped afterwards."""
    owner = f"{name}_{secrets.token_hex(4)}"
    server.execute(f"CREATE ROLE {owner} LOGIN CREATEROLE")
    server.execute(f"CREATE DATABASE {name} OWNER {owner}")
    alembic = embedded.alembic_for(server.database_url(name, owner))
    command.upgrade(alembic, revision)
    try:
        yield alembic
    finally:
        server.execute(f"DROP DATABASE {name} WITH (FORCE)")
