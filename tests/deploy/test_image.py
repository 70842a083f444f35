"""`deploy/Dockerfile` without an engine: linted, and its commands run one by one in a clean directory."""

import json
import re
import shutil
import subprocess
import sys
import sysconfig
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path

import pytest

from backend.app.config import PROJECT_ROOT
from tests.support.postgres import Server
from tests.support.programs import PATIENCE_SECONDS, SECRET, answers, free_port, until

DOCKERFILE = PROJECT_ROOT / "deploy/Dockerfile"
SCRIPTS = Path(sysconfig.get_path("scripts"))
# What only root can do in a real image; the test's files belong to whoever runs it.
ONLY_IN_AN_IMAGE = "useradd"


@dataclass(frozen=True)
class Step:
    instruction: str
    arguments: str


def steps() -> list[Step]:
    lines = [line for line in DOCKERFILE.read_text().splitlines() if not line.startswith("#")]
    joined = "\n".join(lines).replace("\\\n", " ")
    return [Step(*line.split(maxsplit=1)) for line in joined.splitlines() if line]


def arguments_of(instruction: str) -> list[str]:
    return [step.arguments for step in steps() if step.instruction == instruction]


def environment_of_image(root: Path) -> dict[str, str]:
    [line] = arguments_of("ENV")
    values = dict(pair.split("=", 1) for pair in line.split())
    return {**values, "PATH": values["PATH"].replace("/srv", f"{root}/srv").replace("$PATH", "/usr/bin:/bin")}


def ignored(path: str) -> bool:
    """Whether the engine never gets to see it: the last pattern that fits decides."""
    hidden = False
    for line in (PROJECT_ROOT / "deploy/Dockerfile.dockerignore").read_text().splitlines():
        if line and not line.startswith("#"):
            pattern = line.removeprefix("!")
            if fnmatch(path, pattern) or path.startswith(f"{pattern}/") or fnmatch(f"/{path}/", f"*{pattern[2:]}/*"):
                hidden = not line.startswith("!")
    return hidden


def built(root: Path) -> Path:
    """The image's files below `root`, made by its own instructions."""
    folder = root / "srv/tasks"
    for step in steps():
        if step.instruction == "WORKDIR":
            (root / step.arguments.lstrip("/")).mkdir(parents=True, exist_ok=True)
        elif step.instruction == "COPY" and not step.arguments.startswith("--from"):
            *sources, target = step.arguments.split()
            for source in sources:
                copy(source, folder / target)
        elif step.instruction == "RUN" and not step.arguments.startswith(ONLY_IN_AN_IMAGE):
            command = step.arguments.replace("/srv", f"{root}/srv").replace("--no-cache-dir ", "")
            # The base image has python and pip; here they are this environment's.
            here = {**environment_of_image(root), "PATH": f"{root}/srv/venv/bin:{SCRIPTS}:/usr/bin:/bin"}
            subprocess.run(["sh", "-euc", command], cwd=folder, env=here, check=True)
    return folder


def copy(source: str, target: Path) -> None:
    """As COPY does: a folder's contents, and nothing that the engine is not sent."""
    assert not ignored(source), source
    path = PROJECT_ROOT / source
    for file in [path] if path.is_file() else sorted(path.rglob("*")):
        name = str(file.relative_to(PROJECT_ROOT))
        if file.is_file() and not ignored(name):
            place = target / file.relative_to(path if path.is_dir() else path.parent)
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(file, place)


def listing(root: Path) -> dict[str, int]:
    return {str(path): path.stat().st_mtime_ns for path in root.rglob("*") if not path.is_symlink()}


def test_it_serves_from_a_clean_directory_and_writes_nothing(server: Server, tmp_path: Path) -> None:
    """Installed from the lock file alone, migrated and started as the image does; healthy, and ended by SIGTERM."""
    folder = built(tmp_path)
    files = listing(tmp_path)
    [command] = [json.loads(arguments) for arguments in arguments_of("CMD")]
    [health] = re.findall(r"CMD (\[.+\])", " ".join(arguments_of("HEALTHCHECK")))
    port = free_port()
    with server.new_database(migrated=False) as name:
        here = {**environment_of_image(tmp_path), "BETTER_AUTH_SECRET": SECRET}
        here["CORS_ORIGINS"] = "https://app.example.com"
        here["DATABASE_URL"] = server.database_url(name)
        here |= {"PORT": str(port), "HOST": "127.0.0.1"}

        def run(*line: str) -> subprocess.CompletedProcess[str]:
            return subprocess.run(
                ["/usr/bin/env", *line], cwd=folder, env=here, text=True, check=False, capture_output=True,
                timeout=PATIENCE_SECONDS,
            )  # fmt: skip

        migrated = run("alembic", "upgrade", "head")
        purged = run("python", "-m", "scripts.purge", "--older-than", "30d")
        with subprocess.Popen(
            command, cwd=folder, env=here, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        ) as running:
            try:
                until(lambda: running.poll() is not None or answers(port))
                healthy = run(*json.loads(health))
                running.terminate()
                running.wait(PATIENCE_SECONDS)
            finally:
                running.kill()
        ill = run(*json.loads(health))

    assert migrated.returncode == 0, migrated.stderr
    assert purged.returncode == 0, purged.stderr
    assert healthy.returncode == 0, healthy.stderr
    assert running.returncode in (0, -15)
    assert (ill.returncode, ill.stderr) == (1, f"http://127.0.0.1:{port}/health does not answer.\n")
    assert listing(tmp_path) == files
    assert not list(tmp_path.glob("srv/venv/bin/pip*"))


