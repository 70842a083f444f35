"""What titles and tags are compared by: the same on every server, whatever its locale."""

import unicodedata

from backend.app.models import TITLE_MAX_CHARACTERS


def sort_key(title: str) -> str:
    """A title without case and accents. Cut off, for some characters become eighteen and an index row is limited."""
    letters = unicodedata.normalize("NFKD", title.casefold())
    return "".join(letter for letter in letters if not unicodedata.combining(letter))[:TITLE_MAX_CHARACTERS]


def tag_key(tag: str) -> str:
    """What two tags have in common that differ in case only."""
    return unicodedata.normalize("NFC", tag).casefold()
