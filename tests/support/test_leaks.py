"""The watch over what a test run writes: it sees what must not be there, and lets everything else be."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from backend.app.config import PROJECT_ROOT
from tests.support import leaks
from tests.support.tokens import SECRET, token

HEAD = '{"time":"2026-01-01T00:00:00.000Z","level":"info","event":"request",'
LEAKING = {
    "a token": f'{HEAD}"token":"{token("u1")}"}}',
    "a token in a sentence": f"INFO: refused {token('u1')[:80]}",
    "a part of a token": f'{HEAD}"claims":"{token("u1", name="somebody").split(".")[1]}"}}',
    "a header": f"DEBUG: Authorization: Bearer {'k3J9' * 8}",
    "the secret": f'{HEAD}"secret":"{SECRET}"}}',
    "the secret in the middle": f"x{SECRET}x",
    "a title": f'{HEAD}"title":"{leaks.TITLE}"}}',
    "a description": f"LOG: statement: INSERT ... '{leaks.DESCRIPTION}'",
    "a database password": "could not connect to postgresql://tasks:pa55word@db.example/tasks",
    "a password of Redis": "redis://:pa55word@127.0.0.1:6379/0",
    "a password for libpq": "connection failed: host=db user=x password=pa55word",
}
HARMLESS = {
    "a request": f'{HEAD}"route":"/api/{{user_id}}/tasks","user_id":"u1","trace_id":"{"a1" * 16}"}}',
    "a reason": 'the request needs "Send `Authorization: Bearer <token>` with a token from Better Auth."',
    "a URL": "postgresql://tasks@db.example:5432/tasks?host=/tmp/x and http://127.0.0.1:8000/docs",
    "a line to paste": f'  curl -H "Authorization: Bearer {token("dev")}" http://127.0.0.1:8000/api/dev/tasks',
    "a token that was asked for": token("dev"),
    "an answer": f'{{"user_id":"dev","id":1,"title":"{leaks.TITLE}"}}',
    "nothing": "",
}


@pytest.mark.parametrize("line", LEAKING.values(), ids=LEAKING.keys())
def test_what_must_not_be_written_is_seen(line: str) -> None:
    """And is not written once more by whoever tells of it."""
    [sentence] = leaks.found(["before", line, "after"])

    assert "█" in sentence
    assert leaks.found([sentence]) == []


@pytest.mark.parametrize("line", HARMLESS.values(), ids=HARMLESS.keys())
def test_what_may_be_written_is_not(line: str) -> None:
    """The logs as they are, and what programs print for people to paste."""
    assert leaks.found([line]) == []


PLANTED = """
import logging, subprocess, sys
import pytest
from backend.app.observability.logging import configure_logging
from tests.support import leaks
from tests.support.tokens import SECRET, token


def test_prints():
    print("refused", token("u1"))

def test_writes():
    sys.stderr.write(SECRET)

@pytest.fixture
def prints_late():
    yield
    print(SECRET)

def test_ends(prints_late):
    pass

def test_logs_as_others_do():
    logging.getLogger("other").warning(leaks.TITLE)

def test_logs_and_reads_it_itself(capsys):
    configure_logging("info")
    logging.getLogger("tasks").info("x", extra={"fields": {"title": leaks.TITLE}})
    capsys.readouterr()

def test_starts_a_program():
    subprocess.run(["echo", SECRET])

def test_reads_a_program():
    subprocess.run(["echo", SECRET], capture_output=True, text=True)

def test_reads_a_programs_bytes():
    subprocess.run(["echo", SECRET], stderr=subprocess.PIPE)
    subprocess.run(["echo", SECRET], stdout=subprocess.PIPE)

def test_says_nothing():
    print("nothing")
"""


def test_a_test_that_leaks_fails(tmp_path: Path) -> None:
    """By whatever way it gets out, and only that one."""
    file = tmp_path / "test_planted.py"
    file.write_text(PLANTED)
    command = [sys.executable, "-m", "pytest", "-p", "tests.conftest", "-p", "no:cacheprovider", "-p", "no:cov"]
    options = [
        "--rootdir",
        str(PROJECT_ROOT),
        "-c",
        str(PROJECT_ROOT / "pyproject.toml"),
        "--tb=no",
        "--show-capture=no",
    ]
    run = subprocess.run(
        [*command, *options, "-rA", file], cwd=PROJECT_ROOT, capture_output=True, text=True, check=False
    )

    outcomes = re.findall(
        r"^(PASSED|FAILED|ERROR) .*::test_(\w+)( - What was written holds)?$", run.stdout, re.MULTILINE
    )
    leaking = set(re.findall(r"^def test_(\w+)", PLANTED, re.MULTILINE)) - {"says_nothing"}
    assert {name for outcome, name, said in outcomes if outcome != "PASSED" and said} == leaking, run.stdout
    # One is done when it leaks, and fails as it ends.
    assert {name for outcome, name, _ in outcomes if outcome == "PASSED"} == {"says_nothing", "ends"}
    assert len(outcomes) == len(leaking) + 2
