"""Which known name somebody meant who sent one that is not known here."""

import re
from collections.abc import Collection
from difflib import get_close_matches
from typing import Final

# Comparing takes the square of the length, and no name of ours is nearly as long (characters).
NAME_COMPARED_MAX: Final = 40
# How alike two names must be, from 0 to 1 (difflib's ratio).
LIKENESS_MIN: Final = 0.6

# What other APIs call it, by the name in snake case; the first one that is known where it was sent is meant, and
# nothing where none is.
_ALIASES: Final[dict[str, tuple[str, ...]]] = {
    "completed": ("status=completed",),
    "done": ("completed", "status=completed"),
    "is_completed": ("completed", "status=completed"),
    "pending": ("status=pending",),
    "open": ("status=pending",),
    "deleted": ("status=deleted",),
    "trash": ("status=deleted",),
    "state": ("status",),
    "name": ("title",),
    "text": ("title", "q"),
    "body": ("description",),
    "content": ("description",),
    "notes": ("description",),
    "deadline": ("due_date",),
    "due": ("due_date", "due_before"),
    "due_date": ("due_before",),
    "start": ("start_date", "available"),
    "start_date": ("available",),
    "scheduled": ("start_date",),
    "defer_until": ("start_date",),
    "due_at": ("due_date", "due_before"),
    "labels": ("tags", "tag"),
    "rrule": ("recurrence",),
    "repeat": ("recurrence",),
    "parent": ("parent_id",),
    "project": ("list_id",),
    "project_id": ("list_id",),
    # Set by a move, which is another request.
    "position": ("sort=position",),
    "from": ("after", "since"),
    "since": ("after",),
    "to": ("before",),
    "until": ("before",),
    "search": ("q",),
    "query": ("q",),
    "order": ("sort",),
    "order_by": ("sort",),
    "sort_by": ("sort",),
    "page": ("cursor",),
    "offset": ("cursor",),
    "skip": ("cursor",),
    "after": ("cursor",),
    "per_page": ("limit",),
    "page_size": ("limit",),
    "size": ("limit",),
    "top": ("limit",),
    "token": ("since",),
    "sync_token": ("since",),
}


def suggest(name: str, known: Collection[str]) -> str | None:
    """The known name that is meant, also as `name=value`; None where none is near.

    The answer is made of known names only, so it can be shown to whoever sent the unknown one.
    """
    if len(name) > NAME_COMPARED_MAX:
        return None
    spelled = _snake_case(name)
    if spelled in known:
        return spelled
    if spelled in _ALIASES:
        return next((alias for alias in _ALIASES[spelled] if alias.partition("=")[0] in known), None)
    return next(iter(get_close_matches(spelled, known, n=1, cutoff=LIKENESS_MIN)), None)


def _snake_case(name: str) -> str:
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name.strip())
    return re.sub(r"[^0-9A-Za-z]+", "_", words).strip("_").lower()
