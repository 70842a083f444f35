"""What every test stands on: a real PostgreSQL, real tokens, and the real middleware stack."""

import contextlib
import functools
import itertools
import logging
import secrets
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Generator, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NoReturn

import httpx
import pytest
from fastapi import FastAPI
from joserfc import jwt
from joserfc.jwk import OctKey

from backend.app.config import PROJECT_ROOT, Settings
from backend.app.db import embedded
from backend.app.db.citus import CITUS
from backend.app.db.database import Database
from backend.app.main import create_app
from backend.app.observability.logging import JSONFormatter
from backend.app.problems import StartupError
from tests.support import cluster, leaks, postgres
from tests.support.cluster import ClusterServer
from tests.support.servers import pgbouncer

SECRET = leaks.secret(secrets.token_urlsafe(48))
Server = postgres.Server

# What is set for other ways through the program: see test_both_ways.py.
PLAIN = {"fast_path": "off", "database_prepare": "off", "response_cache_bytes": "0"}
POOLED = {"database_pool_size": 100}
CLUSTER = {"database_cluster": "citus"}
_ways: dict[str, Any] = {}
_own_folder: pytest.StashKey[str] = pytest.StashKey()
_through_pooler: pytest.StashKey[int] = pytest.StashKey()

_numbers = itertools.count(1)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--plain", action="store_true", help="without the lean path and prepared statements")
    parser.addoption("--faults", action="store_true", help="all of tests/faults, as scripts/faults.sh runs it")
    parser.addoption("--soak", type=float, default=0.0, help="so many seconds of load (tests/faults/test_soak.py)")
    parser.addoption("--within", type=float, default=600.0, help="seconds for the whole run: the soak is cut to fit")
    parser.addoption("--pooled", action="store_true", help="through PgBouncer, with 5 connections to the server")
    parser.addoption("--cluster", action="store_true", help="with DATABASE_CLUSTER=citus; see tests/db/test_citus.py")
    parser.addoption("--screenshots", action="store_true", help="take docs/web-*.png anew (tests/browser/test_web.py)")


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    # A run of its own folder: pytest locks everybody else out of the one that runs share, also PostgreSQL's user in
    # another run that is under way.
    if config.option.basetemp is None:
        config.stash[_own_folder] = tempfile.mkdtemp(prefix="tests-of-tasks-")
        config.option.basetemp = Path(config.stash[_own_folder]) / "run"
    for option, settings in (("--plain", PLAIN), ("--pooled", POOLED), ("--cluster", CLUSTER)):
        if config.getoption(option):
            _ways.update(settings)
    if cluster.URL:
        _ways.update(CLUSTER)
    _lines.listen()


def pytest_ignore_collect(collection_path: Path) -> bool | None:
    """On a real cluster what is not about it is left out."""
    left_out = {PROJECT_ROOT / "tests" / name for name in (*NOT_PLAIN, *cluster.LEFT_OUT)}
    return True if cluster.URL and collection_path in left_out else None


class Lines:
    """Every line that this run produced since the last look, whoever reads it besides."""

    def __init__(self) -> None:
        self._lines: list[str] = []

    def listen(self) -> None:
        """To our own log before it is written, and to programs whose output a test takes for itself."""
        formatted, communicated = JSONFormatter.format, subprocess.Popen.communicate

        def format_and_keep(formatter: JSONFormatter, record: logging.LogRecord) -> str:
            line = formatted(formatter, record)
            self._lines.append(line)
            return line

        def communicate_and_keep(process: subprocess.Popen[Any], *arguments: Any, **options: Any) -> Any:
            outputs = communicated(process, *arguments, **options)
            for output in filter(None, outputs):
                self.add(output if isinstance(output, str) else output.decode(errors="replace"))
            return outputs

        JSONFormatter.format = format_and_keep  # type: ignore[method-assign, assignment] # it formats
        subprocess.Popen.communicate = communicate_and_keep  # type: ignore[method-assign, assignment] # likewise

    def add(self, text: str) -> None:
        self._lines += text.splitlines()

    def take(self) -> list[str]:
        lines, self._lines = self._lines, []
        return lines


