"""Entity tags and the conditions that name them (RFC 9110, sections 8.8.3 and 13)."""

import re
from collections.abc import Iterator
from typing import Annotated, Final

from fastapi import Header

from backend.app import problems
from backend.app.domain.limits import ID_MAX
from backend.app.domain.preconditions import Precondition

ANY: Final = "*"
NO_TAG: Final = "What the path names has no ETag: `If-Match` can only be `*` there, and `If-None-Match: *` never holds."
# A tag stands at the beginning, or behind a blank or a comma. What compresses answers on their way adds the coding's
# name (Apache's mod_deflate, Jetty), and few take it off again: `"1-gzip"` is still the tag of revision 1.
_TAG = re.compile(r'''(?<![^\s,])(?P<weak>W/)?"(?P<opaque>[^"]*?)(?:(?:--?|;)(?:gzip|br|zstd|deflate))?"''')
_REVISION = re.compile(r"[1-9][0-9]{0,18}")

IfMatch = Annotated[
    str | None,
    Header(
        alias="If-Match",
        description="Answer only if the ETag is one of these; otherwise 412. `*` is any.",
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
IfNoneMatchOfWrite = Annotated[
    str | None,
    Header(
        alias="If-None-Match",
        description="Write only if the task's ETag is none of these; otherwise 412. `*` is any.",
        examples=["*"],
    ),
]


def etag(revision: int) -> str:
    """The strong entity tag of a revision."""
    return f'"{revision}"'


def precondition(if_match: str | None, if_none_match: str | None = None) -> Precondition | None:
    """What a write requires of the task's revision: None without a condition.

    If-Match compares strongly, so that a weak tag matches nothing, and If-None-Match weakly (section 8.8.3.2). `*`
    matches whatever is there; a task that is missing is 404 before any condition.
    """
    if if_match is None and if_none_match is None:
        return None
    none_of = _revisions(if_none_match, weak=True)
    if none_of is None:
        return Precondition(any_of=())
    any_of = None if if_match is None else _revisions(if_match, weak=False)
    return Precondition(any_of, none_of) if any_of is not None or none_of else None


def require_match(if_match: str | None, tag: str) -> None:
    """Raises PreconditionFailed where If-Match names other tags than the one that would be answered."""
    if if_match is None or if_match.strip() == ANY:
        return
    if tag not in (_plain(found) for found in _TAG.finditer(if_match) if not found["weak"]):
        raise problems.PreconditionFailed


def if_none_match_matches(if_none_match: str | None, tag: str) -> bool:
    """Whether the client has this already. The comparison is weak."""
    if if_none_match is None:
        return False
    return if_none_match.strip() == ANY or tag in map(_plain, _TAG.finditer(if_none_match))


def check_without_tag(method: str, if_match: str | None, if_none_match: str | None) -> None:
    """What conditions come to where there is no entity tag: none that is named matches, and `*` does.

    A read with `If-None-Match: *` is answered: without a tag a client cannot know which answer a 304 would mean.
    Raises PreconditionFailed.
    """
    refused = if_match is not None and if_match.strip() != ANY
    unless_there = if_none_match is not None and if_none_match.strip() == ANY
    if refused or (unless_there and method not in ("GET", "HEAD", "POST")):
        raise problems.PreconditionFailed(NO_TAG)


def _plain(tag: re.Match[str]) -> str:
    return f'"{tag["opaque"]}"'


def _revisions(field: str | None, *, weak: bool) -> tuple[int, ...] | None:
    """The revisions that a field's tags name, with or without the weak ones; None for `*`."""
    if field is None:
        return ()
    if field.strip() == ANY:
        return None
    return tuple(_numbers(field, weak=weak))


def _numbers(field: str, *, weak: bool) -> Iterator[int]:
    for tag in _TAG.finditer(field):
        opaque = tag["opaque"]
        if (weak or not tag["weak"]) and _REVISION.fullmatch(opaque) and int(opaque) <= ID_MAX:
            yield int(opaque)
