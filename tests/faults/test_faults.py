"""While something breaks, and after it: what was acknowledged is there once, and nobody sees anything of another."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.faults.faults import DIRECT, FAULTS, POOLED, Fault
from tests.faults.run import Row, play, staged
from tests.faults.stage import Bouncer, Postgres


def _cases() -> Iterator[Any]:
    for way in (DIRECT, POOLED):
        for fault in FAULTS:
            if way in fault.ways:
                marks = () if fault.short and way == DIRECT else pytest.mark.long
                yield pytest.param(fault, way, marks=marks, id=f"{fault.name}, {way}")


@pytest.mark.parametrize(("fault", "way"), [*_cases()])
async def test_nothing_acknowledged_is_lost_or_made_twice(  # noqa: PLR0917 - a row of the table
    fault: Fault,
    way: str,
    own_server: Postgres,
    bouncer: Bouncer | None,
    project: Path,
    tmp_path: Path,
    rows: list[Row],
) -> None:
    """And only 2xx, 409, 429 and 503 are answered, all work again within 5 s, and liveness is 200 within 100 ms."""
    if missing := fault.needs():
        pytest.skip(missing)
    if way != DIRECT and bouncer is None:
        pytest.skip("PgBouncer is not installed (Debian: apt-get install pgbouncer)")

    async with staged(fault, way, own_server, bouncer, project, tmp_path) as stage:
        row = await play(fault, stage, way)
        rows.append(row)

        assert row.faults == [], f"{row.cells()} {dict(row.tally.statuses)}\n{stage.api.log[-2000:]}"