@pytest.mark.parametrize(
    ("given", "address"),
    [
        ({}, "--host 0.0.0.0 --port 8000"),
        ({"PORT": "", "HOST": ""}, "--host 0.0.0.0 --port 8000"),
        ({"PORT": "10000"}, "--host 0.0.0.0 --port 10000"),
        ({"PORT": "8080", "HOST": "::"}, "--host :: --port 8080"),
        ({"PORT": "1; exit 3", "HOST": "$(exit 3)"}, "--host $(exit 3) --port 1; exit 3"),
    ],
    ids=["as it is", "empty", "Render", "IPv6", "never run"],
)
def test_it_listens_where_the_platform_says(tmp_path: Path, given: dict[str, str], address: str) -> None:
    """PORT and HOST are handed to uvicorn, as one argument each and whatever they hold."""
    uvicorn = tmp_path / "uvicorn"
    uvicorn.write_text('#!/bin/sh\nprintf "%s\\n" "$@"\n')
    uvicorn.chmod(0o755)

    started = subprocess.run(
        ["/bin/sh", PROJECT_ROOT / "deploy/start.sh"], env={"PATH": f"{tmp_path}:/usr/bin:/bin", **given},
        capture_output=True, text=True, check=True,
    )  # fmt: skip

    assert " ".join(started.stdout.splitlines()[1:5]) == address


def test_it_has_what_production_needs_and_no_more(tmp_path: Path) -> None:
    """Not the development group, not the tests, not a secret; and nobody in it is root."""
    copied = [source for arguments in arguments_of("COPY") for source in arguments.split()[:-1]]

    assert set(copied) == {
        "requirements.lock", "pyproject.toml", "backend", "scripts/__init__.py", "scripts/ready.py", "scripts/purge.py",
        "scripts/deliver.py", "scripts/maintenance.py", "scripts/webhooks.py", "deploy/start.sh", "--from=packages",
        "/srv/venv",
    }  # fmt: skip
    assert [
        ignored(name) for name in (".env", ".git/config", ".data/postgres/base", "deploy/.env", "tests/conftest.py")
    ] == [True] * 5
    assert ignored("backend/app/__pycache__/main.cpython-313.pyc")
    assert not re.search("(?i)secret|password", " ".join(arguments_of("ENV") + arguments_of("ARG")))
    assert arguments_of("USER") == ["10001:10001"]
    assert {image.split()[0] for image in arguments_of("FROM")} == {"python:3.13-slim-trixie"}
    assert all(
        "--require-hashes" in run and "--only-binary=:all:" in run for run in arguments_of("RUN") if "pip" in run
    )


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({}, ""),
        ({"python:3.13-slim-trixie AS": "python AS"}, "DL3006"),
        ({'CMD ["sh", "deploy/start.sh"]': "CMD deploy/start.sh"}, "DL3025"),
    ],
    ids=["as it is", "no tag", "a shell that keeps signals"],
)
def test_hadolint_has_nothing_to_say(change: dict[str, str], code: str) -> None:
    """And would have."""
    text = DOCKERFILE.read_text()
    for before, after in change.items():
        assert before in text
        text = text.replace(before, after)

    linted = subprocess.run([SCRIPTS / "hadolint", "-"], input=text, capture_output=True, text=True, check=False)

    assert (code in linted.stdout) if code else (linted.stdout, linted.returncode) == ("", 0)


def test_the_health_check_needs_python_alone() -> None:
    """There is no curl in the image, and no package that it could break with."""
    seen = subprocess.run(
        [sys.executable, "-I", "-S", PROJECT_ROOT / "scripts/ready.py", "http://127.0.0.1:1/"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip

    assert (seen.returncode, seen.stderr) == (1, "http://127.0.0.1:1/ does not answer.\n")
