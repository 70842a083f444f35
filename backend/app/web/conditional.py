"""Entity tags and the conditions that name them (RFC 9110, sections 8.8.3 and 13.1)."""

import re
from typing import Annotated

from fastapi import Header

_TAG = re.compile(r'(?P<weak>W/)?"(?P<opaque>[^"]*)"')
_REVISION = re.compile(r"[1-9][0-9]{0,18}")

IfMatch = Annotated[
    str | None,
    Header(
        alias="If-Match",
        description="Write only if the task's ETag is one of these; otherwise 412. `*` is any.",
        examples=['"1767225600001"'],
    ),
]
IfNoneMatch = Annotated[
    str | None,
    Header(
        alias="If-None-Match",
        description="Answer 304 if the ETag is one of these.",
        examples=['"1767225600001"'],
    ),
]


def etag(revision: int) -> str:
    """The strong entity tag of a revision."""
    return f'"{revision}"'


def if_match_revisions(if_match: str | None) -> list[int] | None:
    """The revisions that satisfy If-Match: None without a condition, and for `*`, which a missing task alone fails.

    The comparison is strong: a weak tag matches nothing, and so does what is no tag of ours.
    """
    if if_match is None or if_match.strip() == "*":
        return None
    opaque = [tag["opaque"] for tag in _TAG.finditer(if_match) if not tag["weak"]]
    return [revision for text in opaque if _REVISION.fullmatch(text) and (revision := int(text)) < 2**63]


def if_none_match_matches(if_none_match: str | None, tag: str) -> bool:
    """Whether the client has this already. The comparison is weak."""
    if if_none_match is None:
        return False
    return if_none_match.strip() == "*" or tag in (
        found[0].removeprefix("W/") for found in _TAG.finditer(if_none_match)
    )
