"""Who may do what in `backend/app`, where import-linter cannot say it: each rule reads the code, and has a sample of
the mistake that it is there for."""

import ast
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from backend.app import problems
from backend.app.config import PROJECT_ROOT

APP = PROJECT_ROOT / "backend/app"
CLAIMS = {"sub", "iss", "aud", "exp", "nbf", "iat", "jti"}
STATEMENTS = {"select", "insert", "update", "delete", "text"}
SQL = re.compile(r"\s*(SELECT|INSERT\s+INTO|UPDATE|DELETE\s+FROM|WITH|TRUNCATE)\b")
CONTROL = re.compile(r"\s*(BEGIN|COMMIT|ROLLBACK)\b(?!:)")
CONNECTING = {"begin", "commit", "rollback", "connect", "create_engine"}
ENVIRONMENT = {"environ", "environb", "getenv", "getenvb"}
PATH = re.compile(r"/[a-z]")

Finder = Callable[[ast.AST], bool]


def docstrings(tree: ast.AST) -> set[ast.AST]:
    """Prose may name anything."""
    return {
        node.value
        for owner in ast.walk(tree)
        if isinstance(owner, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
        for node in owner.body[:1]
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    }


def text_of(node: ast.AST) -> str:
    """The text of a string or bytes constant, else nothing."""
    value = node.value if isinstance(node, ast.Constant) else None
    if isinstance(value, bytes):
        return value.decode("latin-1")
    return value if isinstance(value, str) else ""


def imported(node: ast.AST) -> set[str]:
    """Every module and name that an import statement may bring: `a.b` and `a.b.c` for `from a.b import c`."""
    match node:
        case ast.Import():
            return {alias.name for alias in node.names}
        case ast.ImportFrom(module=str(module)):
            return {module} | {f"{module}.{alias.name}" for alias in node.names}
    return set()


def called(node: ast.AST) -> str:
    """The last part of the name of what is called."""
    match node:
        case ast.Call(func=ast.Name(id=name)) | ast.Call(func=ast.Attribute(attr=name)):
            return name
    return ""


def brings(*names: str) -> Finder:
    return lambda node: any(found == name or found.startswith(f"{name}.") for found in imported(node) for name in names)


def says(text: str) -> Finder:
    return lambda node: text in text_of(node).lower()


def reads_authorization(node: ast.AST) -> bool:
    return text_of(node).lower() == "authorization" or brings("fastapi.security")(node)


def knows_a_title(node: ast.AST) -> bool:
    return text_of(node) in {problem.title for problem in every(problems.Problem) if hasattr(problem, "title")}


def every(kind: type[problems.Problem]) -> Iterator[type[problems.Problem]]:
    for below in kind.__subclasses__():
        yield below
        yield from every(below)


def builds_a_statement(node: ast.AST) -> bool:
    names = {name for name in imported(node) if name.startswith(("sqlalchemy", "sqlmodel"))}
    return any(name.rpartition(".")[2] in STATEMENTS for name in names) or bool(SQL.match(text_of(node)))


def reads_the_environment(node: ast.AST) -> bool:
    named = isinstance(node, ast.Attribute) and node.attr in ENVIRONMENT
    return named or brings("dotenv", "pydantic_settings", *(f"os.{name}" for name in ENVIRONMENT))(node)


def lists_paths(node: ast.AST) -> bool:
    return isinstance(node, ast.Set | ast.List | ast.Tuple) and any(PATH.match(text_of(item)) for item in node.elts)


@dataclass(frozen=True)
class Rule:
    """`owners` are the files and folders in which `finds` may find something, and does."""

    name: str
    finds: Finder
    owners: tuple[str, ...]
    samples: tuple[str, ...]


RULES = [
    Rule(
        "reads the Authorization header",
        reads_authorization,
        # middleware/cors.py: browsers may send it; web/openapi.py: it is not described as a parameter.
        owners=("middleware/jwt.py", "middleware/cors.py", "web/openapi.py"),
        samples=(
            'request.headers["Authorization"]',
            'dict(scope["headers"])[b"authorization"]',
            "from fastapi.security import HTTPBearer",
        ),
    ),
    Rule(
        "makes a statement that nothing checked",
        lambda node: called(node) == "Statement",
        ("repositories/scoping.py",),
        ('Statement("all", "SELECT * FROM tasks", ())', 'db.Statement("all", "SELECT 1", ())'),
    ),
    Rule(
        "has two owners in one transaction",
        lambda node: called(node) == "transaction_with",
        # db/ hands it from the session to the transaction.
        ("repositories/claim.py", "db/"),
        (
            "async with self._session.transaction_with(other) as (mine, theirs): pass",
            "session.transaction_with(path_user)",
        ),
    ),
    Rule(
        "imports authlib or joserfc",
        brings("authlib", "joserfc"),
        ("auth/",),
        ("from joserfc import jwt",),
    ),
    Rule(
        "speaks HTTP to another server",
        brings("httpx", "urllib.request", "http.client"),
        ("auth/jwks.py",),
        ("import httpx",),
    ),
    Rule(
        "measures for Prometheus",
        brings("prometheus_client"),
        ("observability/metrics.py", "observability/reminder_metrics.py"),
        ("from prometheus_client import Counter",),
    ),
    Rule(
        "knows OpenTelemetry",
        brings("opentelemetry"),
        ("observability/tracing.py",),
        ("from opentelemetry import trace", "import opentelemetry.sdk.trace"),
    ),
    Rule(
        "reads cookies",
        lambda node: text_of(node).lower() == "cookie",
        ("middleware/jwt.py",),
        ('request.headers["Cookie"]', 'dict(scope["headers"])[b"cookie"]'),
    ),
    Rule(
        "knows claim names",
        lambda node: text_of(node) in CLAIMS,
        ("auth/",),
        ('claims["sub"]', 'claims.get("exp")'),
    ),
    Rule(
        "knows WWW-Authenticate",
        says("www-authenticate"),
        ("problems/", "web/openapi_responses.py", "middleware/cors.py"),
        ('{"WWW-Authenticate": "Bearer"}',),
    ),
    Rule(
        "knows the errors' media type",
        says("application/problem+json"),
        ("problems/",),
        ('Response(media_type="application/problem+json")',),
    ),
    Rule("knows error titles", knows_a_title, ("problems/",), ('{"title": "Task not found"}',)),
    Rule(
        "imports the tables",
        brings("backend.app.models"),
        # row_security.py and migrations/env.py read which tables there are, preamble.py the schema's name.
        owners=("repositories/", "db/row_security.py", "db/preamble.py", "migrations/env.py", "models/"),
        samples=("from backend.app.models import Task", "from backend.app import models"),
    ),
    Rule(
        "writes statements",
        builds_a_statement,
        # distribution.py reads the catalog, which is nobody's; preamble.py locks an owner; these
        # migrations fill columns in.
        owners=("repositories/", "db/preamble.py", "migrations/"),
        samples=(
            "from sqlalchemy import select",
            "from sqlmodel import delete",
            'await connection.execute("SELECT * FROM tasks", {})',
            'await connection.execute(f"DELETE FROM {table}", {})',
        ),
    ),
    Rule(
        "touches psycopg2",
        brings("psycopg2"),
        ("db/",),
        ("import psycopg2", "from psycopg2.pool import SimpleConnectionPool"),
    ),
    Rule(
        "opens connections, begins and commits",
        lambda node: called(node) in CONNECTING or bool(CONTROL.match(text_of(node))),
        # Migrations have SQLAlchemy's ordinary engine.
        owners=("db/", "migrations/"),
        samples=(
            "connection.commit()",
            'await connection.execute("COMMIT", {})',
            "psycopg2.connect(url)",
            "create_engine(url)",
        ),
    ),
    Rule(
        "imports a private name of another module",
        lambda node: any(name.startswith("backend.") and "._" in name for name in imported(node)),
        owners=(),
        samples=("from backend.app.web.validation import _within", "from backend.app.db._wire import Wire"),
    ),
    Rule(
        "reads the environment",
        reads_the_environment,
        ("config/",),
        ('os.environ["DATABASE_URL"]', "from os import getenv", "from dotenv import load_dotenv"),
    ),
    Rule(
        "orders middleware",
        lambda node: called(node) in {"Middleware", "add_middleware", "middleware"},
        ("main.py",),
        ("app.add_middleware(Other)", "Middleware(Other)", '@app.middleware("http")\nasync def other(): ...'),
    ),
    Rule(
        "lists public paths",
        lists_paths,
        ("main.py",),
        ('PUBLIC = frozenset({"/health", "/metrics"})', 'path in ("/docs",)'),
    ),
]


SAMPLES = [(rule, sample) for rule in RULES for sample in rule.samples]


def lines(rule: Rule, source: str) -> list[int]:
    tree = ast.parse(source)
    prose = docstrings(tree)
    return [getattr(node, "lineno", 0) for node in ast.walk(tree) if node not in prose and rule.finds(node)]


def files() -> dict[str, str]:
    return {str(path.relative_to(APP)): path.read_text() for path in Path(APP).rglob("*.py")}


def owner_of(name: str, rule: Rule) -> str:
    """The owner that the file is or lies in, or the file itself."""
    return next((owner for owner in rule.owners if name.startswith(owner)), name)


@pytest.mark.no_cover  # it reads files, and runs nothing of them
@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
def test_only_owners_do_it(rule: Rule) -> None:
    """Nobody else does, and every owner needs to be one."""
    found = {name: at for name, source in files().items() if (at := lines(rule, source))}

    assert {owner_of(name, rule) for name in found} == set(rule.owners), found


@pytest.mark.parametrize(("rule", "sample"), SAMPLES, ids=lambda value: str(getattr(value, "name", value)))
def test_each_rule_finds_its_mistake(rule: Rule, sample: str) -> None:
    """Wherever it stands."""
    assert lines(rule, f'"""A module."""\n\n\ndef handler():\n    {sample.replace(chr(10), chr(10) + "    ")}\n')


def test_prose_may_name_anything() -> None:
    """A docstring that explains a header does not read it."""
    prose = '"""authorization"""\n\n\nclass Sub:\n    """sub"""\n\n    def exp(self):\n        """SELECT a title."""\n'

    assert [rule.name for rule in RULES if lines(rule, prose)] == []
