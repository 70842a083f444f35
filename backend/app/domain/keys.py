"""What titles, descriptions and tags are compared by: the same on every server, whatever its locale.

A text sorts, and is searched, by the primary weights that the Unicode Collation Algorithm gives its letters (UTS #10,
default order): case and accents make no difference, ß equals ss, and ø stands beside o. Each weight is kept as one
character, so that PostgreSQL's byte order (COLLATE "C") is the order of the weights, and `strpos` finds a part.
"""

import re
import unicodedata
from collections.abc import Iterator
from functools import cache
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pyuca.collator import Collator_10_0_0 as Collator

# How many weights are kept. An index row has 2,704 bytes, of which a user id may take 1,020 and a weight takes 3.
TITLE_KEY_MAX: Final = 500
# Where a letter has three, as a Korean syllable, all of a description are.
DESCRIPTION_KEY_MAX: Final = 3000
# How much of a text the collator is given at once (characters): it copies what is left for each one that it reads.
PIECE_CHARACTERS: Final = 64

# The weights of ASCII, 16 characters a row, 0 where a character is ignored: texts in ASCII need no collator, which
# takes 12 MB and 0.1 s to load.
_ASCII_WEIGHTS: Final = (
    "0000 0000 0000 0000 0000 0000 0000 0000 0000 0201 0202 0203 0204 0205 0000 0000 "
    "0000 0000 0000 0000 0000 0000 0000 0000 0000 0000 0000 0000 0000 0000 0000 0000 "
    "0209 0261 030d 0399 1c77 039a 0397 0306 0318 0319 0390 062c 0222 020d 0278 0395 "
    "1ca3 1ca4 1ca5 1ca6 1ca7 1ca8 1ca9 1caa 1cab 1cac 023a 0234 0630 0631 0632 0267 "
    "038f 1cad 1cc6 1ce0 1cf5 1d10 1d4b 1d5a 1d7e 1d98 1db2 1dcb 1ddd 1e10 1e1f 1e43 "
    "1e72 1e87 1e99 1ed7 1efb 1f1b 1f49 1f5b 1f65 1f71 1f87 031a 0396 031b 049b 020b "
    "0498 1cad 1cc6 1ce0 1cf5 1d10 1d4b 1d5a 1d7e 1d98 1db2 1dcb 1ddd 1e10 1e1f 1e43 "
    "1e72 1e87 1e99 1ed7 1efb 1f1b 1f49 1f5b 1f65 1f71 1f87 031c 0634 031d 0636 0000 "
)
# Symbols that are younger than the collator's Unicode 10, or not made yet, come after the last one of its dingbats, by
# its weight and their own: by their own alone they would come after all letters.
_SYMBOLS: Final = re.compile("([\U0001f000-\U0001fbff])")
_LAST_DINGBAT: Final = "\U0001f67f"
# Weights from here on are of what the collator does not know (UTS #10, section 10.1.3).
_IMPLICIT_BEGIN: Final = 0xFB00
# The iota below Greek vowels is a mark, and becomes a letter when case is folded.
_IOTA_BELOW: Final = "\N{COMBINING GREEK YPOGEGRAMMENI}"
# Surrogates (RFC 3629, section 3) are no characters: weights from here on are shifted past them.
_SURROGATES_BEGIN: Final = 0xD800
_SURROGATES: Final = 0x800


def _character(weight: int) -> str:
    return chr(weight if weight < _SURROGATES_BEGIN else weight + _SURROGATES)


_ASCII: Final = {
    code: _character(weight) if (weight := int(text, 16)) else None for code, text in enumerate(_ASCII_WEIGHTS.split())
}


def title_key(title: str) -> str:
    """What a title sorts and is found by."""
    return _collation_key(title, TITLE_KEY_MAX)


def description_key(description: str) -> str:
    """What a description is found by."""
    return _collation_key(description, DESCRIPTION_KEY_MAX)


def search_key(text: str) -> str:
    """What a title's or a description's key must hold where the text is searched for.

    A text of which nothing is compared, such as an accent alone, is found nowhere.
    """
    return _collation_key(text, DESCRIPTION_KEY_MAX) or _character(0x10000 - _SURROGATES)


def tag_key(tag: str) -> str:
    """What two tags have in common that a person reads as one: regardless of case and of how letters are composed.

    Unicode, section 3.13, D146 (compatibility caseless match); accents make a difference.
    """
    folded = unicodedata.normalize("NFKD", unicodedata.normalize("NFD", tag).casefold()).casefold()
    return unicodedata.normalize("NFKC", folded)


def load_collator() -> None:
    """Load what texts beyond ASCII need: 0.1 s that no request should take of the event loop."""
    _collator()
    _continuations()


def _collation_key(text: str, most: int) -> str:
    """At most so many weights: one character may stand for eighteen."""
    if text.isascii():
        return text.translate(_ASCII)[:most]
    key = ""
    # Folded first, for the collator knows no letters that are younger than Unicode 10.
    folded = unicodedata.normalize("NFKD", text).replace(_IOTA_BELOW, "").casefold()
    for piece in _pieces(unicodedata.normalize("NFKD", folded)):
        key += "".join(map(_weights, _SYMBOLS.split(piece)))
        if len(key) >= most:
            break
    return key[:most]


def _weights(part: str) -> str:
    """Those of a symbol, or of what has none."""
    found = [primary for primary, *_ in _collator().collation_elements(part) if primary]
    if found and found[0] >= _IMPLICIT_BEGIN and _SYMBOLS.match(part):
        found[:0] = [primary for primary, *_ in _collator().collation_elements(_LAST_DINGBAT)]
    return "".join(map(_character, found))


def _pieces(text: str) -> Iterator[str]:
    """Parts of a normalized text whose weights, one after the other, are the text's: none begins within an element."""
    begin = 0
    while len(text) - begin > PIECE_CHARACTERS:
        end = begin + PIECE_CHARACTERS
        while end < len(text) and (unicodedata.combining(text[end]) or ord(text[end]) in _continuations()):
            end += 1
        yield text[begin:end]
        begin = end
    yield text[begin:]


@cache
def _collator() -> "Collator":
    from pyuca.collator import Collator_10_0_0  # noqa: PLC0415 - 0.1 s that what only imports this need not take

    return Collator_10_0_0()


@cache
def _continuations() -> frozenset[int]:
    """The characters that may go on an element of several."""
    found: set[int] = set()
    nodes = list((_collator().table.root.children or {}).values())
    while nodes:
        children = nodes.pop().children or {}
        found.update(children)
        nodes += children.values()
    return frozenset(found)
