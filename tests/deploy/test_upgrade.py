"""A migration comes before the program that needs it: what serves until then goes on, and can be gone back to.

Expand, then contract: a release's migrations only add; what nothing uses any more is removed by a later release.
"""

import io
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from alembic import command
from alembic.script import ScriptDirectory

from backend.app.config import PROJECT_ROOT
from backend.app.db import embedded

VERSIONS = Path("backend/app/migrations/versions")
# What migrations call of the program.
DISTRIBUTION = VERSIONS.parent / "distribution.py"
# What a user of the release before notices first, and what must not be lost: bounded, for it is a suite in a suite.
SUITE = ("tests/routes/test_tasks.py", "tests/isolation/test_walls.py")
SUITE_SECONDS = 150

# One of each kind of change that a release may make, as the next one might.
TOMORROW = '''
"""What the next release might add."""

from alembic import op

revision = "tomorrow"
down_revision = "{head}"
branch_labels = None
depends_on = None

ROLE = "SELECT polroles[1]::regrole::text FROM pg_policy WHERE polname = 'own_rows' LIMIT 1"


def upgrade() -> None:
    op.execute("ALTER TABLE tasks ADD COLUMN colour TEXT")
    op.execute("ALTER TABLE tasks ADD COLUMN stars SMALLINT DEFAULT 0 NOT NULL")
    op.execute("ALTER TABLE deleted_tasks ADD COLUMN stars SMALLINT DEFAULT 0 NOT NULL")
    op.execute("ALTER TABLE task_lists ADD COLUMN name TEXT")
    op.execute("CREATE INDEX ix_tasks_user_id_stars ON tasks (user_id, stars)")
    op.execute("CREATE TABLE notes (user_id TEXT, id BIGINT, body TEXT NOT NULL, PRIMARY KEY (user_id, id))")
    role = op.get_bind().exec_driver_sql(ROLE).scalar()
    op.execute(f"GRANT SELECT, INSERT, UPDATE, DELETE ON notes TO {{role}}")
    op.execute("ALTER TABLE notes ENABLE ROW LEVEL SECURITY")
    op.execute("ALTER TABLE notes FORCE ROW LEVEL SECURITY")
    own = "(user_id = current_setting('app.user_id', true))"
    op.execute(f"CREATE POLICY own_rows ON notes TO {{role}} USING {{own}} WITH CHECK {{own}}")


def downgrade() -> None:
    raise NotImplementedError
'''

# What the program before would trip over, in the SQL that a revision sends, and a sample of each.
CONTRACTIONS = {
    r"DROP TABLE (?!.*\bIF EXISTS pg_temp)": "DROP TABLE task_lists",
    r"DROP COLUMN": "ALTER TABLE tasks DROP COLUMN completed",
    r"\bRENAME\b": "ALTER TABLE tasks RENAME COLUMN title TO name",
    r"ALTER (COLUMN )?\w+ (SET DATA )?TYPE": "ALTER TABLE tasks ALTER COLUMN title TYPE VARCHAR(100)",
    r"SET NOT NULL": "ALTER TABLE tasks ALTER COLUMN description SET NOT NULL",
    r"DROP DEFAULT": "ALTER TABLE tasks ALTER COLUMN completed DROP DEFAULT",
    r"ADD COLUMN (?!.*\bDEFAULT\b).*NOT NULL": "ALTER TABLE tasks ADD COLUMN colour TEXT NOT NULL",
    r"ALTER TABLE .* ADD (CONSTRAINT|CHECK|UNIQUE|FOREIGN|EXCLUDE)": "ALTER TABLE tasks ADD CONSTRAINT c CHECK (true)",
    r"CREATE UNIQUE INDEX": "CREATE UNIQUE INDEX once ON tasks (user_id, title)",
    r"\bREVOKE\b": "REVOKE DELETE ON tasks FROM tasks_api",
    # One that gains a role is no less open to those that it had.
    r"(DROP|ALTER) POLICY (?!IF EXISTS|\w+ ON \S+ TO tasks_\w+, )": "DROP POLICY own_rows ON tasks",
    r"ALTER ROLE|DROP ROLE|\bTRUNCATE\b|CREATE (OR REPLACE )?TRIGGER": "CREATE TRIGGER t AFTER INSERT ON tasks",
}


# What takes rights away all the same, and why: programs of releases before 0005 could name any user of every database
# of their server. Whoever has to serve on meanwhile migrates to 0005 first, and restarts everything.
CONTRACTING = {"0006": ("REVOKE", "ALTER POLICY")}

# What only looks like it: a domain over the same type has the bound that the column's CHECK had, and what a program
# before 0009 or 0015 writes has none of the columns that their foreign keys are about.
HARMLESS = {"0008": ("TYPE task_",), "0009": ("ADD CONSTRAINT fk_",), "0015": ("ADD CONSTRAINT fk_",)}


