"""A pytest plugin: other ways through the program, on each of which everything holds as well.

Speed is under the handlers, in places that can be switched off (`--plain`); between the API and PostgreSQL there may be
PgBouncer (`--pooled`); and on a cluster statements are sent in another way (`--cluster`). `scripts/test.sh` runs the
tests that each way concerns, before it runs them all the usual way.
"""

from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from backend.app.config import PROJECT_ROOT
from tests.support import cluster

TESTS = PROJECT_ROOT / "tests"

SETTINGS: dict[str, dict[str, Any]] = {
    "plain": {"fast_path": "off", "database_prepare": "off", "response_cache_bytes": "0"},
    "pooled": {"database_pool_size": 100},
    "cluster": {"database_cluster": "citus"},
}
# What asks the database through the API or the repositories; not how it plans, and not what starts programs.
_ASKING = ("isolation", "repositories", "routes")
CONCERNED = {
    "plain": (*_ASKING, "web", "middleware", "db/test_database.py", "test_main.py"),
    "pooled": _ASKING,
    "cluster": _ASKING,
}
NOT_CONCERNED = (
    *("isolation/test_neighbours.py", "isolation/test_other_logins.py", "isolation/test_copies.py"),
    *("repositories/test_plans.py", "repositories/test_scoping.py", "routes/test_docs.py"),
    *("web/test_openapi.py", "web/test_schemathesis.py", "web/test_headers.py"),
    # They make no application.
    *("web/foreign/", "web/test_calendar_format.py", "web/test_vtimezone.py", "web/test_long_body.py"),
    *("web/test_json_pieces.py", "web/test_suggestions.py", "web/test_conditional.py"),
)
# What a real cluster is not asked either: how statements are sent to one PostgreSQL.
NOT_ON_A_CLUSTER = ("db/test_citus.py", "db/test_database.py", "migrations/test_distributable.py")
# How many rows of a table in tests/routes are tried: what happens below the handlers is the same for all of them.
TABLE_ROWS_MAX = 5
# Test names: they start programs of their own, with settings of their own, or try a test and not the program.
OF_NO_WAY = ("test_a_program_ends", "test_a_reload", "test_what_is_wrong_with_completions_is_noticed")

_taken: list[str] = []


def settings() -> dict[str, Any]:
    """What is set on the way that this run takes."""
    return {name: value for way in _taken for name, value in SETTINGS[way].items()}


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--plain", action="store_true", help="without the fast path, prepared statements and caches")
    parser.addoption("--pooled", action="store_true", help="through PgBouncer, with 5 connections to the server")
    parser.addoption("--cluster", action="store_true", help="with DATABASE_CLUSTER=citus; see tests/db/test_citus.py")


def pytest_configure(config: pytest.Config) -> None:
    _taken.extend(way for way in SETTINGS if config.getoption(way))
    if cluster.URL:
        _taken.append("cluster")


def pytest_ignore_collect(collection_path: Path) -> bool | None:
    """Leave out what the way does not concern."""
    if not _taken or collection_path.is_dir() or TESTS not in collection_path.parents:
        return None
    name = str(collection_path.relative_to(TESTS))
    concerned = all(name.startswith(CONCERNED[way]) for way in _taken) and not name.startswith(NOT_CONCERNED)
    return None if concerned and not (cluster.URL and name in NOT_ON_A_CLUSTER) else True


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if not _taken:
        return
    rows = Counter[str]()
    for item in items[:]:
        test = item.nodeid.partition("[")[0]
        rows[test] += item.path.parent.name == "routes"
        if item.name.startswith(OF_NO_WAY) or rows[test] > TABLE_ROWS_MAX:
            items.remove(item)


def examples(number: int) -> int:
    """How many of so many examples Hypothesis tries in this run: on another way less of what is long."""
    return number // 3 if _taken else number


def messages_ahead() -> int:
    """How many messages a transaction sends in this run before the first that has a statement of ours."""
    return 6 if "cluster" in _taken else 0


def more_steps_of_a_create() -> int:
    """How many statements a create takes in this run beyond the first."""
    return 1 if "cluster" in _taken else 0


def messages(statements: int) -> int:
    """How many messages so many statements are in this run that are sent alone: on a cluster each has seven."""
    return statements * 7 if "cluster" in _taken else statements
