"""What every test stands on: a real PostgreSQL, real tokens, and the real middleware stack."""

import contextlib
import shutil
import sys
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from xdist.scheduler import LoadScopeScheduling

pytest.register_assert_rewrite("tests.support")

from backend.app.db import embedded
from backend.app.main import create_app
from tests.support import cluster
from tests.support.applications import Client, client_for, running, settings_for
from tests.support.cluster import ClusterServer
from tests.support.postgres import Server
from tests.support.servers import pgbouncer

pytest_plugins = ["tests.support.leak_check", "tests.support.ways"]

# Folders whose tests share what cannot be had twice at a time (a browser, Node's packages, nginx, clones), by the group
# that one worker runs.
ONE_AT_A_TIME = {
    "browser": "web page",
    "examples": "web page",
    "deploy": "deploy",
    "fair_share": "fair share",
    "faults": "faults",
    "interop": "interop",
    "scripts": "scripts",
}
# A run through PgBouncer that sent it fewer statements went past it.
POOLER_QUERIES_MIN = 1000

_own_folder: pytest.StashKey[str] = pytest.StashKey()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--faults", action="store_true", help="all of tests/faults, as scripts/faults.sh runs it")
    parser.addoption("--soak", type=float, default=0.0, help="so many seconds of load (tests/faults/test_soak.py)")
    parser.addoption("--within", type=float, default=600.0, help="seconds for the whole run: the soak is cut to fit")
    parser.addoption(
        "--screenshots", action="store_true", help="docs/web-*.png anew (tests/browser/test_page_looks.py)"
    )


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    # A run of its own folder: pytest locks everybody else out of the one that runs share, also PostgreSQL's user in
    # another run that is under way.
    if config.option.basetemp is None and not hasattr(config, "workerinput"):
        config.stash[_own_folder] = tempfile.mkdtemp(prefix="tests-of-tasks-")
        config.option.basetemp = Path(config.stash[_own_folder]) / "run"


def pytest_unconfigure(config: pytest.Config) -> None:
    if _own_folder in config.stash:
        shutil.rmtree(config.stash[_own_folder], ignore_errors=True)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with what runs one at a time, for it takes longest."""
    items.sort(key=lambda item: item.path.parent.name not in ONE_AT_A_TIME)


@pytest.hookimpl(wrapper=True, trylast=True)
def pytest_runtest_call(item: pytest.Item) -> Iterator[None]:
    """No coverage of what is marked so. In a worker pytest-cov has begun twice, and pauses once."""
    traced = sys.gettrace() if item.get_closest_marker("no_cover") else None
    if traced is None:
        return (yield)
    sys.settrace(None)
    try:
        return (yield)
    finally:
        sys.settrace(traced)


class OneAtATime(LoadScopeScheduling):  # type: ignore[misc] # pytest-xdist has no types
    """One worker runs all tests of a group. pytest-xdist's own groups need a part of pytest that is gone since 9.2."""

    def _split_scope(self, nodeid: str) -> str:
        folder = nodeid.partition("::")[0].split("/")[-2]
        return ONE_AT_A_TIME.get(folder, nodeid)


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> LoadScopeScheduling:
    return OneAtATime(config, log)


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
        server.execute(f"CREATE ROLE tasks_login LOGIN IN ROLE {server.role()}")
        if pytestconfig.getoption("--pooled"):
            server.pooler = stack.enter_context(pgbouncer(server.url))
        if pytestconfig.getoption("--cluster"):
            confined_login(server)
            server.login = server.role()
        yield server
        if server.pooler is not None:
            counts = [row["total_query_count"] for row in server.pooler.admin("SHOW STATS")]
            assert sum(counts) > POOLER_QUERIES_MIN or pytestconfig.getoption("keyword")


def confined_login(server: Server) -> None:
    """Let the API's role log in itself, as on a cluster."""
    server.execute(f"REVOKE {server.role()} FROM tasks_login")
    server.execute(f"ALTER ROLE {server.role()} LOGIN")
    server.execute(f"ALTER ROLE {server.role()} SET citus.propagate_set_commands = 'local'")


@pytest.fixture(scope="session")
def database_url(server: Server) -> Iterator[str]:
    """One migrated database for all tests that change nothing but their own users' rows; its user owns nothing."""
    with server.shared_database() as name:
        yield server.api_url(name)


@pytest.fixture(scope="session")
async def app(database_url: str) -> AsyncIterator[FastAPI]:
    """The whole application on the shared database."""
    async with running(create_app(settings_for(database_url))) as app:
        yield app


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
