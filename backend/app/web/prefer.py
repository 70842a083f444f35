"""`Prefer`: what a client would rather have (RFC 7240)."""

import re
from typing import Annotated

from fastapi import Header

MINIMAL = "return=minimal"
COUNT = "count=exact"

Prefer = Annotated[
    str | None,
    Header(alias="Prefer", description="What you would rather have; `Preference-Applied` tells what was heeded."),
]


def prefers(prefer: str | None, preference: str) -> bool:
    """Whether the field names this preference, among others or alone."""
    return prefer is not None and preference in re.split(r"[\s,;]+", prefer.lower().replace('"', ""))
