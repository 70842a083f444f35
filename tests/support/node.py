"""Node's packages for the tests that need them, installed by one process at a time, as scripts/node.sh does it."""

import fcntl
import subprocess
import tempfile
from pathlib import Path

import pytest

from backend.app.config import PROJECT_ROOT

# An empty machine fetches them, twice where the registry fails at first.
PATIENCE_SECONDS = 300.0
LOCK = Path(tempfile.gettempdir()) / "tests-of-tasks-npm.lock"


def _bash(command: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["bash", "-c", f"source scripts/node.sh; {command}", "bash", *arguments],
        cwd=PROJECT_ROOT,
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
        check=False,
    )


def packages(folder: Path) -> Path:
    """The folder with its packages installed, which takes time only when the lock file has changed.

    Skips the test where Node.js is not there or too old. npm shares one cache, so nobody else installs meanwhile.
    """
    if _bash("ensure_node").returncode:
        pytest.skip("Node.js 20.19, 22.12 or newer is not here, with npm: what needs it is not checked.")
    with LOCK.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        installed = _bash('ensure_packages "$1"', str(folder))
    assert installed.returncode == 0, f"{installed.stdout}{installed.stderr}"
    return folder
