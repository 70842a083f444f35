"""What filters read, without HTTP."""

import pytest
from pydantic import ValidationError

from backend.app.schemas.queries import TaskPageQuery

MOMENTS = [
    ("2026-12-24", "2026-12-24"),
    ("2026-12-24T18:00:00+01:00", "2026-12-24T18:00:00+01:00"),
    # A + that was not escaped.
    ("2026-12-24T18:00:00 01:00", "2026-12-24T18:00:00+01:00"),
    ("2026-12-24 18:00:00 01:00", "2026-12-24T18:00:00+01:00"),
    ("2026-12-24 18:00:00+01:00", "2026-12-24T18:00:00+01:00"),
    ("2026-12-24 18:00:00Z", "2026-12-24T18:00:00Z"),
    ("2026-12-24t18:00:00z", "2026-12-24t18:00:00z"),
    ("2026-12-24T18:00:00.1234567Z", "2026-12-24T18:00:00.123456Z"),
    ("2026-12-24T18:00:00.123456789 00:00", "2026-12-24T18:00:00.123456+00:00"),
]


@pytest.mark.parametrize("name", ["due_before", "due_after"])
@pytest.mark.parametrize(("text", "kept"), MOMENTS)
def test_a_moment_is_read_as_libraries_write_it(name: str, text: str, kept: str) -> None:
    query = TaskPageQuery.model_validate({name: text})

    assert getattr(query, name) == kept


@pytest.mark.parametrize(
    "text",
    ["", " ", "soon", "2026-12-24 ", "2026-12-24  18:00:00Z", "2026-12-24T18:00:00", "2026-12-24T18:00:00.Z",
     "2026-12-24T18:00:00.1234567890Z", "2016-12-31T23:59:60Z", "0001-01-01T00:00:00+01:00", None, 1],
)  # fmt: skip
def test_what_is_no_moment_is_refused(text: object) -> None:
    with pytest.raises(ValidationError):
        TaskPageQuery.model_validate({"due_before": text, "due_after": "x"})