def contractions(sql: str) -> list[str]:
    """Statements that take something away; a table, policy or index that the same revision made is its own affair."""
    made = set(re.findall(r"CREATE (?:TABLE|POLICY) (\w+)", sql))
    found = []
    for statement in (part.strip() for part in sql.split(";")):
        own = re.search(r"(?:TABLE|POLICY) (?:IF EXISTS )?(\w+)|INDEX \w+ ON (\w+)", statement)
        if not (own and {own[1], own[2]} & made):
            found += [statement for pattern in CONTRACTIONS if re.search(pattern, statement, re.DOTALL)]
    return found


def sql_of(revision: str, before: str) -> str:
    sent = io.StringIO()
    alembic = embedded.alembic_for("postgresql://nobody@/nothing")
    alembic.output_buffer = sent
    command.upgrade(alembic, f"{before}:{revision}", sql=True)
    return "\n".join(line for line in sent.getvalue().splitlines() if not line.startswith("--"))


def revisions() -> list[tuple[str, str]]:
    """Each revision but the first, with the one before."""
    scripts = ScriptDirectory.from_config(embedded.alembic_for("postgresql://nobody@/nothing"))
    return [(each.revision, str(each.down_revision)) for each in scripts.walk_revisions() if each.down_revision]


@pytest.mark.parametrize(("revision", "before"), revisions())
def test_no_migration_takes_anything_away(revision: str, before: str) -> None:
    """A column that goes, or a rule that comes, breaks whoever has not been restarted yet."""
    sql = sql_of(revision, before)

    assert f"SET version_num='{revision}'" in sql
    allowed = CONTRACTING.get(revision, ()) + HARMLESS.get(revision, ())
    assert [taken for taken in contractions(sql) if not any(kind in taken for kind in allowed)] == []


@pytest.mark.parametrize("sample", CONTRACTIONS.values())
def test_what_takes_away_is_found(sample: str) -> None:
    """Each kind of it, among others; and not where the table is new."""
    assert contractions(f"CREATE TABLE notes (a TEXT);\n{sample};\nCREATE INDEX i ON tasks (user_id);") == [sample]
    assert contractions("CREATE TABLE notes (a TEXT);\nALTER TABLE notes ADD CONSTRAINT c CHECK (a <> '');") == []


def git(*arguments: str) -> bytes:
    return subprocess.run(["git", *arguments], cwd=PROJECT_ROOT, capture_output=True, check=True).stdout


def release_before() -> str:
    """The newest tag, or else what was there before the newest migration, if that had this file already."""
    try:
        tag = git("describe", "--tags", "--abbrev=0").decode().strip()
    except (OSError, subprocess.CalledProcessError):
        tag = ""
    if tag:
        return tag
    newest = sorted((PROJECT_ROOT / VERSIONS).glob("*.py"))[-1].relative_to(PROJECT_ROOT)
    try:
        added = git("log", "-1", "--format=%H", "--diff-filter=A", "--", str(newest)).decode().strip()
        before = f"{added}^" if added else "HEAD"
        git("cat-file", "-e", f"{before}:{Path(__file__).relative_to(PROJECT_ROOT)}")
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("there is no release before this one in this checkout")
    return before


def passes(project: Path) -> tuple[int, str]:
    """The exit status and the last lines of the suite of the program in this folder."""
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", "-p", "no:cov", *SUITE]
    run = subprocess.run(command, cwd=project, capture_output=True, text=True, timeout=SUITE_SECONDS, check=False)
    return run.returncode, run.stdout[-2000:]


def test_the_release_before_passes_its_tests_on_this_schema(tmp_path: Path) -> None:
    """Its program and its tests, with the migrations of today."""
    before = release_before()
    known = git("ls-tree", "-r", "--name-only", before, "--", str(VERSIONS)).decode()
    if taking := [revision for revision in CONTRACTING if f"/{revision}_" not in known]:
        pytest.skip(
            f"the release before is from before {', '.join(taking)}, which takes its rights away (docs/isolation.md)"
        )
    # Into a file: what a program prints is searched for secrets, and tests are full of samples.
    git("archive", f"--output={tmp_path / 'before.zip'}", before)
    shutil.unpack_archive(tmp_path / "before.zip", tmp_path)
    shutil.rmtree(tmp_path / VERSIONS)
    shutil.copytree(PROJECT_ROOT / VERSIONS, tmp_path / VERSIONS)
    shutil.copy(PROJECT_ROOT / DISTRIBUTION, tmp_path / DISTRIBUTION)

    status, said = passes(tmp_path)

    assert status == 0, said


def test_this_release_passes_its_tests_on_tomorrows_schema(tmp_path: Path) -> None:
    """With columns, an index and a confined table that it does not know."""
    skipped = shutil.ignore_patterns("__pycache__", "node_modules", "*.png")
    for name in ("backend", "tests", "docs"):
        shutil.copytree(PROJECT_ROOT / name, tmp_path / name, ignore=skipped)
    shutil.copy(PROJECT_ROOT / "pyproject.toml", tmp_path)
    head = ScriptDirectory.from_config(embedded.alembic_for("postgresql://nobody@/nothing")).get_current_head()
    (tmp_path / VERSIONS / "9999_tomorrow.py").write_text(TOMORROW.format(head=head))

    status, said = passes(tmp_path)

    assert status == 0, said
