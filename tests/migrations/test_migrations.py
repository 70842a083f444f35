"""The migrations, forwards and backwards, on every PostgreSQL that is there."""

import contextlib
import re
import runpy
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from alembic import command
from alembic.util import CommandError
from sqlalchemy.exc import ProgrammingError

from backend.app.config import PROJECT_ROOT
from backend.app.db import embedded
from backend.app.domain import keys
from tests.support.postgres import Server
from tests.support.servers import debian_postgres

VERSIONS = PROJECT_ROOT / "backend/app/migrations/versions"


@pytest.fixture(scope="module")
def debian_server() -> Iterator[Server]:
    """Debian's PostgreSQL in a folder of its own, on a unix socket only."""
    with debian_postgres() as (folder, _):
        yield Server(f"postgresql://postgres@/postgres?host={folder}")


@pytest.mark.parametrize("fixture", ["server", "debian_server"], ids=["embedded", "debian"])
def test_up_down_up_and_check_are_clean(fixture: str, request: pytest.FixtureRequest) -> None:
    """Nothing is left after the way down, and models/ agrees after the way up."""
    server: Server = request.getfixturevalue(fixture)
    server.execute("CREATE DATABASE up_and_down")
    alembic = embedded.alembic_for(server.database_url("up_and_down"))
    tables = "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = 'r'"

    command.upgrade(alembic, "head")
    command.check(alembic)
    command.downgrade(alembic, "base")
    left = server.execute(tables, database="up_and_down")
    command.upgrade(alembic, "head")
    command.check(alembic)

    assert left == [("alembic_version",)]
    assert server.execute("SELECT count(*) FROM pg_roles WHERE rolname LIKE 'tasks\\_api\\_up\\_and\\_down\\_%'") == [
        (3,)
    ]


def test_a_database_owner_who_is_no_superuser_can_migrate(debian_server: Server) -> None:
    """As on Neon: the owner makes the role, and may then become it."""
    debian_server.execute("CREATE ROLE neon_owner LOGIN CREATEROLE")
    debian_server.execute("CREATE DATABASE neon OWNER neon_owner")

    embedded.bring_up_to_date(debian_server.database_url("neon", "neon_owner"))

    role = debian_server.role(database="neon")
    assert debian_server.execute(f"SELECT pg_has_role('neon_owner', '{role}', 'MEMBER')") == [(True,)]


@pytest.mark.parametrize("encoding", ["SQL_ASCII", "LATIN1"])
def test_a_database_that_holds_not_every_text_is_refused(debian_server: Server, encoding: str) -> None:
    """Debian makes such a one where no locale is set; there a fox in a title was 500, or counted as four characters."""
    name = f"in_{encoding.lower()}"
    debian_server.execute(
        f"CREATE DATABASE {name} TEMPLATE template0 ENCODING '{encoding}' LC_COLLATE 'C' LC_CTYPE 'C'"
    )
    alembic = embedded.alembic_for(debian_server.database_url(name))

    with pytest.raises(CommandError, match=f"encoding is {encoding}, and tasks need UTF8"):
        command.upgrade(alembic, "head")

    debian_server.execute("CREATE TABLE task_lists ()", database=name)  # as if it had been migrated by a release before
    with pytest.raises(ProgrammingError, match='relation "task_lists" already exists'):
        command.upgrade(alembic, "head")


