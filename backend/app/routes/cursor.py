"""Where the next page starts, as text that a client hands back unread."""

import base64
import binascii
import re

from backend.app import problems
from backend.app.schemas.task import Status

_CURSOR = re.compile(r"(?P<status>[a-z]+):(?P<before>[1-9][0-9]{0,18})")


def encode(status: Status, before: int) -> str:
    """A cursor for the tasks of this status with ids below `before`."""
    return base64.urlsafe_b64encode(f"{status}:{before}".encode()).decode().rstrip("=")


def decode(cursor: str, status: Status) -> int:
    """The id below which the page starts. Raises UnknownCursor for what `encode` did not make for this status."""
    try:
        found = _CURSOR.fullmatch(
            base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True).decode()
        )
    except (binascii.Error, ValueError):
        raise problems.UnknownCursor from None
    if found is None or (before := int(found["before"])) >= 2**63 or encode(status, before) != cursor:
        raise problems.UnknownCursor
    return before
