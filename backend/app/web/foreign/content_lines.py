"""iCalendar's content lines (RFC 5545, section 3.1): unfolded, with their names, parameters and values."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from backend.app.web.foreign.lines import lines_of

# How much of an unfolded line is read (characters), and how much of it may stand before its value.
LINE_MAX_CHARACTERS: Final = 16 * 1024
HEAD_MAX_CHARACTERS: Final = 1024

_NAME: Final = re.compile(r"[A-Za-z0-9-]{1,64}")
_PARAMETER: Final = re.compile(r';([A-Za-z0-9-]{1,64})=("[^"]*"|[^";:,]*)(?:,(?:"[^"]*"|[^";:,]*))*')
_ESCAPES: Final = re.compile(r"\\([\\;,nN])")


@dataclass(frozen=True, slots=True)
class ContentLine:
    """A property, where it stands, and whether the end of its value was cut off."""

    number: int
    name: str
    value: str = ""
    parameters: Mapping[str, str] = field(default_factory=dict)
    is_cut: bool = False

    @property
    def mark(self) -> str:
        """The name and the colon behind it, as in `BEGIN:`."""
        return f"{self.name}:"

    @property
    def text(self) -> str:
        """The value as TEXT (section 3.3.11)."""
        return _unescaped(self.value)

    @property
    def texts(self) -> list[str]:
        """The value as a list of TEXT."""
        return [_unescaped(part) for part in re.split(r"(?<!\\),", self.value)]


def content_lines(text: str) -> Iterator[ContentLine | int | None]:
    """Each line, or the number of one that cannot be read; None after some work without one."""
    for number, line, is_cut in _unfolded(text):
        yield (_read(number, line, is_cut) or number) if line.strip() else None


def _unfolded(text: str) -> Iterator[tuple[int, str, bool]]:
    """Each line with its number and whether it was cut off; an empty one for each that continues another."""
    first, pieces, length = 1, [""], 0
    for number, line in lines_of(text):
        if line[:1] in (" ", "\t") and number > 1:
            if length < LINE_MAX_CHARACTERS:
                pieces.append(line[1:])
            length += len(line) - 1
            yield number, "", False
            continue
        yield first, "".join(pieces)[:LINE_MAX_CHARACTERS], length > LINE_MAX_CHARACTERS
        first, pieces, length = number, [line], len(line)
    yield first, "".join(pieces)[:LINE_MAX_CHARACTERS], length > LINE_MAX_CHARACTERS


def _read(number: int, line: str, is_cut: bool) -> ContentLine | None:
    name = _NAME.match(line)
    if name is None:
        return None
    at, parameters = name.end(), {}
    while at < HEAD_MAX_CHARACTERS and (found := _PARAMETER.match(line, at, at + HEAD_MAX_CHARACTERS)):
        parameters[found[1].upper()] = found[2].strip('"')
        at = found.end()
    if line[at : at + 1] != ":":
        return None
    return ContentLine(number, name[0].upper(), line[at + 1 :], parameters, is_cut)


def _unescaped(text: str) -> str:
    return _ESCAPES.sub(lambda found: "\n" if found[1] in "nN" else found[1], text)
