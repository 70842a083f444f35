"""The real application, its settings and its database for tests, and clients of it."""

import contextlib
from collections.abc import AsyncIterator
from typing import Any, NoReturn

import httpx
from fastapi import FastAPI

from backend.app.config import Settings
from backend.app.db.citus import CITUS
from backend.app.db.database import Database
from backend.app.problems import StartupError
from tests.support import ways
from tests.support.tokens import SECRET, new_user, token


def settings_for(database_url: str, **changes: Any) -> Settings:
    """Settings that come from nowhere but here."""
    values: dict[str, Any] = {
        "better_auth_secret": SECRET,
        "database_url": database_url,
        "environment": "staging",
        # Tests ask as fast as they can, and those without a token all from one address.
        "rate_limit_per_user": "1000000/minute",
        "rate_limit_per_address": "1000000/minute",
    }
    return Settings(_env_file=None, **{**values, **ways.settings(), **changes})


@contextlib.asynccontextmanager
async def database_for(url: str, **changes: Any) -> AsyncIterator[Database]:
    """The API's way to a database, without the API. A missing wall is raised as it is."""
    options: dict[str, Any] = {
        "pool_size": 10,
        "pool_timeout": 5.0,
        "connect_timeout": 5.0,
        "statement_timeout": 5.0,
        "on_missing_wall": _raise,
        "prepare": ways.settings().get("database_prepare", "auto"),
    }
    if "database_cluster" in ways.settings():
        options["preamble"] = CITUS
    database = Database(url, **{**options, **changes})
    try:
        yield database
    finally:
        await database.close()


def _raise(refusal: StartupError) -> NoReturn:
    raise refusal


@contextlib.asynccontextmanager
async def running(app: FastAPI) -> AsyncIterator[FastAPI]:
    """The application between its start and its end, as a server would run it."""
    async with app.router.lifespan_context(app):
        yield app


class Client(httpx.AsyncClient):
    """A user's client: their token on every request, and paths below their own `/api/{user_id}`."""

    user_id: str


def client_for(app: Any, user_id: str | None = None, **options: Any) -> Client:
    """A client of this user, or of a new one, on the real stack."""
    user_id = new_user() if user_id is None else user_id
    headers = {"Authorization": f"Bearer {token(user_id)}"}
    client = Client(transport=httpx.ASGITransport(app), base_url="http://api.test", headers=headers, **options)
    client.user_id = user_id
    return client
