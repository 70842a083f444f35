"""The packages of examples/web, once for all tests that need them."""

from pathlib import Path

import pytest

from backend.app.config import PROJECT_ROOT
from tests.support.node import packages


@pytest.fixture(scope="session")
def web() -> Path:
    """The folder of the example page, with its packages."""
    return packages(PROJECT_ROOT / "examples/web")