_lines = Lines()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """A test fails that made anything say what must not be said (leaks.py)."""
    report = yield
    for heading, text in report.sections:
        if heading.endswith(report.when):  # others were judged before
            _lines.add(text)
    if leaked := leaks.found(_lines.take()):
        report.outcome = "failed"
        report.longrepr = "\n".join(["What was written holds", *leaked])
    return report


def pytest_unconfigure(config: pytest.Config) -> None:
    if _other_runs in config.stash:
        config.stash[_other_runs].end()
    if _own_folder in config.stash:
        shutil.rmtree(config.stash[_own_folder], ignore_errors=True)


def examples(number: int) -> int:
    """How many of so many examples Hypothesis tries in this run: on another way less of what is long."""
    return number // 3 if _ways else number


def messages_ahead() -> int:
    """How many messages a transaction sends in this run before the first that has a statement of ours."""
    return 5 if "database_cluster" in _ways else 0


def messages(statements: int) -> int:
    """How many messages so many statements are in this run that are sent alone: on a cluster each has six."""
    return statements * 6 if "database_cluster" in _ways else statements


def token(
    user_id: str | None = None, *, secret: str = SECRET, header: dict[str, Any] | None = None, **claims: Any
) -> str:
    """A token as Better Auth signs it for this user: HS256, 15 minutes."""
    now = int(time.time())
    contents: dict[str, Any] = {"iat": now, "exp": now + 900, **claims}
    if user_id is not None:
        contents["sub"] = user_id
    return jwt.encode({"alg": "HS256", **(header or {})}, contents, OctKey.import_key(secret))


def new_user() -> str:
    """A user id that no other test has: rows are never shared between tests."""
    return f"user{next(_numbers)}-{secrets.token_hex(4)}"


# What does not depend on how a request is served, and what attacks the API by its document, which takes longest.
NOT_PLAIN = (
    "browser",
    "deploy",
    "examples",
    "faults",
    "interop",
    "scripts",
    "auth/test_tokens.py",
    "test_both_ways.py",
    "db/test_citus.py",
    "test_config.py",
    "migrations/test_distributable.py",
    "db/test_embedded.py",
    "auth/test_jwks.py",
    "observability/test_metrics.py",
    "server/test_shutdown.py",
    "test_lock.py",
    "migrations/test_migrations.py",
    "test_ownership.py",
    "db/test_pooler.py",
    "test_problems.py",
    "server/test_protocol.py",
    "db/test_row_security.py",
    "test_schemathesis.py",
    "auth/test_session_cookie.py",
    "auth/test_signatures.py",
    "observability/test_tracing.py",
    "observability/test_alerts.py",
    "db/test_tls.py",
)
# What asks the database through the API or the repositories; not how it plans, and not what starts programs.
ASKING = (
    *("tests/isolation", "tests/repositories", "tests/routes"),
    *("--ignore=tests/repositories/test_scoping.py", "--ignore=tests/repositories/test_plans.py"),
    *("--ignore=tests/routes/test_docs.py", "-k=not test_a_program_ends and not test_a_reload"),
)
OTHER_RUNS = {
    "plain": ("--plain", "tests", *(f"--ignore=tests/{name}" for name in NOT_PLAIN)),
    "pooled": ("--pooled", *ASKING),
    "cluster": ("--cluster", *ASKING),
}


class OtherRuns:
    """The suite, or what matters of it, taken other ways: beside the main run, one after another."""

    def __init__(self, names: Iterable[str]) -> None:
        self._process: subprocess.Popen[str] | None = None
        self._thread = ThreadPoolExecutor(1)
        self._results = {name: self._thread.submit(self._run, *OTHER_RUNS[name]) for name in names}

    def result(self, name: str, seconds: float) -> tuple[int, str]:
        """How the run has ended, and what it printed."""
        return self._results[name].result(seconds)

    def end(self) -> None:
        self._thread.shutdown(wait=False, cancel_futures=True)
        if self._process is not None:
            self._process.terminate()
        self._thread.shutdown()

    def _run(self, *arguments: str) -> tuple[int, str]:
        command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *arguments]
        with subprocess.Popen(
            command, cwd=PROJECT_ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        ) as self._process:
            output, _ = self._process.communicate()
        return self._process.returncode, output


