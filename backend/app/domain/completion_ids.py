"""How a completion is named: by the task, and by the moment in microseconds since 1970."""

import re
from datetime import UTC, datetime, timedelta
from typing import Final

from backend.app.domain.limits import ID_MAX

# One way to write each.
FORM: Final = r"[1-9][0-9]{0,18}-(0|-?[1-9][0-9]{0,17})"

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)
_FORM: Final = re.compile(FORM)


def is_completion_id(text: str) -> bool:
    return _FORM.fullmatch(text) is not None


def completion_id(task_id: int, moment: datetime) -> str:
    return f"{task_id}-{microseconds(moment)}"


def microseconds(moment: datetime) -> int:
    """Since 1970, in UTC."""
    return (moment - _EPOCH) // _MICROSECOND


def named_completion(text: str) -> tuple[int, datetime] | None:
    """The task and the moment of a completion id; None where there can be none of either."""
    if not is_completion_id(text):
        return None
    task, _, number = text.partition("-")
    try:
        moment = _EPOCH + int(number) * _MICROSECOND
    except OverflowError:
        return None
    return (int(task), moment) if int(task) <= ID_MAX else None
