"""docs/clients.md held against what the tests make clients with."""

import json
import re

from backend.app.config import PROJECT_ROOT

PAGE = (PROJECT_ROOT / "docs/clients.md").read_text()
FOLDER = PROJECT_ROOT / "tests/interop/clients"


def test_the_versions_are_those_that_are_tested() -> None:
    """Exact ones of Node's packages, and the locked one of Python's."""
    tested = json.loads((FOLDER / "package.json").read_text())["dependencies"]
    locked = re.findall(r"^(openapi-python-client)==(\S+)", (PROJECT_ROOT / "requirements-dev.lock").read_text(), re.M)
    shown = re.findall(r"\[([^\]]+)\]\([^)]+\) \|? ?(\d+\.\d+\.\d+)", PAGE)

    assert len(shown) == 5
    assert dict(shown).items() <= (tested | dict(locked)).items()


def test_every_package_is_pinned() -> None:
    """To one version, which the lock file has."""
    wanted = json.loads((FOLDER / "package.json").read_text())["dependencies"]
    locked = json.loads((FOLDER / "package-lock.json").read_text())["packages"]

    assert locked[""]["dependencies"] == wanted
    assert {name: locked[f"node_modules/{name}"]["version"] for name in wanted} == wanted


def test_the_code_is_what_the_tests_run() -> None:
    """Each block of the page stands in a script or a configuration of the tests."""
    blocks = re.findall(r"^```(?:ts|js|python)\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)
    scripts = [path.read_text() for suffix in ("ts", "mjs", "py") for path in FOLDER.glob(f"*.{suffix}")]

    assert len(blocks) >= 5
    assert [block for block in blocks if not any(block in script for script in scripts)] == []
