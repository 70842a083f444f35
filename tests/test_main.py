"""The application as uvicorn takes hold of it: `app`, the lifespan protocol, and development's own database."""

import asyncio
import functools
import multiprocessing
import os
import signal
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from alembic import command
from alembic.config import Config
from fastapi import FastAPI

from backend.app import main
from backend.app.config import PROJECT_ROOT, DatabaseSettings, Settings
from backend.app.db import embedded
from backend.app.main import create_app
from tests.support.applications import client_for, running, settings_for
from tests.support.postgres import Server
from tests.support.tokens import SECRET


@pytest.fixture(autouse=True)
def own_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Settings from the environment alone, and a development database in the test's own folder."""
    for name in Settings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.setitem(Settings.model_config, "env_file", None)
    monkeypatch.setitem(DatabaseSettings.model_config, "env_file", None)
    monkeypatch.setattr(embedded, "joined", functools.partial(embedded.joined, tmp_path / "data"))


async def started(app: FastAPI) -> list[Any]:
    """What the application answers to a server that starts it and ends it."""
    sent: list[Any] = []
    events = [{"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}]

    async def receive() -> Any:
        return events.pop(0)

    async def send(message: Any) -> None:
        sent.append(message)
        if message["type"] == "lifespan.startup.complete":
            async with client_for(app) as client:
                sent.append((await client.get(f"/api/{client.user_id}/tasks")).status_code)

    try:
        await app({"type": "lifespan", "state": {}}, receive, send)
    except Exception as error:  # noqa: BLE001 - as a server takes it
        sent.append(type(error).__name__)
    return sent


async def test_development_brings_its_own_database() -> None:
    """Without DATABASE_URL the application starts one, migrates it, serves from it and stops it."""
    settings = Settings(_env_file=None, better_auth_secret=SECRET)

    answers = await started(create_app(settings))

    assert answers == [{"type": "lifespan.startup.complete"}, 200, {"type": "lifespan.shutdown.complete"}]


async def test_the_application_keeps_its_services_in_one_place(database_url: str) -> None:
    """`app.state` has nothing else, and what is in it cannot be exchanged."""
    async with running(create_app(settings_for(database_url))) as app:
        assert set(app.state._state) == {"services"}  # noqa: SLF001 - everything that is there
        with pytest.raises(AttributeError):
            app.state.services.settings = None


async def test_a_refusal_to_start_is_one_sentence(server: Server) -> None:
    """The server is told the reason and no traceback."""
    with server.new_database() as name:
        server.execute("ALTER TABLE tasks DISABLE ROW LEVEL SECURITY", database=name)
        answers = await started(create_app(settings_for(server.api_url(name))))

    assert answers[0]["type"] == "lifespan.startup.failed"
    assert answers[0]["message"].startswith("Refusing to serve: the database would not confine a user")
    assert answers[1:] == ["StartupError"]


async def test_a_parent_that_was_killed_ends_the_program(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """uvicorn's reloader and workers would live on without it, and keep its port."""
    sentinel, parents_end = os.pipe()
    monkeypatch.setattr(multiprocessing, "parent_process", lambda: SimpleNamespace(sentinel=sentinel))
    ended = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, ended.set)

    async with running(create_app(settings_for(database_url))):
        before = ended.is_set()
        os.close(parents_end)
        await asyncio.wait_for(ended.wait(), 5)

    assert not before
    asyncio.get_running_loop().remove_signal_handler(signal.SIGTERM)
    os.close(sentinel)


def test_app_is_made_when_it_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """`backend.app.main:app` reads the settings then, and only once."""
    monkeypatch.setenv("BETTER_AUTH_SECRET", SECRET)
    try:
        assert main.app is main.app
        assert isinstance(main.app, FastAPI)
    finally:
        del main.app


def test_app_with_unsafe_settings_ends_the_program() -> None:
    """The status is not zero, and the sentence says which setting."""
    with pytest.raises(SystemExit, match="BETTER_AUTH_SECRET or BETTER_AUTH_URL is required"):
        _ = main.app


def test_main_has_no_other_names() -> None:
    """Only `app` is made on demand."""
    with pytest.raises(AttributeError):
        _ = main.application


@pytest.mark.parametrize("given", [False, True], ids=["embedded", "DATABASE_URL"])
def test_alembic_finds_the_database_as_the_app_does(
    monkeypatch: pytest.MonkeyPatch, server: Server, given: bool
) -> None:
    """From the environment, or the embedded one."""
    alembic = Config(toml_file=PROJECT_ROOT / "pyproject.toml")
    with server.new_database(migrated=False) as name:
        if given:
            monkeypatch.setenv("DATABASE_URL", server.database_url(name))
        command.upgrade(alembic, "head")
        found = server.execute("SELECT to_regclass('alembic_version')::text", database=name)

    assert found == [("alembic_version" if given else None,)]