def test_titles_that_were_there_are_sorted_and_found_with_the_others(debian_server: Server) -> None:
    """The owner, on whom row-level security is forced, fills in the keys of old tasks."""
    debian_server.execute("CREATE ROLE old_owner LOGIN CREATEROLE")
    debian_server.execute("CREATE DATABASE old OWNER old_owner")
    alembic = embedded.alembic_for(debian_server.database_url("old", "old_owner"))
    command.upgrade(alembic, "0003")
    debian_server.execute(
        "INSERT INTO task_lists VALUES ('a', 1500, 1500, 1500), ('b', 1, 1, 1); "
        "INSERT INTO tasks (user_id, id, title, revision) SELECT 'a', n, 'Été ' || n, n "
        "FROM generate_series(1, 1500) n; "
        "INSERT INTO tasks (user_id, id, title, description, revision, title_key, tags) "
        "VALUES ('b', 1, 'Z', 'Café', 1, 'known', ARRAY['Straße'])",
        database="old",
    )

    command.upgrade(alembic, "head")
    command.check(alembic)

    found = debian_server.execute("SELECT title, title_key, description_key, tags, tag_keys FROM tasks", database="old")
    policies = debian_server.execute("SELECT policyname FROM pg_policies WHERE tablename = 'tasks'", database="old")
    assert len(found) == 1501
    for title, title_key, description_key, tags, tag_keys in found:
        assert title_key == keys.title_key(title)
        assert description_key == (keys.description_key("Café") if title == "Z" else None)
        assert tag_keys == [keys.tag_key(tag) for tag in tags]
    assert sorted(policies) == [("deliver",), ("own_rows",)]


def test_migrations_side_by_side_make_the_role_once(tmp_path: Path) -> None:
    """Roles belong to the cluster: eight programs that migrate eight databases at once all succeed."""
    migrate = "import sys; from backend.app.db import embedded; embedded.bring_up_to_date(sys.argv[1])"
    with embedded.joined(tmp_path / "data") as url:
        server = Server(url)
        for number in range(8):
            server.execute(f"CREATE DATABASE side_{number}")
        commands = [[sys.executable, "-c", migrate, server.database_url(f"side_{number}")] for number in range(8)]
        with ThreadPoolExecutor(8) as threads:
            finished = list(threads.map(lambda line: subprocess.run(line, cwd=PROJECT_ROOT, check=False), commands))

    assert [program.returncode for program in finished] == [0] * 8


class Recorder:
    """Stands where a revision expects Alembic's `op`, and notes what it would send."""

    def __init__(self) -> None:
        self.sent: list[str] = []

    def execute(self, text: str) -> None:
        self.sent.append(text)

    def get_context(self) -> "Recorder":
        return self

    def autocommit_block(self) -> contextlib.AbstractContextManager[None]:
        return contextlib.nullcontext()

    def __getattr__(self, name: str) -> Any:
        return lambda *arguments, **_: arguments[0] if arguments else None


def statements_of(revision: Path) -> list[str]:
    """What every op.execute of a revision sends, up and down, without the bodies of DO blocks."""
    recorder, module = Recorder(), runpy.run_path(str(revision))
    for direction in ("upgrade", "downgrade"):
        # As when Alembic prints them: there is no connection.
        offline = SimpleNamespace(is_offline_mode=lambda: True)
        module[direction].__globals__.update(op=recorder, context=offline)
        module[direction]()
    return [re.sub(r"\$\$.*?\$\$", "", text, flags=re.DOTALL).strip() for text in recorder.sent]


@pytest.mark.parametrize("revision", sorted(VERSIONS.glob("*.py")), ids=lambda path: path.stem)
def test_a_revision_sends_one_statement_at_a_time(revision: Path) -> None:
    """A cluster takes DDL one statement per call."""
    statements = statements_of(revision)

    assert len(statements) > 1
    assert [text for text in statements if ";" in text] == []


def test_two_statements_in_one_call_would_be_seen(tmp_path: Path) -> None:
    """The check's own failing sample: also in a constant, also on the way down."""
    revision = tmp_path / "two.py"
    revision.write_text(
        "op = None\nTWO = 'GRANT a TO b; GRANT c TO d'\n"
        "def upgrade(): op.execute('DO $$ BEGIN NULL; END $$')\ndef downgrade(): op.execute(TWO)\n"
    )

    assert [";" in text for text in statements_of(revision)] == [False, True]


def test_migrating_offline_prints_the_statements() -> None:
    """`alembic upgrade head --sql` needs no database."""
    printed = subprocess.run(
        [sys.executable, "-m", "alembic", "upgrade", "head", "--sql"],
        cwd=PROJECT_ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip

    assert "CREATE POLICY own_rows ON tasks" in printed.stdout
