"""demo.sh as a person starts it: the page, Better Auth, the API and the database come together, and go together."""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import psutil
import psycopg2
import pytest

from backend.app.db import embedded
from tests.support.programs import (
    PATIENCE_SECONDS,
    clone,
    environment,
    family,
    free_port,
    has_ended,
    installed,
    postmaster,
    until,
)


@pytest.fixture
def project(tmp_path: Path, web: Path) -> Path:
    """A clone of the project with the packages of this one, and settings that are for something else."""
    project = clone(tmp_path)
    (project / ".env").write_text("BETTER_AUTH_SECRET=short\nDATABASE_URL=postgresql://nowhere.invalid/x\n")
    shutil.copytree(web, project / "examples/web", ignore=shutil.ignore_patterns("node_modules", "dist"))
    (project / "examples/web/node_modules").symlink_to(web / "node_modules")
    installed(project)
    return project


@dataclass
class Demo:
    process: subprocess.Popen[bytes]
    page: str
    api: str
    seconds: float

    def node(self) -> psutil.Process:
        [node] = [child for child in psutil.Process(self.process.pid).children() if child.name().startswith("node")]
        return node

    @contextlib.contextmanager
    def browser(self, how: str, email: str) -> Iterator[httpx.Client]:
        """One in which this person has signed in, or up."""
        with httpx.Client(base_url=self.page, headers={"Origin": self.page}, trust_env=False) as browser:
            body = {"email": email, "password": "correct horse", "name": "Ada"}
            browser.post(f"/api/auth/{how}/email", json=body).raise_for_status()
            yield browser


@contextlib.contextmanager
def demo(project: Path) -> Iterator[Demo]:
    page, api = free_port(), free_port()
    command = [str(project / "scripts/demo.sh"), "--page-port", str(page), "--api-port", str(api)]
    log = project / "demo.log"
    started = time.monotonic()
    with (
        log.open("wb") as output,
        subprocess.Popen(command, cwd="/", env=environment(), stdout=output, stderr=output) as process,
    ):
        try:
            until(lambda: b"The example page is ready" in log.read_bytes() or process.poll() is not None)
            assert process.poll() is None, log.read_text()
            yield Demo(process, f"http://localhost:{page}", f"http://localhost:{api}", time.monotonic() - started)
        finally:
            process.terminate()


def everything_ends(demo: Demo, project: Path, ending: signal.Signals, victim: int) -> int:
    """The program's exit status; no process of it, nor the database, is left after this signal to the victim."""
    started = [*family(demo.process.pid), psutil.Process(postmaster(project))]
    os.kill(victim, ending)
    status = demo.process.wait(PATIENCE_SECONDS)
    until(lambda: all(has_ended(member) for member in started))
    assert postmaster(project) is None
    return status


def test_a_person_signs_up_and_finds_their_tasks_again(project: Path) -> None:
    """With tokens of Better Auth's own keys; its tables are in a database of their own, and its secret is private."""
    with demo(project) as first:
        with first.browser("sign-up", "ada@example.com") as browser:
            page = browser.get("/")
            elsewhere = browser.get(first.page.replace("localhost", "127.0.0.1"))
            unreadable = [
                browser.request("TRACE", "/api/auth/ok"),
                browser.get("/api/auth/ok", headers={"X-Forwarded-Proto": "://"}),
            ]
            created = browser.post(tasks_of(browser, first), headers=bearer(browser), json={"title": "Buy milk"})
        with embedded.joined(project / ".data") as url:
            tables = {name: tables_of(url, name) for name in ("postgres", "better_auth")}
        first_status = everything_ends(first, project, signal.SIGINT, first.process.pid)
    with demo(project) as second:
        with second.browser("sign-in", "ada@example.com") as browser:
            found = browser.get(tasks_of(browser, second), headers=bearer(browser))
        second_status = everything_ends(second, project, signal.SIGTERM, second.process.pid)

    assert (first_status, second_status) == (128 + signal.SIGINT, 128 + signal.SIGTERM)
    assert [answer.status_code for answer in unreadable] == [400, 400]  # and nothing has ended
    assert created.status_code == 201
    assert created.headers["access-control-allow-origin"] == first.page
    assert [task["title"] for task in found.json()] == ["Buy milk"]
    assert f"connect-src 'self' {first.api};" in page.headers["content-security-policy"]
    assert "unsafe" not in page.headers["content-security-policy"]
    assert f'content="{first.api}"' in page.text
    assert (elsewhere.status_code, elsewhere.headers["location"]) == (308, first.page)
    assert {"tasks", "task_lists"} <= tables["postgres"]
    assert {"user", "session", "account", "jwks"} <= tables["better_auth"]
    assert not tables["postgres"] & tables["better_auth"]
    assert (project / ".data/better-auth.secret").stat().st_mode & 0o777 == 0o600


def test_nobody_outlives_the_others(project: Path) -> None:
    """Better Auth ends with a killed program, whose database the next start joins; and everything with Better Auth."""
    with demo(project) as killed:
        node = killed.node()
        killed.process.kill()
        until(lambda: has_ended(node))
    with demo(project) as bereft:
        status = everything_ends(bereft, project, signal.SIGKILL, bereft.node().pid)

    assert status == 128 + signal.SIGTERM
    assert "Better Auth has ended" in (project / "demo.log").read_text()


@pytest.mark.parametrize("option", ["--page-port", "--api-port"])
def test_a_port_that_is_taken_is_refused(project: Path, option: str) -> None:
    """With one sentence, before anything is started that could be confused with what listens there."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        ports = {"--page-port": free_port(), "--api-port": free_port(), option: taken.getsockname()[1]}
        command = [sys.executable, "-m", "scripts.demo", *(str(part) for pair in ports.items() for part in pair)]
        ended = subprocess.run(command, cwd=project, capture_output=True, text=True, check=False)

    assert ended.returncode != 0
    assert ended.stderr == (
        f"Refusing to start.\nPort {ports[option]}: Address already in use. Choose another with {option}.\n"
    )


def tasks_of(browser: httpx.Client, demo: Demo) -> str:
    user_id = browser.get("/api/auth/get-session").json()["user"]["id"]
    return f"{demo.api}/api/{user_id}/tasks"


def bearer(browser: httpx.Client) -> dict[str, str]:
    return {"Authorization": f"Bearer {browser.get('/api/auth/token').json()['token']}"}


def tables_of(url: str, database: str) -> set[str]:
    before, _, query = url.partition("?")
    with (
        contextlib.closing(psycopg2.connect(f"{before.rpartition('/')[0]}/{database}?{query}")) as connection,
        connection.cursor() as cursor,
    ):
        cursor.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
        return {name for (name,) in cursor.fetchall()}


def test_demo_says_what_is_missing(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Without a Node.js that is new enough there is one sentence."""
    project, tools = clone(tmp_path), tmp_path_factory.mktemp("tools")
    for name in ("dirname", "cat", "cmp"):
        (tools / name).symlink_to(str(shutil.which(name)))
    installed(project)

    ended = subprocess.run(
        [str(shutil.which("bash")), "scripts/demo.sh"],
        cwd=project,
        env={"PATH": str(tools)},
        capture_output=True,
        text=True,
        check=False,
    )

    assert ended.returncode != 0
    assert ended.stderr.startswith("Node.js 20.19, 22.12 or newer is needed, with npm, and was not found.")
    assert len(ended.stderr.splitlines()) == 1
