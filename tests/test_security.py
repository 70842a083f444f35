"""SECURITY.md held against the tests that it names."""

import re

import pytest

from backend.app.config import PROJECT_ROOT

NAMED = re.compile(r"`(tests/[\w/]+\.py)(?:::(\w+))?`")
TEXT = (PROJECT_ROOT / "SECURITY.md").read_text()


@pytest.mark.parametrize(("file", "name"), sorted(set(NAMED.findall(TEXT))), ids=lambda part: part or "all")
def test_what_is_claimed_is_tested(file: str, name: str) -> None:
    """Each test that shows a promise or a requirement is there."""
    source = (PROJECT_ROOT / file).read_text()

    assert re.search(rf"^(async )?def {name or 'test_'}", source, re.MULTILINE)


def test_every_requirement_has_a_test() -> None:
    """No row of the tables is without one."""
    rows = [line for line in TEXT.splitlines() if re.match(r"\| [0-9]", line)]

    assert len(rows) > 40
    assert [row for row in rows if not NAMED.search(row)] == []
