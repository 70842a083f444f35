"""docs/openapi.json, from which clients are made, is what the application serves."""

import pytest
from fastapi import FastAPI

from scripts import openapi


def test_the_file_is_up_to_date(app: FastAPI) -> None:
    """Whoever changes the API sees in the diff what clients will see."""
    kept = openapi.FILE.read_text(encoding="utf-8")

    if kept != openapi.text_of(app):
        pytest.fail("docs/openapi.json is out of date. Write it anew: .venv/bin/python -m scripts.openapi")
