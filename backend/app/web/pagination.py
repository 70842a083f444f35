"""Where the next page starts, as text that a client hands back unread."""

import base64
import binascii
from typing import Any

import orjson

from backend.app import problems

CURSOR_MAX_CHARACTERS = 4096


def encode(fingerprint: str, place: tuple[Any, ...]) -> str:
    """A cursor for a place in the list that has this fingerprint."""
    return base64.urlsafe_b64encode(orjson.dumps([fingerprint, *place])).decode().rstrip("=")


def decode(cursor: str, fingerprint: str) -> tuple[Any, ...]:
    """The place. Raises InvalidCursor for what `encode` did not make for this list."""
    try:
        known, *place = orjson.loads(_decoded(cursor))
    except (ValueError, TypeError):
        raise problems.InvalidCursor from None
    if known != fingerprint or encode(known, tuple(place)) != cursor:
        raise problems.InvalidCursor
    return tuple(place)


def _decoded(cursor: str) -> bytes:
    if len(cursor) > CURSOR_MAX_CHARACTERS:
        raise ValueError
    try:
        return base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
    except binascii.Error as error:
        raise ValueError from error
