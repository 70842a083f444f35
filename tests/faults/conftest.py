"""A PostgreSQL of the run's own, PgBouncer where it is installed, and the table at the end."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults import stage
from tests.faults.run import Row, table
from tests.support.programs import clone

_rows: pytest.StashKey[list[Row]] = pytest.StashKey()
_notes: pytest.StashKey[list[str]] = pytest.StashKey()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """What takes long is chosen by an option, and not skipped without it."""
    left_out = [
        item
        for item in items
        if (item.get_closest_marker("long") and not config.getoption("--faults"))
        or (item.get_closest_marker("soak") and not config.getoption("--soak"))
    ]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in left_out]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    rows = config.stash.get(_rows, [])
    if rows and (config.getoption("--faults") or config.getoption("--soak")):
        terminalreporter.write_line("\n".join(["", table(rows), "", *config.stash.get(_notes, [])]))


@pytest.fixture
def rows(pytestconfig: pytest.Config) -> list[Row]:
    """Of the table at the end."""
    return pytestconfig.stash.setdefault(_rows, [])


@pytest.fixture
def notes(pytestconfig: pytest.Config) -> list[str]:
    """Below the table."""
    return pytestconfig.stash.setdefault(_notes, [])


@pytest.fixture(scope="session")
def own_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[stage.Postgres]:
    with stage.postgres(tmp_path_factory.mktemp("faults")) as server:
        yield server


@pytest.fixture(scope="session")
def bouncer(own_server: stage.Postgres) -> Iterator[stage.Bouncer | None]:
    if stage.PGBOUNCER is None:
        yield None
        return
    bouncer = stage.Bouncer(own_server, own_server.folder.parent / "bouncer")
    try:
        bouncer.wait()
        yield bouncer
    finally:
        bouncer.end()


@pytest.fixture(scope="session")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clone of the project, without the settings of whoever works on it."""
    return clone(tmp_path_factory.mktemp("project"))
