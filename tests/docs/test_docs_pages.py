"""The pages held against what they describe: links, settings, routes, and the README's length."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from backend.app.config import PROJECT_ROOT, Settings
from backend.app.config.delivery import DeliverySettings

README_LINES_MAX = 150
DOCS = PROJECT_ROOT / "docs"
PAGES = sorted(
    path.relative_to(PROJECT_ROOT).as_posix()
    for folder in ("", "docs", "docs/decisions", "deploy")
    for path in (PROJECT_ROOT / folder).glob("*.md")
)
# A text in square brackets with its target, or an HTML attribute.
LINK = re.compile(r"\]\((?P<markdown>[^)\s]+)\)|(?:src|srcset|href)=\"(?P<html>[^\"]+)\"")
METHODS = {"get", "post", "put", "patch", "delete"}
UNSET = "unset"


def prose(page: str) -> str:
    """The text without its code blocks."""
    return re.sub(r"^```.*?^```", "", (PROJECT_ROOT / page).read_text(), flags=re.DOTALL | re.MULTILINE)


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.*)", prose(page.relative_to(PROJECT_ROOT).as_posix()), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def links(page: str) -> list[str]:
    """The links of a page to files of this repository, and to its own headings."""
    found = [match["markdown"] or match["html"] for match in LINK.finditer(prose(page))]
    return [target for target in found if not re.match(r"[a-z]+:", target)]


def broken(page: str, target: str) -> bool:
    name, _, anchor = target.partition("#")
    file = (PROJECT_ROOT / page).parent / name if name else PROJECT_ROOT / page
    file = file.resolve()
    if not file.exists():
        return True
    return bool(anchor) and anchor not in anchors(file)


def settings_table() -> dict[str, str]:
    """Each variable of docs/configuration.md with its default as the page shows it."""
    rows = re.findall(r"^\| `([A-Z_]+)` \| ([^|]*) \|", (DOCS / "configuration.md").read_text(), re.MULTILINE)
    assert len(rows) == len(dict(rows)), "a setting has two rows"
    return dict(rows)


def shown(default: Any) -> str:
    """A default as the page has to show it."""
    if default is None or default == ():
        return UNSET
    text = ",".join(default) if isinstance(default, tuple) else str(default)
    return text.removesuffix(".0").lower() if isinstance(default, float | bool) else text


def operations() -> set[str]:
    paths: dict[str, dict[str, Any]] = json.loads((DOCS / "openapi.json").read_text())["paths"]
    return {f"{method.upper()} {path}" for path, item in paths.items() for method in item if method in METHODS}


def test_the_readme_is_a_front_page() -> None:
    """What takes more room has a page in docs/."""
    assert len((PROJECT_ROOT / "README.md").read_text().splitlines()) <= README_LINES_MAX


@pytest.mark.parametrize("page", PAGES)
def test_every_relative_link_resolves(page: str) -> None:
    """To a file that exists, and to a heading of it where the link names one."""
    assert [target for target in links(page) if broken(page, target)] == []


def test_a_broken_link_is_found() -> None:
    """A missing file, and a heading that the page does not have."""
    assert broken("README.md", "docs/missing.md")
    assert broken("README.md", "docs/api.md#missing")
    assert not broken("README.md", "docs/api.md#pages")


def test_every_page_of_docs_is_linked() -> None:
    """From the README, or for a decision from the list of decisions."""
    listed = {
        ((PROJECT_ROOT / page).parent / target.partition("#")[0]).resolve()
        for page in ("README.md", "docs/decisions/README.md")
        for target in links(page)
    }

    assert [page for page in PAGES if page.startswith("docs/") and PROJECT_ROOT / page not in listed] == []


def test_every_setting_has_a_row_with_its_default() -> None:
    """docs/configuration.md has each setting once, and no other."""
    fields = {**Settings.model_fields, **DeliverySettings.model_fields}
    defaults = {name.upper(): shown(field.get_default()) for name, field in fields.items()}

    assert settings_table() == defaults


def test_every_route_is_described() -> None:
    """The table of docs/api.md has the operations of the OpenAPI document, and no others."""
    rows = re.findall(r"^\| `([A-Z]+ /[^`]*)` \|", (DOCS / "api.md").read_text(), re.MULTILINE)

    assert sorted(rows) == sorted(operations())


def test_the_readme_has_every_route() -> None:
    """Each with its method and its path below the user."""
    readme = (PROJECT_ROOT / "README.md").read_text()
    short = {operation.replace("/api/{user_id}", "").rstrip() for operation in operations()}

    assert [route for route in sorted(short) if f"`{route}`" not in readme] == []


def test_every_module_is_on_the_map() -> None:
    """docs/architecture.md names each module of the application, or the package that it lies in."""
    page = (DOCS / "architecture.md").read_text()
    app = PROJECT_ROOT / "backend/app"
    modules = [path.relative_to(app).as_posix() for path in app.rglob("*.py") if path.name != "__init__.py"]

    assert [name for name in modules if f"`{name}`" not in page and f"`{name.partition('/')[0]}/`" not in page] == []


def test_every_named_module_exists() -> None:
    """A page that names a module names one that there is."""
    app = PROJECT_ROOT / "backend/app"
    named = {
        name
        for page in ("docs/architecture.md", "docs/isolation.md", "docs/performance.md", "SECURITY.md")
        for name in re.findall(r"`((?:\w+/)*\w+\.py)`", prose(page))
    }

    assert [name for name in sorted(named) if not (app / name).exists() and not (PROJECT_ROOT / name).exists()] == []


def test_every_name_of_the_glossary_is_in_the_code() -> None:
    """A name in the glossary is one that a reader finds by searching for it."""
    code = "\n".join(path.read_text() for path in (PROJECT_ROOT / "backend/app").rglob("*.py"))
    names = re.findall(r"`([A-Za-z_]+)`", (DOCS / "glossary.md").read_text())

    assert len(names) > 10
    assert [name for name in names if not re.search(rf"\b{name}\b", code)] == []
