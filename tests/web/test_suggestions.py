"""Which name is meant by one that is not known."""

import pytest

from backend.app.schemas.completions import CompletionQuery
from backend.app.schemas.queries import PageQuery, TaskPageQuery
from backend.app.schemas.sync import ChangesQuery
from backend.app.schemas.task import TaskCreate
from backend.app.web import suggestions
from backend.app.web.suggestions import suggest

BODY = list(TaskCreate.model_fields)
LIST = list(TaskPageQuery.model_fields)
PAGE = list(PageQuery.model_fields)
CHANGES = list(ChangesQuery.model_fields)
COMPLETIONS = list(CompletionQuery.model_fields)


@pytest.mark.parametrize(
    ("name", "known", "meant"),
    [
        ("dueDate", BODY, "due_date"),
        ("due-date", BODY, "due_date"),
        ("DueDate", BODY, "due_date"),
        ("DUE_DATE", BODY, "due_date"),
        (" due date ", BODY, "due_date"),
        ("duedate", BODY, "due_date"),
        ("due_dat", BODY, "due_date"),
        ("titel", BODY, "title"),
        ("Title", BODY, "title"),
        ("discription", BODY, "description"),
        ("timezone", BODY, "time_zone"),
        ("timeZone", BODY, "time_zone"),
        ("parentId", BODY, "parent_id"),
        ("parent", BODY, "parent_id"),
        ("projectId", BODY, "list_id"),
        ("position", BODY, None),
        ("position", LIST, "sort=position"),
        ("since", COMPLETIONS, "after"),
        ("to", COMPLETIONS, "before"),
        ("recurrenceFrom", BODY, "recurrence_from"),
        ("rrule", BODY, "recurrence"),
        ("tag", BODY, "tags"),
        ("labels", BODY, "tags"),
        ("startDate", BODY, "start_date"),
        ("deferUntil", BODY, "start_date"),
        ("start_date", LIST, "available"),
        ("done", BODY, "completed"),
        ("isCompleted", BODY, "completed"),
        ("complete", BODY, "completed"),
        ("name", BODY, "title"),
        ("completed", LIST, "status=completed"),
        ("done", LIST, "status=completed"),
        ("pending", LIST, "status=pending"),
        ("deleted", LIST, "status=deleted"),
        ("tags", LIST, "tag"),
        ("dueBefore", LIST, "due_before"),
        ("due_date", LIST, "due_before"),
        ("sortBy", LIST, "sort"),
        ("order", LIST, "sort"),
        ("search", LIST, "q"),
        ("Limit", LIST, "limit"),
        ("limt", PAGE, "limit"),
        ("page", PAGE, "cursor"),
        ("per_page", PAGE, "limit"),
        ("completed", PAGE, None),
        ("syncToken", CHANGES, "since"),
        ("cursor", CHANGES, None),
        ("xyzzy", BODY, None),
        ("", BODY, None),
        ("___", BODY, None),
        ("q", BODY, None),
        ("x", [], None),
        ("д" * 10, BODY, None),
        ("due_date" + "e" * 100, BODY, None),
    ],
)
def test_the_nearest_known_name(name: str, known: list[str], meant: str | None) -> None:
    """In another spelling, with a slip, or as other APIs call it; nothing where none is near."""
    assert suggest(name, known) == meant


def test_every_alias_leads_to_a_name_that_some_route_knows() -> None:
    """A renamed member is renamed here too."""
    known = {*BODY, *LIST, *CHANGES, *COMPLETIONS}
    targets = {target.partition("=")[0] for several in suggestions._ALIASES.values() for target in several}  # noqa: SLF001 - the table itself

    assert targets - known == set()
