"""`python -m scripts.openapi`: writes docs/openapi.json, from which typed clients are made without a running server."""

import json
import secrets

from fastapi import FastAPI

from backend.app.config import PROJECT_ROOT, Settings
from backend.app.main import create_app

FILE = PROJECT_ROOT / "docs/openapi.json"


def text_of(app: FastAPI) -> str:
    """The application's document as it is kept: a line per member, so that a change is seen where it is."""
    return json.dumps(app.openapi(), indent=2, ensure_ascii=False) + "\n"


def main() -> None:
    """Write the file."""
    # Nothing of the settings is in the document; this secret only lets the application be made.
    settings = Settings(_env_file=None, better_auth_secret=secrets.token_urlsafe(32), environment="development")
    FILE.write_text(text_of(create_app(settings)), encoding="utf-8")


if __name__ == "__main__":
    main()
