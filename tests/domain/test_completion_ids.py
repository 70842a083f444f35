"""A completion id names a task and a moment, and each of them in one way."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend.app.domain.completion_ids import completion_id, is_completion_id, named_completion
from backend.app.domain.limits import ID_MAX

moments = st.datetimes(timezones=st.just(UTC))


@given(st.integers(1, ID_MAX), moments)
def test_an_id_is_read_as_what_it_was_made_of(task_id: int, moment: datetime) -> None:
    """To the microsecond, in every year that there is."""
    text = completion_id(task_id, moment)

    assert is_completion_id(text)
    assert named_completion(text) == (task_id, moment)


NOBODYS = ["", "1", "1-", "0-1", "-1-1", "1-01", "1--0", "1-1\n", f"{ID_MAX + 1}-1", "1-999999999999999999"]


@pytest.mark.parametrize("text", NOBODYS)
def test_what_no_completion_has_names_none(text: str) -> None:
    """Neither another spelling nor a moment outside of the calendar."""
    assert named_completion(text) is None
