"""`Prefer`: what a client would rather have (RFC 7240)."""

from typing import Annotated, Final

from fastapi import Header

from backend.app.web.headers import preferences

MINIMAL: Final = "return=minimal"
COUNT: Final = "count=exact"
# What a list that can be counted varies with, whether it was or not: a browser that kept it without the count must not
# take it for one with the count (RFC 7240, section 2).
VARY: Final = "Prefer"

Prefer = Annotated[
    str | None,
    Header(alias="Prefer", description="What you would rather have; `Preference-Applied` tells what was heeded."),
]


def prefers(prefer: str | None, preference: str) -> bool:
    """Whether the field asks for this preference, written `name=value`."""
    if prefer is None:
        return False
    name, _, value = preference.partition("=")
    return prefer == preference or preferences(prefer).get(name, "").lower() == value
