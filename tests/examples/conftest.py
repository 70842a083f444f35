"""The packages of examples/web, once for all tests that need them."""

import subprocess
from pathlib import Path

import pytest

from backend.app.config import PROJECT_ROOT

# An empty machine fetches them.
PATIENCE_SECONDS = 300.0


def bash(command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["bash", "-c", f"source scripts/node.sh; {command}"],
        cwd=PROJECT_ROOT,
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
        check=False,
    )


@pytest.fixture(scope="session")
def web() -> Path:
    """The folder with its packages installed, which takes time only when the lock file has changed."""
    if bash("ensure_node").returncode:
        pytest.skip("Node.js 20.19, 22.12 or newer is not here, with npm: the example page is not checked.")
    installed = bash("ensure_web_packages")
    assert installed.returncode == 0, installed.stderr
    return PROJECT_ROOT / "examples/web"
