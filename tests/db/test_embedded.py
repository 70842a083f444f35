"""The development database comes up whatever the last program left behind, and goes when it must."""

import os
import re
import signal
import time
from collections.abc import Callable
from pathlib import Path

import psycopg2
import pytest

from backend.app.db import embedded
from backend.app.problems import StartupError


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A development database that has been used and left."""
    folder = tmp_path / "data"
    with embedded.joined(folder):
        pass
    return folder


def answers(url: str) -> bool:
    psycopg2.connect(url).close()
    return True


def pid_of_another(data: Path) -> None:
    """As after a container was killed: the process id in the file is somebody else's by now."""
    folder = data / "postgres"
    lines = [os.getpid(), folder, 1700000000, 5432, folder, "", "1 1", "ready"]
    (folder / "postmaster.pid").write_text("".join(f"{line}\n" for line in lines))


def half_a_pid_file(data: Path) -> None:
    (data / "postgres/postmaster.pid").write_text(f"{os.getpid()}\n{data}/postgres\n")


def half_a_database(data: Path) -> None:
    """As initdb leaves it when it is killed."""
    (data / "unfinished").touch()
    for file in (data / "postgres/global").iterdir():
        file.unlink()


@pytest.mark.parametrize("leave", [pid_of_another, half_a_pid_file, half_a_database], ids=lambda leave: leave.__name__)
def test_what_a_killed_program_left_is_mended(data: Path, leave: Callable[[Path], None]) -> None:
    """The next start comes up as if nothing had been."""
    leave(data)

    with embedded.joined(data, migrate=True) as url:
        assert answers(url)

    assert not (data / "postgres/postmaster.pid").exists()
    assert not (data / "unfinished").exists()


def test_a_server_that_was_killed_is_not_waited_for(data: Path) -> None:
    """Leaving is quick, also when there is nothing left to stop."""
    with embedded.joined(data):
        pid = int((data / "postgres/postmaster.pid").read_text().split()[0])
        os.kill(pid, signal.SIGKILL)
        started = time.monotonic()

    assert time.monotonic() - started < embedded.STOP_SECONDS / 2


def test_a_server_that_cannot_start_is_refused_with_its_log(data: Path) -> None:
    """One sentence, which names the file that has the reason."""
    (data / "postgres/postgresql.conf").write_text("nonsense\n")

    with pytest.raises(StartupError, match=re.escape(str(data / "postgres/log"))), embedded.joined(data):
        pass


def test_a_database_of_other_code_is_refused_and_stopped(data: Path) -> None:
    """As after a change to an older branch: a sentence, and no server is left running."""
    with embedded.joined(data, migrate=True) as url:
        connection = psycopg2.connect(url)
        with connection, connection.cursor() as cursor:
            cursor.execute("UPDATE alembic_version SET version_num = '9999'")
        connection.close()

    with pytest.raises(StartupError, match="does not fit this code"), embedded.joined(data, migrate=True):
        pass

    assert not (data / "postgres/postmaster.pid").exists()
