"""The lock files held against what they lock: requirements.txt and the dependency groups."""

import re
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from importlib import metadata

import pytest
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

from backend.app.config import PROJECT_ROOT

RUNTIME, SERVING, DEVELOPMENT = "requirements.lock", "requirements-serve.lock", "requirements-dev.lock"
FILES = {name: (PROJECT_ROOT / name).read_text() for name in (RUNTIME, SERVING, DEVELOPMENT)}
GROUPS = {RUNTIME: (), SERVING: ("serve",), DEVELOPMENT: ("dev", "serve", "tracing")}
ENTRY = re.compile(
    r"^([a-z0-9-]+)(?:\[([a-z0-9,-]+)\])?==(\S+)(?: ; ([^\\\n]+?))? \\\n"
    r"((?:    --hash=sha256:[0-9a-f]{64}(?: \\)?\n)+)",
    re.MULTILINE,
)


@dataclass(frozen=True)
class Locked:
    name: str
    extras: frozenset[str]
    version: str
    marker: str
    hashes: int


def locked(file: str) -> list[Locked]:
    return [
        Locked(
            found[1],
            frozenset(filter(None, (found[2] or "").split(","))),
            found[3],
            found[4] or "",
            found[5].count("--hash"),
        )
        for found in ENTRY.finditer(FILES[file])
    ]


def wanted(file: str) -> list[Requirement]:
    lines = [line.partition(" #")[0].strip() for line in (PROJECT_ROOT / "requirements.txt").read_text().splitlines()]
    found = [line for line in lines if line and not line.startswith("#")]
    groups = tomllib.loads((PROJECT_ROOT / "pyproject.toml").read_text())["dependency-groups"]
    found += [entry for group in GROUPS[file] for entry in groups[group] if isinstance(entry, str)]
    return [Requirement(line) for line in found]


def misfits(file: str, requirements: list[Requirement]) -> list[str]:
    versions: dict[str, list[str]] = {}
    for entry in locked(file):
        versions.setdefault(entry.name, []).append(entry.version)
    return [
        str(requirement)
        for requirement in requirements
        if not any(
            requirement.specifier.contains(version, prereleases=True)
            for version in versions.get(canonicalize_name(requirement.name), [])
        )
    ]


@pytest.mark.parametrize("file", FILES)
def test_all_that_is_asked_for_is_locked(file: str) -> None:
    """In a version that fits. Where this fails: ./scripts/lock.sh"""
    assert misfits(file, wanted(file)) == []
    assert misfits(file, [Requirement("fastapi<0.1"), Requirement("not-there")]) == ["fastapi<0.1", "not-there"]


@pytest.mark.parametrize("file", FILES)
def test_all_below_that_is_locked_too(file: str) -> None:
    """pip refuses to install what has no hash; here it is said which package that would be."""
    names = {entry.name for entry in locked(file)}

    assert {canonicalize_name(each.name) for each in needed(wanted(file))} - names == set()
    assert "starlette" in {each.name for each in needed([Requirement("fastapi")])}


@pytest.mark.parametrize("file", FILES)
def test_what_is_asked_for_with_extras_is_locked_with_them(file: str) -> None:
    """To the pip of Python 3.11, `coverage==1` says nothing about the `coverage[toml]` that a package asks for.

    It takes the newest of that, and refuses it because it is not pinned: from the day that there is a newer one.
    """
    extras = {entry.name: entry.extras for entry in locked(file)}
    asked = [each for each in needed(wanted(file)) if each.extras]

    assert [str(each) for each in asked if not each.extras <= extras[canonicalize_name(each.name)]] == []
    assert {"uvicorn"} <= {each.name for each in asked}


def needed(requirements: Iterable[Requirement]) -> list[Requirement]:
    """These, and all that they need here."""
    found: dict[str, Requirement] = {}
    ahead = list(requirements)
    while ahead:
        each = ahead.pop()
        if str(each) in found:
            continue
        found[str(each)] = each
        below = [Requirement(line) for line in metadata.requires(each.name) or []]
        extras = each.extras or {""}
        ahead += [
            one for one in below if not one.marker or any(one.marker.evaluate({"extra": extra}) for extra in extras)
        ]
    return list(found.values())


@pytest.mark.parametrize(("file", "larger"), [(RUNTIME, SERVING), (SERVING, DEVELOPMENT)])
def test_production_serving_and_development_have_the_same_versions(file: str, larger: str) -> None:
    """What is tested is what is served; and who has the larger set installed has the smaller one."""
    development = {(entry.name, entry.version, entry.marker) for entry in locked(larger)}

    assert {(entry.name, entry.version, entry.marker) for entry in locked(file)} <= development


@pytest.mark.parametrize("file", FILES)
def test_every_package_has_hashes_and_no_address(file: str) -> None:
    """It can be had from any index, and nothing but the file that was locked."""
    entries = locked(file)
    lines = [line for line in FILES[file].splitlines() if re.match(r"[a-z0-9]", line)]

    assert len(entries) == len(lines) > 40
    assert not re.search(r"https?://|--(extra-)?index-url|--find-links|@ file", FILES[file])


def test_other_systems_are_locked_too() -> None:
    """A package of compiled code has a file for each system and Python that is supported."""
    compiled = {"psycopg2-binary", "orjson", "pydantic-core", "uvloop", "httptools", "cryptography"}
    hashes = {entry.name: entry.hashes for entry in locked(RUNTIME)}

    assert {name: hashes[name] for name in compiled if hashes[name] < 12} == {}
    # CPython from 3.11 on: nothing is locked for the Python that happens to run here alone.
    assert "python_full_version == " not in FILES[RUNTIME]
    assert SpecifierSet(">=3.11") == SpecifierSet(
        tomllib.loads((PROJECT_ROOT / "pyproject.toml").read_text())["project"]["requires-python"]
    )


def test_what_runs_here_is_what_is_locked() -> None:
    """.venv is installed from the lock file, whose hashes pip checks."""
    installed = {entry.name: metadata.version(entry.name) for entry in locked(DEVELOPMENT) if not entry.marker}

    assert installed == {entry.name: entry.version for entry in locked(DEVELOPMENT) if not entry.marker}
