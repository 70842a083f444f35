"""What every test stands on: a real PostgreSQL, real tokens, and the real middleware stack."""

import contextlib
import itertools
import secrets
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any, NoReturn

import httpx
import psycopg2
import pytest
from fastapi import FastAPI
from joserfc import jwt
from joserfc.jwk import OctKey

from backend.app import embedded
from backend.app.config import PROJECT_ROOT, RefusedToStart, Settings
from backend.app.db import Database
from backend.app.main import create_app

SECRET = secrets.token_urlsafe(48)

# What `--plain` switches off: see test_both_ways.py.
PLAIN = {"lean_path": "off", "database_prepare": "off", "answer_cache_bytes": "0"}
_ways: dict[str, str] = {}
_own_folder: pytest.StashKey[str] = pytest.StashKey()

_numbers = itertools.count(1)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--plain", action="store_true", help="without the lean path and prepared statements")
    parser.addoption("--faults", action="store_true", help="all of tests/faults, as scripts/faults.sh runs it")
    parser.addoption("--soak", type=float, default=0.0, help="so many seconds of load (tests/faults/test_soak.py)")
    parser.addoption("--within", type=float, default=600.0, help="seconds for the whole run: the soak is cut to fit")
    parser.addoption("--screenshots", action="store_true", help="take docs/web-*.png anew (tests/browser/test_web.py)")


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    # A run of its own folder: pytest locks everybody else out of the one that runs share, also PostgreSQL's user in
    # another run that is under way.
    if config.option.basetemp is None:
        config.stash[_own_folder] = tempfile.mkdtemp(prefix="tests-of-tasks-")
        config.option.basetemp = Path(config.stash[_own_folder]) / "run"
    if config.getoption("--plain"):
        _ways.update(PLAIN)


def pytest_unconfigure(config: pytest.Config) -> None:
    if _own_folder in config.stash:
        shutil.rmtree(config.stash[_own_folder], ignore_errors=True)


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


PlainRun = subprocess.Popen[str]
_plain_run: pytest.StashKey[PlainRun] = pytest.StashKey()

# What does not depend on how a request is served, and what attacks the API by its document, which takes longest.
NOT_PLAIN = (
    "browser",
    "examples",
    "faults",
    "interop",
    "scripts",
    "test_auth.py",
    "test_both_ways.py",
    "test_config.py",
    "test_embedded.py",
    "test_jwks.py",
    "test_migrations.py",
    "test_ownership.py",
    "test_problems.py",
    "test_row_security.py",
    "test_schemathesis.py",
    "test_session_cookie.py",
    "test_signatures.py",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Whoever waits for the plain run comes last."""
    items.sort(key=_waits_for_plain_run)


def pytest_collection_finish(session: pytest.Session) -> None:
    """Start the plain run (see test_both_ways.py), where a test is to wait for it, beside all the others."""
    if any(map(_waits_for_plain_run, session.items)) and not session.config.option.collectonly:
        command = [sys.executable, "-m", "pytest", "--plain", "-q", "-p", "no:cacheprovider", "tests"]
        command += [f"--ignore=tests/{name}" for name in NOT_PLAIN]
        session.config.stash[_plain_run] = subprocess.Popen(
            command, cwd=PROJECT_ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )


def _waits_for_plain_run(item: pytest.Item) -> bool:
    return "plain_run" in getattr(item, "fixturenames", ())


@pytest.fixture
def plain_run(pytestconfig: pytest.Config) -> Iterator[PlainRun]:
    """The suite with `--plain`, on its way since the tests were collected."""
    with pytestconfig.stash[_plain_run] as run:
        yield run


class Server:
    """The embedded PostgreSQL of this run; `url` is a superuser's."""

    def __init__(self, url: str) -> None:
        self.url = url

    def database_url(self, name: str, user: str = "postgres") -> str:
        before, _, query = self.url.partition("?")
        return f"{before.rpartition('/')[0].replace('postgres@', f'{user}@')}/{name}?{query}"

    def execute(self, statement: str, *, database: str = "postgres") -> list[tuple[Any, ...]]:
        """Run a statement as the superuser, in a transaction of its own."""
        connection = psycopg2.connect(self.database_url(database))
        connection.autocommit = True
        with contextlib.closing(connection), connection.cursor() as cursor:
            cursor.execute(statement)
            return cursor.fetchall() if cursor.description else []

    @contextlib.contextmanager
    def new_database(self, *, migrated: bool = True) -> Iterator[str]:
        """The name of a database of the test's own; it is dropped afterwards."""
        name = f"test_{secrets.token_hex(6)}"
        self.execute(f"CREATE DATABASE {name} TEMPLATE {'migrated' if migrated else 'template0'}")
        try:
            yield name
        finally:
            self.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """PostgreSQL with a migrated template; without fsync, for what is lost in a power cut here is not missed."""
    with embedded.joined(tmp_path_factory.mktemp("data")) as url:
        server = Server(url)
        server.execute("ALTER SYSTEM SET fsync = off")
        server.execute("ALTER SYSTEM SET synchronous_commit = off")
        server.execute("SELECT pg_reload_conf()")
        server.execute("CREATE DATABASE migrated")
        embedded.bring_up_to_date(server.database_url("migrated"))
        server.execute("CREATE ROLE tasks_login LOGIN IN ROLE tasks_api")
        yield server


@pytest.fixture(scope="session")
def database_url(server: Server) -> Iterator[str]:
    """One migrated database for all tests that change nothing but their own users' rows; its user owns nothing."""
    with server.new_database() as name:
        yield server.database_url(name, user="tasks_login")


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
        "on_missing_wall": _raise,
        "prepare": _ways.get("database_prepare", "auto"),
    }
    database = Database(url, **{**options, **changes})
    try:
        yield database
    finally:
        await database.close()


def _raise(refusal: RefusedToStart) -> NoReturn:
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
