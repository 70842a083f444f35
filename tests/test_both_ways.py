"""Other ways through the program: on each of them everything holds as well.

Speed is under the handlers, in places that can be switched off; between the API and PostgreSQL there may be PgBouncer;
and on a cluster statements are sent in another way. By hand: `pytest --plain`, `--pooled`, `--cluster`.
"""

import re

import pytest

from tests.conftest import OTHER_RUNS, OtherRun
from tests.support.servers import PGBOUNCER

SECONDS = 600
MANY = 1000


@pytest.mark.parametrize("other_run", OTHER_RUNS, indirect=True)
def test_the_suite_passes_another_way(other_run: OtherRun, request: pytest.FixtureRequest) -> None:
    """Every test of the application without the lean path and prepared statements; what asks the database also through
    PgBouncer in transaction mode, with 100 connections to it and 5 from it, and with the messages of a cluster.
    """
    if "pooled" in request.node.name and PGBOUNCER is None:
        pytest.skip("PgBouncer is not installed (apt-get install pgbouncer)")

    ended, output = other_run(SECONDS)

    assert ended == 0, output[-5000:]
    assert " passed" in output
    through_pooler = re.findall(r"PgBouncer: (\d+) queries", output)
    assert [int(count) > MANY for count in through_pooler] == [True] * ("pooled" in request.node.name)
