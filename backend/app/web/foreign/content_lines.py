"""iCalendar's content lines (RFC 5545, section 3.1): unfolded, with their names, parameters and values.

Values of vCalendar 1.0 are read, too: as quoted-printable or base64, in whatever character set.
"""

import binascii
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from backend.app.web.foreign.lines import lines_of

# How much of an unfolded line is read (characters), and how much of it may stand before its value.
LINE_MAX_CHARACTERS: Final = 16 * 1024
HEAD_MAX_CHARACTERS: Final = 1024

_NAME: Final = re.compile(r"[A-Za-z0-9-]{1,64}")
_PARAMETER: Final = re.compile(r';([A-Za-z0-9-]{1,64})(?:=("[^"]*"|[^";:,]*)(?:,(?:"[^"]*"|[^";:,]*))*)?')
_ESCAPES: Final = re.compile(r"\\([\\;,nN])")
_SEPARATOR: Final = re.compile(r"\\.|,", re.DOTALL)
# A character that is cut by a fold, which simple programs do (section 3.1): what is before, the fold, what is after.
_CUT_CHARACTER: Final = re.compile(rb"([\xc2-\xf4][\x80-\xbf]{0,2})((?:\r\n|\n|\r)[ \t])([\x80-\xbf]{1,3})")
_QUOTED: Final = re.compile(r"[^:]*;(?:ENCODING=)?QUOTED-PRINTABLE[;:]", re.IGNORECASE)
_DECODERS: Final[Mapping[str, Callable[[bytes], bytes]]] = {
    "QUOTED-PRINTABLE": binascii.a2b_qp,
    "BASE64": binascii.a2b_base64,
    "B": binascii.a2b_base64,
}
_CHARSET: Final = re.compile(
    "utf-8|us-ascii|iso-8859-[0-9]{1,2}|windows-125[0-8]|koi8-[ru]|shift_jis|euc-(?:jp|kr)|gb(?:2312|k|18030)|big5",
    re.IGNORECASE,
)


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
        decode = _DECODERS.get(self.parameters.get("ENCODING", "").upper())
        return _unescaped(self.value) if decode is None else self._decoded(decode)

    @property
    def texts(self) -> list[str]:
        """The value as a list of TEXT."""
        parts, start = [], 0
        for found in _SEPARATOR.finditer(self.value):
            if found[0] == ",":
                parts.append(self.value[start : found.start()])
                start = found.end()
        return [_unescaped(part) for part in [*parts, self.value[start:]]]

    def _decoded(self, decode: Callable[[bytes], bytes]) -> str:
        octets, charset = self.value.encode(), self.parameters.get("CHARSET", "utf-8")
        try:
            octets = decode(octets)
            text = octets.decode(charset if _CHARSET.fullmatch(charset) else "utf-8")
        except ValueError:
            text = octets.decode("cp1252", "replace")
        return text.replace("\r\n", "\n").replace("\r", "\n")


def joined_characters(content: bytes) -> bytes:
    """The file with each fold that cuts a character put behind it; its lines are as many as before."""
    return _CUT_CHARACTER.sub(rb"\1\3\2", content)


def content_lines(text: str) -> Iterator[ContentLine | int | None]:
    """Each line, or the number of one that cannot be read; None after some work without one."""
    for number, line, is_cut in _unfolded(text):
        yield (_read(number, line, is_cut) or number) if line.strip() else None


def _unfolded(text: str) -> Iterator[tuple[int, str, bool]]:
    """Each line with its number and whether it was cut off; an empty one for each that continues another."""
    first, pieces, length, is_quoted = 1, [""], 0, False
    for number, physical in lines_of(text):
        # The byte order mark of a file that was put behind another.
        line = physical.removeprefix("\N{ZERO WIDTH NO-BREAK SPACE}")
        is_soft = is_quoted and pieces[-1].endswith("=")
        if number > 1 and (is_soft or line[:1] in (" ", "\t")):
            if is_soft:
                pieces[-1] = pieces[-1][:-1]
            rest = line[1:] if line[:1] in (" ", "\t") else line
            if length < LINE_MAX_CHARACTERS:
                pieces.append(rest)
            length += len(rest)
            yield number, "", False
            continue
        yield first, "".join(pieces)[:LINE_MAX_CHARACTERS], length > LINE_MAX_CHARACTERS
        first, pieces, length = number, [line], len(line)
        is_quoted = _QUOTED.match(line, 0, HEAD_MAX_CHARACTERS) is not None
    yield first, "".join(pieces)[:LINE_MAX_CHARACTERS], length > LINE_MAX_CHARACTERS


def _read(number: int, line: str, is_cut: bool) -> ContentLine | None:
    name = _NAME.match(line)
    if name is None:
        return None
    at = name.end()
    parameters: dict[str, str] = {}
    while at < HEAD_MAX_CHARACTERS and (found := _PARAMETER.match(line, at, at + HEAD_MAX_CHARACTERS)):
        if found[2] is not None:
            parameters[found[1].upper()] = found[2].strip('"')
        elif found[1].upper() in _DECODERS:
            parameters["ENCODING"] = found[1]
        at = found.end()
    if line[at : at + 1] != ":":
        return None
    return ContentLine(number, name[0].upper(), line[at + 1 :], parameters, is_cut)


def _unescaped(text: str) -> str:
    return _ESCAPES.sub(lambda found: "\n" if found[1] in "nN" else found[1], text)
