"""Clients made from the OpenAPI document as docs/clients.md says: they check and work. Linters find nothing in it."""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from backend.app.config import PROJECT_ROOT
from tests.support import programs
from tests.support.node import packages
from tests.support.postgres import Server
from tests.support.programs import clone, free_port, serving
from tests.support.tokens import new_user, token

HERE = Path(__file__).parent / "clients"
DOCUMENT = "docs/openapi.json"
PATIENCE_SECONDS = 120
PYTHON_TOOLS = Path(sys.executable).parent


def documented(tool: str) -> str:
    """The command of this tool in docs/clients.md."""
    [command] = re.findall(rf"^(?:npx )?({tool} .*)", (PROJECT_ROOT / "docs/clients.md").read_text(), re.MULTILINE)
    return str(command)


LINTERS = {
    "redocly": f"redocly lint {DOCUMENT} --config redocly.yaml",
    "spectral": f"spectral lint {DOCUMENT} --ruleset spectral.yaml --fail-severity hint",
}
# Each generator, and the script that uses what it makes.
TYPESCRIPT = {"openapi-typescript": "openapi_fetch", "openapi-ts": "hey_api", "orval": "orval"}
CHECKED_TYPESCRIPT = [*map(documented, TYPESCRIPT), "tsc --project ."]
CHECKED_PYTHON = [
    f"{documented('openapi-python-client')} --fail-on-warning",
    "python -m mypy --config-file mypy.ini --cache-dir mypy_cache round_trip.py tasks_client",
]
# What is there already, as other clients have written it.
TASKS: list[dict[str, Any]] = [
    {},
    {"description": "Two litres", "completed": True},
    *(
        {"due_date": f"2026-12-24{rest}"}
        for rest in ("", "T18:00:00Z", "T18:00:00.5Z", "t18:00:00z", " 18:00:00+01:00")
    ),
    {"due_date": "2026-12-24T18:00:00.1234567Z", "time_zone": "Europe/Berlin", "recurrence": "FREQ=WEEKLY;BYDAY=TH"},
    {"due_date": "2026-12-24T00:00:00Z", "recurrence": "FREQ=DAILY", "recurrence_from": "completion"},
]


def run(workshop: Path, command: str, **settings: str) -> subprocess.CompletedProcess[str]:
    """Run a command that Node's packages or Python's have, in the workshop."""
    places = [str(PYTHON_TOOLS), str(workshop / "node_modules/.bin"), os.environ["PATH"]]
    silent = {"REDOCLY_TELEMETRY": "off", "REDOCLY_SUPPRESS_UPDATE_NOTICE": "true", "DO_NOT_TRACK": "1", "CI": "1"}
    return subprocess.run(
        shlex.split(command),
        cwd=workshop,
        env={**os.environ, **silent, **settings, "PATH": os.pathsep.join(places)},
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
        check=False,
    )


def succeed(workshop: Path, command: str, **settings: str) -> str:
    ended = run(workshop, command, **settings)
    assert ended.returncode == 0, f"{command}\n{ended.stdout}{ended.stderr}"
    return ended.stdout


def furnish(folder: Path) -> Path:
    """Give a folder the document, the scripts that use clients, and Node's packages."""
    for file in HERE.iterdir():
        if file.is_file():
            shutil.copy(file, folder)
    (folder / "node_modules").symlink_to(packages(HERE) / "node_modules")
    (folder / "docs").mkdir()
    shutil.copy(PROJECT_ROOT / DOCUMENT, folder / "docs")
    return folder


@pytest.fixture(scope="module")
def workshop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where clients of the document as it is are made."""
    return furnish(tmp_path_factory.mktemp("workshop"))


@pytest.fixture(scope="module")
def typescript(workshop: Path) -> Path:
    """The workshop with the three TypeScript clients and scripts, which check strictly, as JavaScript."""
    for command in CHECKED_TYPESCRIPT:
        succeed(workshop, command)
    scripts = " ".join(f"{script}.ts" for script in TYPESCRIPT.values())
    succeed(workshop, f"esbuild {scripts} --bundle --format=esm --platform=node --outdir=out --log-level=warning")
    return workshop


@pytest.fixture(scope="module")
def python(workshop: Path) -> Path:
    """The workshop with the Python client, which checks strictly together with its script."""
    for command in CHECKED_PYTHON:
        succeed(workshop, command)
    return workshop


@pytest.fixture(scope="module")
def api(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of the program, as a person starts it."""
    port = free_port()
    with server.new_database() as name:
        project = clone(tmp_path_factory.mktemp("project"))
        with serving(project, port, DATABASE_URL=server.database_url(name, "tasks_login")):
            yield f"http://127.0.0.1:{port}"


