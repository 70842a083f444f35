"""`alembic check` against a database made for it: models/ and the migrations must agree."""

import tempfile
from pathlib import Path

from alembic import command

from backend.app.db import embedded


def main() -> None:
    """Exits non-zero and lists the differences where there are any."""
    with tempfile.TemporaryDirectory() as folder, embedded.joined(Path(folder) / "data", migrate=True) as url:
        command.check(embedded.alembic_for(url))


if __name__ == "__main__":
    main()
