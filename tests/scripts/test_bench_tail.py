"""Where slow requests spend their time: what is made of the measurements, and that the stopwatches measure."""

import json
from pathlib import Path
from typing import Any

import pytest

from scripts.bench import contestants, tail
from scripts.bench.processes import Load
from tests.support.postgres import Server
from tests.support.tokens import SECRET, new_user, token

LOG = "\n".join(
    [
        "2026-11-28 09:00:00.000 UTC [7] LOG:  duration: 9.000 ms",  # the driver's own, as it connects
        "2026-11-28 09:00:00.000 UTC [7] LOG:  duration: 1.000 ms",
        "2026-11-28 09:00:00.000 UTC [8] LOG:  duration: 5.500 ms",
        "2026-11-28 09:00:00.000 UTC [7] LOG:  duration: 2.000 ms",
        "",
    ]
)


def request(received: float, messages: list[tuple[int, int, float]]) -> dict[str, Any]:
    """One that begins after 1 ms, waits 2 ms for a connection, and ends after 20."""
    moments = {"received": received, "started": received + 0.001, "ended": received + 0.020}
    return {"what": "GET /", **moments, "pool": 0.002, "messages": messages}


def test_a_requests_time_is_the_sum_of_its_parts() -> None:
    """PostgreSQL's lines are matched from the end; what came before is left out; spans count where they overlap."""
    found = {
        "requests": [request(0.0, [(7, 1, 0.010)]), request(2.0, [(7, 2, 0.010), (8, 1, 0.006)])],
        "late": [(1.990, 2.005), (2.018, 2.030), (3.0, 4.0)],
        "starved": [(2.018, 2.019)],
        "collections": [],
    }

    [one] = tail.explain(found, LOG, begin=1.0)

    assert {name: round(ms, 6) for name, ms in one.parts.items()} == {
        "queued": 1.0,
        "pool": 2.0,
        "postgresql": 7.5,
        "answer": 8.5,
        "own": 1.0,
        "late": 7.0,
        "starved": 1.0,
        "collections": 0.0,
    }
    assert sum(one.parts[name] for name in tail.PARTS) == pytest.approx(one.total) == pytest.approx(20.0)


def test_the_slowest_are_compared_with_all() -> None:
    """Of 200 requests two are the slowest 1 %."""
    parts = dict.fromkeys(tail.PARTS | tail.WITHIN, 0.0)
    explained = [tail.Explained("GET /", ms, parts | {"pool": ms}) for ms in (*[1.0] * 198, 50.0, 100.0)]

    text = tail.report(explained, Load(200, 1000.0, 1.5, 60.0, 0), 16)

    assert "| in the API, from the read of the request to its answer | 1.00 | 50.00 |" in text
    assert "| waiting for a pool connection | 1.74 | 75.00 | 100% |" in text
    assert "| the slowest | ms |" in text


def test_the_stopwatches_measure_a_served_request(server: Server, database_url: str, tmp_path: Path) -> None:
    """The application is served as always, and tells at its end where its requests have waited."""
    name, written, someone = database_url.partition("?")[0].rpartition("/")[2], tmp_path / "tail.json", new_user()
    settings = {"BETTER_AUTH_SECRET": SECRET, "ENVIRONMENT": "staging", "TAIL_FILE": str(written)}
    start = contestants.uvicorn(
        "scripts.bench.traced:app", *tail.OPTIONS.split(), DATABASE_URL=server.database_url(name), **settings
    )

    with start() as served:
        served.wait(f"/api/{someone}/tasks", token(someone))

    found = json.loads(written.read_text())
    [told] = [one for one in found["requests"] if one["what"] == "GET /api/{user_id}/tasks 200"]
    assert told["received"] <= told["started"] <= told["ended"]
    assert told["pool"] > 0
    [(pid, number, seconds)] = told["messages"]
    assert pid > 0
    assert number >= 1
    assert 0 < seconds < told["ended"] - told["started"]
    assert set(found) == {"requests", *tail.WITHIN}