_other_runs: pytest.StashKey[OtherRuns] = pytest.StashKey()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Whoever waits for another run comes last."""
    items.sort(key=lambda item: _other_run_of(item) is not None)


def pytest_collection_finish(session: pytest.Session) -> None:
    """Start the other runs (see test_both_ways.py) that tests are to wait for."""
    names = [name for item in session.items if (name := _other_run_of(item)) is not None]
    if names and not session.config.option.collectonly:
        session.config.stash[_other_runs] = OtherRuns(names)


def _other_run_of(item: pytest.Item) -> str | None:
    if isinstance(item, pytest.Function) and "other_run" in item.fixturenames:
        return str(item.callspec.params["other_run"])
    return None


OtherRun = Callable[[float], tuple[int, str]]


@pytest.fixture
def other_run(request: pytest.FixtureRequest) -> OtherRun:
    """The end of a run that has been on its way since the tests were collected; takes how long to wait (seconds)."""
    return functools.partial(request.config.stash[_other_runs].result, request.param)


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory, pytestconfig: pytest.Config) -> Iterator[Server]:
    """PostgreSQL with a migrated template; without fsync, for what is lost in a power cut here is not missed."""
    if cluster.URL:
        real = ClusterServer(cluster.URL)
        real.set_up()
        yield real
        return
    with contextlib.ExitStack() as stack:
        server = Server(stack.enter_context(embedded.joined(tmp_path_factory.mktemp("data"))))
        server.execute("ALTER SYSTEM SET fsync = off")
        server.execute("ALTER SYSTEM SET synchronous_commit = off")
        server.execute("SELECT pg_reload_conf()")
        server.execute("CREATE DATABASE migrated")
        embedded.bring_up_to_date(server.database_url("migrated"))
        server.execute("CREATE ROLE tasks_login LOGIN IN ROLE tasks_api")
        if pytestconfig.getoption("--pooled"):
            server.pooler = stack.enter_context(pgbouncer(server.url))
        if pytestconfig.getoption("--cluster"):
            confined_login(server)
            server.login = "tasks_api"
        yield server
        if server.pooler is not None:
            counts = [row["total_query_count"] for row in server.pooler.admin("SHOW STATS")]
            pytestconfig.stash[_through_pooler] = sum(counts)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    if _through_pooler in config.stash:
        terminalreporter.line(f"PgBouncer: {config.stash[_through_pooler]} queries")


def confined_login(server: Server) -> None:
    """Let `tasks_api` log in itself, as on a cluster."""
    server.execute("ALTER ROLE tasks_api LOGIN")
    server.execute("ALTER ROLE tasks_api SET citus.propagate_set_commands = 'local'")


@pytest.fixture(scope="session")
def database_url(server: Server) -> Iterator[str]:
    """One migrated database for all tests that change nothing but their own users' rows; its user owns nothing."""
    with server.shared_database() as name:
        yield server.api_url(name)


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
    return Settings(_env_file=None, **{**values, **_ways, **changes})


@contextlib.asynccontextmanager
async def database_for(url: str, **changes: Any) -> AsyncIterator[Database]:
    """The API's way to a database, without the API. A missing wall is raised as it is."""
    options: dict[str, Any] = {
        "pool_size": 10,
        "pool_timeout": 5.0,
        "connect_timeout": 5.0,
        "statement_timeout": 5.0,
        "on_isolation_failure": _raise,
        "prepare": _ways.get("database_prepare", "auto"),
    }
    if "database_cluster" in _ways:
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


@pytest.fixture(scope="session")
async def app(database_url: str) -> AsyncIterator[FastAPI]:
    """The whole application on the shared database."""
    async with running(create_app(settings_for(database_url))) as app:
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


MakeClient = Callable[..., Client]


@pytest.fixture
async def make_client(app: FastAPI) -> AsyncIterator[MakeClient]:
    """Makes clients on the shared application, each of a new user unless told which."""
    made: list[Client] = []

    def make(user_id: str | None = None) -> Client:
        made.append(client_for(app, user_id))
        return made[-1]

    yield make
    for client in made:
        await client.aclose()


@pytest.fixture
async def client(make_client: MakeClient) -> Client:
    """A client of a user whom no other test knows."""
    return make_client()