def round_trip(workshop: Path, command: str, api: str) -> dict[str, Any]:
    """What a script reports that uses its client as a user who has tasks already."""
    user_id = new_user()
    credentials = token(user_id, secret=programs.SECRET)
    with httpx.Client(headers={"Authorization": f"Bearer {credentials}"}, trust_env=False) as client:
        for members in TASKS:
            client.post(f"{api}/api/{user_id}/tasks", json={"title": "t", **members}).raise_for_status()
    settings = {"BASE_URL": api, "USER_ID": user_id, "TOKEN": credentials, "NO_PROXY": "127.0.0.1"}
    report: dict[str, Any] = json.loads(succeed(workshop, command, **settings))
    return report


def without(task: dict[str, Any], *members: str) -> dict[str, Any]:
    """A task with its moments as moments, and without what changes each time it is written."""
    told = {name: value for name, value in task.items() if name not in ("revision", "updated_at", *members)}
    moments = ("created_at", "completed_at", "due_date")
    return {name: datetime.fromisoformat(v) if name in moments and v else v for name, v in told.items()}


def assert_nothing_is_lost(report: dict[str, Any]) -> None:
    """A keyed create is made once; a task put back is as it was; an import of an export changes nothing."""
    assert report["replayed"] == [None, "true"]
    assert report["listed"] == 1
    assert without(report["after"]) == without(report["before"])
    assert report["before"]["tags"] == ["Home"]
    assert report["refused"] == "urn:tasks:problem:precondition-failed"
    assert report["imported"] == {"created": 0, "changed": 0, "unchanged": len(TASKS) + 1}


@pytest.mark.parametrize("linter", LINTERS)
def test_linters_have_nothing_to_say(workshop: Path, linter: str) -> None:
    """Not even a hint."""
    succeed(workshop, LINTERS[linter])


@pytest.mark.parametrize("script", TYPESCRIPT.values())
def test_a_typescript_client_works(typescript: Path, api: str, script: str) -> None:
    """Each with its own way of sending requests."""
    report = round_trip(typescript, f"node out/{script}.js", api)

    assert_nothing_is_lost(report)
    assert "told" not in report or report["told"] > report["before"]["revision"]


def test_the_python_client_works(python: Path, api: str) -> None:
    """It writes moments in another way than it reads them: the moments are the same."""
    assert_nothing_is_lost(round_trip(python, "python round_trip.py", api))


def no_servers(document: dict[str, Any]) -> None:
    del document["servers"]


def broken_reference(document: dict[str, Any]) -> None:
    document["components"]["schemas"]["ChangeList"]["properties"]["tasks"]["items"]["$ref"] += "Missing"


def a_stream_of_objects(document: dict[str, Any]) -> None:
    answers = document["paths"]["/api/{user_id}/events"]["get"]["responses"]["200"]["content"]
    answers["text/event-stream"]["schema"] = {"type": "object"}


def null_that_is_answered_but_not_taken(document: dict[str, Any]) -> None:
    document["components"]["schemas"]["TaskReplace"]["properties"]["recurrence_from"] = {
        "$ref": "#/components/schemas/RecurrenceFrom"
    }


# What each check is to see, as the last of its commands.
FAULTS: list[tuple[Callable[[dict[str, Any]], None], list[str]]] = [
    (no_servers, [LINTERS["redocly"]]),
    (broken_reference, [LINTERS["spectral"]]),
    (broken_reference, [documented("openapi-typescript")]),
    (broken_reference, [documented("orval")]),
    (null_that_is_answered_but_not_taken, CHECKED_TYPESCRIPT),
    (broken_reference, CHECKED_PYTHON[:1]),
    (a_stream_of_objects, CHECKED_PYTHON),
]


@pytest.mark.parametrize(
    ("fault", "commands"), FAULTS, ids=[f"{fault.__name__}: {last[:20]}" for fault, [*_, last] in FAULTS]
)
def test_a_fault_of_the_document_is_seen(
    tmp_path: Path, fault: Callable[[dict[str, Any]], None], commands: list[str]
) -> None:
    """By the last of the commands; those before it see nothing."""
    document = json.loads((furnish(tmp_path) / DOCUMENT).read_text())
    fault(document)
    (tmp_path / DOCUMENT).write_text(json.dumps(document))

    *others, last = commands
    for command in others:
        succeed(tmp_path, command)
    assert run(tmp_path, last).returncode != 0


def test_patterns_are_of_ecmascript(workshop: Path) -> None:
    """JSON Schema's patterns are (ECMA-262, with Unicode); validators in browsers refuse others."""
    compile_each = "for (const p of JSON.parse(process.env.PATTERNS)) new RegExp(p, 'u')"
    found = re.findall(r'"pattern": (".*")', (workshop / DOCUMENT).read_text())

    succeed(workshop, f'node -e "{compile_each}"', PATTERNS=f"[{','.join(found)}]")
    assert len(set(found)) >= 4
