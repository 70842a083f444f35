"""On a real cluster every statement goes to the one node that has the user's rows (see tests/support/cluster.py)."""

import contextlib
from collections.abc import Iterator

import psycopg2
import pytest

from backend.app.db.preamble import LOCK_LIST
from backend.app.db.statement import OWNER, Statement
from backend.app.repositories.task_writes import CREATE
from tests.support import cluster
from tests.support.postgres import Server
from tests.support.remote import RemoteLog, servers
from tests.support.statements import named, on_cluster, prepared, sample
from tests.support.tokens import new_user

OPENING = Statement("open a transaction", LOCK_LIST, (), {OWNER: "TEXT", "first_revision": "BIGINT"})
needs_cluster = pytest.mark.skipif(not cluster.URL, reason=f"no cluster: {cluster.VARIABLE} is not set")


@pytest.fixture(scope="module")
def remote_log(database_url: str) -> Iterator[RemoteLog]:
    with contextlib.closing(RemoteLog(database_url)) as log:
        yield log


@pytest.fixture
def owner(remote_log: RemoteLog) -> str:
    """A new user with a row in each table."""
    user_id = new_user()
    remote_log.add_rows(user_id)
    return user_id


@needs_cluster
def test_each_statement_is_sent_to_one_node(remote_log: RemoteLog, owner: str) -> None:
    """Nothing is sent to another, not even an intermediate result: users of a lost node take nobody along."""
    sent = {named(statement): remote_log.servers(statement, owner) for statement in (OPENING, *on_cluster())}

    assert {name: nodes for name, nodes in sent.items() if len(nodes) != 1} == {}


@needs_cluster
def test_a_statement_that_is_sent_to_every_node_is_noticed(remote_log: RemoteLog, owner: str) -> None:
    """The failing sample: a statement that inserts within a CTE, as one PostgreSQL is sent it."""
    assert len(remote_log.servers(CREATE, owner)) > 1


@pytest.mark.skipif(bool(cluster.URL), reason="there is a cluster to ask")
@pytest.mark.parametrize("statement", prepared(), ids=named)
def test_each_statement_can_be_run(server: Server, statement: Statement) -> None:
    """With sample values for all it takes, so that a cluster can be asked."""
    with contextlib.closing(psycopg2.connect(server.database_url("migrated"))) as connection:
        cursor = connection.cursor()
        cursor.execute(f"EXPLAIN {statement.text}", {**sample(statement), OWNER: new_user()})
        plan = cursor.fetchall()

    assert plan != []


@pytest.mark.parametrize(
    ("notices", "expected"),
    [
        ([], set()),
        (["NOTICE:  issuing SELECT 1\nDETAIL:  on server api@127.0.0.1:5433 connectionId: 1\n"], {"127.0.0.1:5433"}),
        (
            [f"NOTICE:  issuing COMMIT\nDETAIL:  on server a b@{node}:5432 connectionId: 3\n" for node in ("n1", "n2")],
            {"n1:5432", "n2:5432"},
        ),
        (["NOTICE:  something else on a server\n"], set()),
    ],
)
def test_what_citus_notes_is_read(notices: list[str], expected: set[str]) -> None:
    """As it is sent with citus.log_remote_commands."""
    assert servers(notices) == expected
