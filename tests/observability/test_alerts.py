"""docs/observability.md with a real Prometheus: it finds every process, and answers every query."""

import asyncio
import contextlib
import itertools
import math
import re
import secrets
import shutil
import subprocess
import textwrap
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import psycopg2
import pytest

from backend.app.config import PROJECT_ROOT
from tests.support import leaks
from tests.support.postgres import Server
from tests.support.programs import free_port, serving, until
from tests.support.scraping import free_ports
from tests.support.tokens import SECRET, new_user, token

PROMETHEUS, PROMTOOL = shutil.which("prometheus"), shutil.which("promtool")
WATCHING = (PROJECT_ROOT / "docs/observability.md").read_text()
WORKERS = 2
TASK = {"title": leaks.TITLE, "description": leaks.DESCRIPTION}

pytestmark = pytest.mark.skipif(PROMETHEUS is None, reason="no Prometheus here (Debian: apt-get install prometheus)")


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", WATCHING, re.DOTALL)


SCRAPING, ALERTS = blocks("yaml")
QUERIES = [re.sub(r"(?m)^#.*\n", "", query).strip() for query in blocks("promql")[0].split("\n\n")]


class Prometheus:
    """One that runs."""

    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}"

    def ask(self, path: str, **parameters: str) -> Any:
        return httpx.get(f"{self.url}{path}", params=parameters).raise_for_status().json()["data"]

    def query(self, query: str) -> list[float]:
        """The values of what it answers."""
        return [float(found["value"][1]) for found in self.ask("/api/v1/query", query=query)["result"]]

    def is_ready(self) -> bool:
        with contextlib.suppress(httpx.HTTPError):
            return httpx.get(f"{self.url}/-/ready").status_code == 200
        return False


@contextlib.contextmanager
def prometheus(folder: Path, metrics_port: int) -> Iterator[Prometheus]:
    """It scrapes as the page says, but on the test's ports, and oftener."""
    ports = iter(range(metrics_port, metrics_port + WORKERS + 1))
    first, *_ = re.findall(r'"127\.0\.0\.1:\d+"', SCRAPING)
    targets = ", ".join(f'"127.0.0.1:{port}"' for port in ports)
    scraping = re.sub(rf"\[{first}.*?\]", f"[{targets}]", SCRAPING)
    assert targets in scraping
    (folder / "alerts.yml").write_text(ALERTS)
    (folder / "prometheus.yml").write_text(
        f"global: {{scrape_interval: 200ms, evaluation_interval: 200ms}}\nrule_files: [alerts.yml]\n{scraping}"
    )
    port = free_port()
    command = [
        str(PROMETHEUS),
        f"--config.file={folder / 'prometheus.yml'}",
        f"--storage.tsdb.path={folder / 'data'}",
        f"--web.listen-address=127.0.0.1:{port}",
        "--log.level=error",
    ]
    with subprocess.Popen(command) as process:
        try:
            running = Prometheus(port)
            until(lambda: running.is_ready() or process.poll() is not None)
            assert process.poll() is None
            yield running
        finally:
            process.terminate()


