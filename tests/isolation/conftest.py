"""The PostgreSQL servers on which other logins are tried: every version that is there."""

from collections.abc import Iterator

import pytest

from backend.app.db import embedded
from tests.support.postgres import Server
from tests.support.servers import debian_postgres


@pytest.fixture(scope="module")
def debian_server() -> Iterator[Server]:
    with debian_postgres() as (folder, _):
        yield Server(f"postgresql://postgres@/postgres?host={folder}")


@pytest.fixture(scope="module")
def embedded_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server of this module's own: roles belong to all of one."""
    with embedded.joined(tmp_path_factory.mktemp("neighbours")) as url:
        yield Server(url)


@pytest.fixture(params=["embedded_server", "debian_server"], ids=["embedded", "debian"])
def both(request: pytest.FixtureRequest) -> Server:
    server: Server = request.getfixturevalue(request.param)
    return server
