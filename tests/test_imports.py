"""What test modules may import from each other: nothing. What several of them need is in a support module."""

import ast

from backend.app.config import PROJECT_ROOT


def imported_tests(source: str) -> list[str]:
    """The test modules that this source imports, also inside functions."""
    found: list[str] = []
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Import(names=names):
                modules = [alias.name for alias in names]
            case ast.ImportFrom(module=module, names=names):
                modules = [f"{module or ''}.{alias.name}" for alias in names]
            case _:
                continue
        found += [name for name in modules if any(part.startswith("test_") for part in name.split("."))]
    return found


def test_no_module_imports_from_a_test_module() -> None:
    """A test module can be moved, split or removed without another one noticing."""
    files = (PROJECT_ROOT / "tests").rglob("*.py")

    assert {str(file): found for file in files if (found := imported_tests(file.read_text()))} == {}


def test_every_form_of_an_import_is_seen() -> None:
    """The check's own failing samples, and imports that are allowed."""
    assert imported_tests("from tests.routes.test_tasks import create") == ["tests.routes.test_tasks.create"]
    assert imported_tests("import tests.routes.test_tasks as tasks") == ["tests.routes.test_tasks"]
    assert imported_tests("def f():\n    from .test_tasks import create") == ["test_tasks.create"]
    assert imported_tests("from tests.routes import test_tasks") == ["tests.routes.test_tasks"]
    assert imported_tests("from tests.support.tasks import create\nimport pytest") == []
