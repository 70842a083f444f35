"""A coordinator and two workers of a Citus cluster on loopback, for as long as a `with`."""

import contextlib
import os
import pwd
import signal
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import psutil
import psycopg2

HOST: Final = "127.0.0.1"
WORKERS: Final = 2
START_SECONDS: Final = 60
# PostgreSQL does not run as root; the first of these that there is runs it.
UNPRIVILEGED: Final = ("postgres", "nobody")
SETTINGS: Final = {
    "shared_preload_libraries": "citus",
    "listen_addresses": HOST,
    "max_connections": "300",
    "max_prepared_transactions": "300",
    "shared_buffers": "64MB",
    "fsync": "off",
    "citus.enable_statistics_collection": "off",
    # On loopback; older servers look for a certificate of who started them.
    "citus.node_conninfo": "sslmode=disable",
}


class Node:
    """One PostgreSQL with Citus."""

    def __init__(self, programs: Path, folder: Path) -> None:
        self._programs = programs
        self._data = folder / "data"
        self._log = folder / "log"
        self.port = free_port()
        self._user: dict[str, Any] = {}
        folder.mkdir()
        if os.geteuid() == 0:
            account = _unprivileged()
            os.chown(folder, account.pw_uid, account.pw_gid)
            self._user = {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}
        self._run("initdb", "--username", "postgres", "--auth", "trust", "--encoding", "UTF8", "--locale", "C")
        settings = {**SETTINGS, "port": str(self.port), "unix_socket_directories": str(folder)}
        with (self._data / "postgresql.conf").open("a") as file:
            file.writelines(f"{name} = '{value}'\n" for name, value in settings.items())

    def start(self) -> None:
        self._run("pg_ctl", "--log", str(self._log), "--wait", "--timeout", str(START_SECONDS), "start")

    def stop(self, mode: str = "immediate") -> None:
        self._run("pg_ctl", "--mode", mode, "--wait", "stop")

    def suspend(self) -> None:
        """The node accepts connections and never answers."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        self._signal(signal.SIGCONT)

    def url(self, database: str) -> str:
        return f"postgresql://postgres@{HOST}:{self.port}/{database}"

    def execute(self, statement: str, database: str = "postgres") -> list[tuple[Any, ...]]:
        """Run a statement as the superuser."""
        connection = psycopg2.connect(self.url(database))
        connection.autocommit = True
        with contextlib.closing(connection), connection.cursor() as cursor:
            cursor.execute(statement)
            return cursor.fetchall() if cursor.description else []

    def _signal(self, number: signal.Signals) -> None:
        process = psutil.Process(int((self._data / "postmaster.pid").read_text().split()[0]))
        for member in (process, *process.children()):
            with contextlib.suppress(psutil.NoSuchProcess):
                member.send_signal(number)

    def _run(self, program: str, *arguments: str) -> None:
        command = [str(self._programs / program), "--pgdata", str(self._data), *arguments]
        done = subprocess.run(  # noqa: S603 - fixed commands
            command, cwd="/", stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, check=False, **self._user
        )
        if done.returncode:
            raise SystemExit(f"{program} failed: {done.stderr}")


class Cluster:
    """The nodes, and the databases that are made on all of them."""

    def __init__(self, coordinator: Node, workers: list[Node]) -> None:
        self.coordinator = coordinator
        self.workers = workers

    def new_database(self, name: str) -> str:
        """A superuser's URL of a new database that spans the nodes."""
        for node in (self.coordinator, *self.workers):
            node.execute(f"CREATE DATABASE {name}")
            node.execute("CREATE EXTENSION citus", name)
        self.coordinator.execute(f"SELECT citus_set_coordinator_host('{HOST}', {self.coordinator.port})", name)
        for worker in self.workers:
            self.coordinator.execute(f"SELECT citus_add_node('{HOST}', {worker.port})", name)
        return self.coordinator.url(name)

    def versions(self) -> str:
        """As the servers name themselves."""
        self.coordinator.execute("CREATE EXTENSION IF NOT EXISTS citus")
        [[citus, postgres]] = self.coordinator.execute("SELECT citus_version(), version()")
        return " on ".join(" ".join(version.split()[:2]) for version in (citus, postgres))


@contextlib.contextmanager
def cluster(programs: Path, folder: Path) -> Iterator[Cluster]:
    """Started, and ended whatever happens."""
    with contextlib.ExitStack() as stack:
        nodes = []
        for number in range(1 + WORKERS):
            node = Node(programs, folder / f"node{number}")
            node.start()
            stack.callback(_end, node)
            nodes.append(node)
        yield Cluster(nodes[0], nodes[1:])


def _end(node: Node) -> None:
    with contextlib.suppress(FileNotFoundError):  # stopped already
        node.resume()
        node.stop()


def _unprivileged() -> pwd.struct_passwd:
    for name in UNPRIVILEGED:
        with contextlib.suppress(KeyError):
            return pwd.getpwnam(name)
    raise SystemExit(f"PostgreSQL does not run as root, and there is no user {' or '.join(UNPRIVILEGED)}.")


def free_port() -> int:
    with socket.socket() as listening:
        listening.bind((HOST, 0))
        return int(listening.getsockname()[1])
