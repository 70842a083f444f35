"""What must be in no line that a test run produces, wherever the line comes from.

`conftest.py` asks after every test: it fails the one that made a program say a token, a secret, a password, or the
title or description of a task.
"""

import re
from collections.abc import Iterable
from typing import Final

# What tasks are called in tests, and told of: words that no line of a log has a reason to hold.
TITLE: Final = "Buy milk"
DESCRIPTION: Final = "two bottles, cold"
CONTENTS: Final = {TITLE: "a title", DESCRIPTION: "a description"}
# Every secret that a fixture signs with or logs in with.
SECRETS: Final[set[str]] = set()

SHAPES: Final = {
    "a token": re.compile(r"eyJ[\w-]{8,}\.[\w-]{8,}\.?"),
    "the payload of a token": re.compile(r"\beyJ[\w-]{30,}"),
    "a bearer token": re.compile(r"(?i)\bbearer [\w.~+/-]{16,}"),
    "a password in a URL": re.compile(r"\b[a-z+]+://[^\s:/@]*:[^\s:/@]+@"),
    "a password of libpq": re.compile(r"\bpassword=(?!xxx)\S+"),
}
# What a person has asked for: a line of dev.sh to paste, a token alone in its line, the API's answer to curl.
ASKED_FOR: Final = re.compile(r"\s*curl .*|[\w-]+\.[\w-]+\.[\w-]+|\{\"user_id\".*")


def secret(value: str) -> str:
    """The value, which from now on no line may hold."""
    SECRETS.add(value)
    return value


def found(lines: Iterable[str]) -> list[str]:
    """A sentence for each line that tells too much; it names what, and quotes the line with that blacked out."""
    return [sentence for line in lines if (sentence := _judged(line))]


def _judged(line: str) -> str | None:
    if ASKED_FOR.fullmatch(line):
        return None
    for value, name in {**CONTENTS, **dict.fromkeys(SECRETS, "a secret")}.items():
        if value in line:
            return f"{name}: {line.replace(value, '█')}"
    for name, shape in SHAPES.items():
        if shape.search(line):
            return f"{name}: {shape.sub('█', line)}"
    return None
