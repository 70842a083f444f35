"""`python -m scripts.errors`: writes docs/errors.md from the problem classes, with the cause and the remedy of each."""

from itertools import groupby

from backend.app.config import PROJECT_ROOT
from backend.app.problems import BatchOperationFailed, Problem

FILE = PROJECT_ROOT / "docs/errors.md"
_INTRODUCTION = """# Errors

Every error is a problem document (RFC 9457); [api.md](api.md#errors) shows one. Compare `type`, which stays the same
from release to release. `python -m scripts.errors` writes this page from the classes in `backend/app/problems/`.
"""


def problem_types(base: type[Problem] = Problem) -> list[type[Problem]]:
    """All classes below this one that have a type of their own, by status and type."""
    found = {kind for direct in base.__subclasses__() for kind in (direct, *problem_types(direct))}
    return sorted(found - {BatchOperationFailed}, key=lambda problem: (problem.status, problem.slug))


def page() -> str:
    """The page's text."""
    problems = problem_types()
    rows = [f"| {problem.status} | [`{problem.slug}`](#{problem.slug}) | {problem.title} |" for problem in problems]
    table = "\n".join(["| status | type, after `urn:tasks:problem:` | title |", "| --- | --- | --- |", *rows])
    statuses = [
        "\n".join([f"## Status {status}", "", *map(_section, several)])
        for status, several in groupby(problems, key=lambda problem: problem.status)
    ]
    return "\n".join([_INTRODUCTION, table, "", *statuses, _batch()])


def _section(problem: type[Problem]) -> str:
    return f"### {problem.slug}\n\n{problem.title}: `urn:tasks:problem:{problem.slug}`\n\n{_why_and_what(problem)}\n"


def _batch() -> str:
    return f"## In a batch\n\n{_why_and_what(BatchOperationFailed)}\n"


def _why_and_what(problem: type[Problem]) -> str:
    return f"**Cause.** {problem.cause}\n\n**Remedy.** {problem.remedy}"


def main() -> None:
    """Write the file."""
    FILE.write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    main()
