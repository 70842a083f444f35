"""Servers of Debian's packages that tests put up beside the embedded one: PostgreSQL, and PgBouncer in front of one."""

import contextlib
import os
import pwd
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg2
import pytest

DEBIAN = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
PGBOUNCER = shutil.which("pgbouncer") or shutil.which("/usr/sbin/pgbouncer")
USERS = ("postgres", "tasks_login")
START_SECONDS = 30.0
STOP_SECONDS = 10.0


@contextlib.contextmanager
def debian_postgres(*settings: str, certificate: Path | None = None) -> Iterator[tuple[Path, int]]:
    """The folder with the socket and the files of Debian's PostgreSQL, and its process id; `settings` are `name=value`.

    With a folder that has a certificate (`server.crt`, `server.key`), it speaks TLS on the port that the settings name,
    and takes nobody there without TLS and a password (SCRAM).
    """
    if not DEBIAN:
        pytest.skip("Debian's PostgreSQL is not installed (apt-get install postgresql)")
    become = _as("postgres") if os.geteuid() == 0 else {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        _give(folder, become)

        def run(program: str, *arguments: str) -> None:
            subprocess.run(
                [DEBIAN[-1] / program, "-D", str(folder / "data"), *arguments],
                check=True, cwd="/", stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, **become,
            )  # fmt: skip

        run("initdb", "-A", "trust", "-U", "postgres", "-E", "UTF8")
        if certificate is not None:
            for file in ("server.crt", "server.key"):
                shutil.copy(certificate / file, folder / "data")
                _give(folder / "data" / file, become)
            rules = folder / "data/pg_hba.conf"
            rules.write_text("local all all trust\nhostssl all all 127.0.0.1/32 scram-sha-256\n")
            settings = ("ssl=on", "password_encryption=scram-sha-256", "listen_addresses=127.0.0.1", *settings)
        options = [f"-c {setting}" for setting in (f"unix_socket_directories={folder}", "fsync=off", *settings)]
        listening = [] if certificate is not None else ["-h ''"]
        run("pg_ctl", "-w", "-l", str(folder / "log"), "-o", " ".join([*listening, *options]), "start")
        try:
            yield folder, int((folder / "data/postmaster.pid").read_text().split()[0])
        finally:
            run("pg_ctl", "-m", "immediate", "stop")


class Pooler:
    """PgBouncer in transaction mode; clients find its socket in `folder`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def url(self, database_url: str) -> str:
        """The way to this database of the server behind the pooler."""
        return f"{database_url.partition('?')[0]}?host={self.folder}"

    def admin(self, command: str) -> list[dict[str, Any]]:
        """Run a command of its console."""
        connection = psycopg2.connect(host=str(self.folder), user="postgres", dbname="pgbouncer")
        connection.autocommit = True
        with contextlib.closing(connection), connection.cursor() as cursor:
            cursor.execute(command)
            names = [column.name for column in cursor.description or ()]
            return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()] if names else []


@contextlib.contextmanager
def pgbouncer(server_url: str, *, server_connections: int = 5, name: str = "pgbouncer") -> Iterator[Pooler]:
    """PgBouncer in front of the server with its socket in a folder, as that server's own user.

    Has so many connections for each database and user. `name` is part of its folder's, and so of its URL.
    """
    if PGBOUNCER is None:
        pytest.skip("PgBouncer is not installed (apt-get install pgbouncer)")
    behind = server_url.partition("?host=")[2]
    # It refuses to run as root, and the server's socket is in a folder of the server's own user.
    become = _as(pwd.getpwuid(Path(behind).stat().st_uid).pw_name) if os.geteuid() == 0 else {}
    with tempfile.TemporaryDirectory(prefix=f"{name}-") as made:
        folder = Path(made)
        (folder / "users.txt").write_text("".join(f'"{user}" ""\n' for user in USERS))
        (folder / "pgbouncer.ini").write_text(
            f"[databases]\n* = host={behind} port=5432\n"
            f"[pgbouncer]\nlisten_addr =\nlisten_port = 5432\nunix_socket_dir = {folder}\n"
            f"auth_type = trust\nauth_file = {folder}/users.txt\nadmin_users = postgres\n"
            f"pool_mode = transaction\ndefault_pool_size = {server_connections}\nmax_client_conn = 1000\n"
        )
        _give(folder, become)
        with (
            (folder / "log").open("wb") as log,
            subprocess.Popen(
                [PGBOUNCER, str(folder / "pgbouncer.ini")], cwd="/", stdout=log, stderr=log, **become
            ) as process,
        ):
            try:
                pooler = Pooler(folder)
                _wait_for(pooler, process)
                yield pooler
            finally:
                process.terminate()
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(STOP_SECONDS)
                process.kill()


def _wait_for(pooler: Pooler, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            pooler.admin("SHOW VERSION")
        except psycopg2.OperationalError:
            assert process.poll() is None, (pooler.folder / "log").read_text()
            assert time.monotonic() < deadline, "PgBouncer does not start"
            time.sleep(0.02)
        else:
            return


def _as(user: str) -> dict[str, Any]:
    who = pwd.getpwnam(user)
    return {"user": who.pw_uid, "group": who.pw_gid, "extra_groups": []}


def _give(path: Path, become: dict[str, Any]) -> None:
    if become:
        os.chown(path, become["user"], become["group"])