class Load:
    """A little of everything that there is to be seen, and how much of it was asked for."""

    def __init__(self, ports: list[int], server: Server, database: str) -> None:
        self.apis = itertools.cycle(f"http://127.0.0.1:{port}" for port in ports)
        self.user = new_user()
        self.headers = {"Authorization": f"Bearer {token(self.user)}"}
        self.tasks = f"/api/{self.user}/tasks"
        self.sent = 0
        self._server = server
        self._database = database

    async def round(self) -> None:
        # Each process gets some of them.
        async with httpx.AsyncClient(base_url=next(self.apis)) as client:
            await self.ask(client, "POST", self.tasks, json=TASK, headers=self.headers)
            await self.ask(client, "GET", self.tasks, headers=self.headers)
            await self.ask(client, "GET", f"{self.tasks}/1", headers=self.headers)
            await self.ask(client, "GET", self.tasks, headers={"Authorization": "Bearer x"})

    async def trouble(self) -> None:
        """A write whose connection is lost and that then waits for a lock until it is given up; one without a key."""
        connection = psycopg2.connect(self._server.database_url(self._database))
        async with httpx.AsyncClient(base_url=next(self.apis), timeout=30) as client:
            with contextlib.closing(connection), connection.cursor() as cursor:
                cursor.execute(f"SELECT FROM task_lists WHERE user_id = '{self.user}' FOR UPDATE")
                for key in ({"Idempotency-Key": secrets.token_hex(8)}, {}):
                    headers = {**self.headers, **key}
                    writing = asyncio.create_task(self.ask(client, "POST", self.tasks, json=TASK, headers=headers))
                    while not writing.done() and not self._cut():  # noqa: ASYNC110 - only the database knows
                        await asyncio.sleep(0.01)
                    await writing

    def _cut(self) -> bool:
        waiting = f"wait_event_type = 'Lock' AND datname = '{self._database}'"
        return bool(self._server.execute(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {waiting}"))

    async def ask(self, client: httpx.AsyncClient, *request: Any, **options: Any) -> None:
        self.sent += 1
        answer = await client.request(*request, **options)
        assert answer.status_code in (200, 201, 401, 409, 429, 503), answer.text


async def test_prometheus_finds_all_processes_and_answers_the_page(server: Server, tmp_path: Path) -> None:
    """Each query with numbers, and what it has counted is what was sent; each alert is one that it can evaluate."""
    ports, metrics_port = [free_port() for _ in range(WORKERS)], free_ports(WORKERS + 1)
    settings = {
        "BETTER_AUTH_SECRET": SECRET,
        "RATE_LIMIT_PER_USER": "1000000/minute",
        "DATABASE_STATEMENT_TIMEOUT": "0.5",
        "RATE_LIMIT_PER_ADDRESS": "5/minute",
    }
    with server.new_database() as name:
        settings["DATABASE_URL"] = server.database_url(name, user="tasks_login")
        with contextlib.ExitStack() as stack:
            prom = stack.enter_context(prometheus(tmp_path, metrics_port))
            for number, port in enumerate(ports):
                own = {**settings, "METRICS_PORT": str(metrics_port + number)}
                stack.enter_context(serving(PROJECT_ROOT, port, **own))
            until(lambda: prom.query("count(up == 1)") == [WORKERS])
            load = Load(ports, server, name)
            deadline = time.monotonic() + 60
            unanswered = set(QUERIES)
            while unanswered:
                assert time.monotonic() < deadline, unanswered
                await asyncio.gather(*(load.round() for _ in range(8)))
                await load.trouble()
                answers = {query: await asyncio.to_thread(prom.query, query) for query in unanswered}
                # A route that nobody asks any more has no slowest request: NaN.
                unanswered = {query for query, found in answers.items() if not any(map(math.isfinite, found))}
            counted = 'sum(tasks_requests_total{route!~"/health.*"})'
            until(lambda: prom.query(counted) == [load.sent])
            rules = prom.ask("/api/v1/rules")["groups"][0]["rules"]
            until(lambda: {r["health"] for r in prom.ask("/api/v1/rules")["groups"][0]["rules"]} == {"ok"})

    assert [rule["name"] for rule in rules] == re.findall(r"alert: (\w+)", ALERTS)


def test_the_alerts_are_well_formed(tmp_path: Path) -> None:
    """As Prometheus' own tool judges them, and each on something that there is."""
    file = tmp_path / "alerts.yml"
    file.write_text(textwrap.dedent(ALERTS))
    judged = subprocess.run([str(PROMTOOL), "check", "rules", str(file)], capture_output=True, text=True, check=False)

    assert judged.returncode == 0, judged.stdout + judged.stderr


def test_every_metric_is_on_the_page() -> None:
    """And nothing else is asked for."""
    observability = PROJECT_ROOT / "backend/app/observability"
    source = "".join((observability / name).read_text() for name in ("metrics.py", "reminder_metrics.py"))
    measured = set(re.findall(r'"(tasks_\w+)"', source))
    table = set(re.findall(r"tasks_\w+", WATCHING[: WATCHING.index("What to ask")]))
    asked = {re.sub("_bucket$", "", name) for name in re.findall(r"tasks_\w+", "".join(QUERIES) + ALERTS)}

    assert {name.removesuffix("_total") for name in table} == measured
    assert asked <= table
