"""The program as a person starts it: uvicorn in a clone of the project, with an environment of the test's own."""

import contextlib
import os
import shutil
import socket
import subprocess
import sys
import sysconfig
import time
import urllib.request
import venv
from collections.abc import Iterator
from pathlib import Path

import psutil

from backend.app.config import PROJECT_ROOT
from tests.support import leaks

SECRET = leaks.secret("a-secret-of-the-tests-that-is-long-enough")
UVICORN = [sys.executable, "-m", "uvicorn", "backend.app.main:app"]
PATIENCE_SECONDS = 90.0


def clone(folder: Path) -> Path:
    """The project without a virtual environment or a database."""
    for name in ("backend", "scripts"):
        shutil.copytree(PROJECT_ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(PROJECT_ROOT / "pyproject.toml", folder)
    (folder / ".env").write_text(f"BETTER_AUTH_SECRET={SECRET}\n")
    return folder


def environment(**changes: str) -> dict[str, str]:
    database = ("DATABASE_URL", "DATABASE_DIRECT_URL", "DATABASE_CLUSTER")
    ours = ("BETTER_AUTH_SECRET", "ENVIRONMENT", "CORS_ORIGINS", *database)
    return {**{name: value for name, value in os.environ.items() if name not in ours}, **changes}


def free_port() -> int:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return int(listening.getsockname()[1])


def answers(port: int, path: str = "/health/ready") -> bool:
    with (
        contextlib.suppress(OSError),
        urllib.request.urlopen(f"http://localhost:{port}{path}", timeout=10) as answer,
    ):
        return bool(answer.status == 200)
    return False


def until(condition: object) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not condition():  # type: ignore[operator] # a callable
        assert time.monotonic() < deadline, "waited too long"
        time.sleep(0.02)


def family(pid: int) -> list[psutil.Process]:
    parent = psutil.Process(pid)
    return [parent, *parent.children(recursive=True)]


def end(process: subprocess.Popen[bytes]) -> None:
    """Whatever state it is in, and first as the database is stopped too."""
    process.terminate()
    try:
        process.wait(PATIENCE_SECONDS)
    except subprocess.TimeoutExpired:
        for member in family(process.pid):
            member.kill()


@contextlib.contextmanager
def serving(project: Path, port: int, *options: str, **changes: str) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen([*UVICORN, "--port", str(port), *options], cwd=project, env=environment(**changes))
    try:
        until(lambda: answers(port) or process.poll() is not None)
        assert process.poll() is None
        yield process
    finally:
        end(process)


def has_ended(process: psutil.Process) -> bool:
    """A zombie has: its new parent, a container's first process, may take its time to notice."""
    try:
        return process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def postmaster(project: Path) -> int | None:
    file = project / ".data/postgres/postmaster.pid"
    return int(file.read_text().split()[0]) if file.exists() else None


def installed(project: Path) -> None:
    """A .venv as dev.sh makes it, without its minute: it borrows the packages of this one."""
    for lock in ("requirements-dev.lock", "requirements-serve.lock"):
        shutil.copy(PROJECT_ROOT / lock, project)
    venv.create(project / ".venv", symlinks=True)
    packages = sysconfig.get_path("purelib", vars={"base": str(project / ".venv")})
    Path(packages, "borrowed.pth").write_text(f"import site; site.addsitedir({sysconfig.get_path('purelib')!r})\n")
    command = "source scripts/venv.sh; for lock in requirements-{dev,serve}.lock; do wanted_packages $lock; done"
    with (project / ".venv/installed").open("w") as installed_locks:
        subprocess.run(["bash", "-c", command], cwd=project, check=True, stdout=installed_locks)
