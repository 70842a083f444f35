"""A JSON document in pieces that can be parsed one by one: the lists of its outermost object, some items at a time.

orjson holds the interpreter's lock for as long as it parses, so a thread would be no help to other requests. Here it
parses some tens of kilobytes at a time. This module finds the text's structure only; orjson says whether a piece is
JSON.
"""

import re
from collections.abc import Generator, Iterator
from typing import Any, Final, NamedTuple

import orjson

from backend.app import problems

# How much is looked through and parsed at once: at first, usually, and at most (bytes). A single item, and all that
# stands beside the lists, must fit into the last: it is twice what a body of one task may have.
FIRST_WINDOW_BYTES: Final = 512
WINDOW_BYTES: Final = 32 * 1024
PIECE_MAX_BYTES: Final = 128 * 1024
# How many objects and lists there may be by the document's size (bytes for each), and in any case, also in what is
# looked through at once: a task that is written out has a hundred bytes.
BYTES_PER_CONTAINER: Final = 20
CONTAINERS_ALWAYS: Final = 10_000
# How many texts there may be in what is looked through at once: all that fit into a usual window.
TEXTS_AT_ONCE: Final = WINDOW_BYTES // 2
# So deep do items usually nest: an operation of a batch has a task, which has tags.
_USUAL_LEVELS: Final = 4
_BRACKET: Final = re.compile(rb"[\[\]{}]")
_NO_BRACKETS: Final = bytes(set(range(256)) - set(b"[]{}"))
_BLANKS: Final = b" \t\r\n"
_TOO_LARGE: Final = f"has a part of more than {PIECE_MAX_BYTES} bytes"
_TOO_MANY: Final = "has more members than a body of its size may have"


class Items(NamedTuple):
    """Some items of a list: the list's number, its name (None where it has none), and what was parsed."""

    number: int
    name: str | None
    values: list[Any]


class JSONPieces:
    """Takes a document apart, and forgets its text meanwhile.

    Iterate over it: each step takes a bounded time, and gives Items, or None where it only looked. Afterwards
    `document` is the document with empty lists in place of those whose items were given.

    Raises MalformedJSON, or ValidationFailed for what has a part that is too large to be parsed at once.
    """

    def __init__(self, text: bytearray) -> None:
        self._text = text
        self._rest = bytearray()
        self._depth = 0
        self._name: str | None = None
        self._containers_left = max(CONTAINERS_ALWAYS, len(text) // BYTES_PER_CONTAINER)
        self.document: Any = None

    def __iter__(self) -> Iterator[Items | None]:
        number = 0
        while (yield from self._to_list()):
            yield from self._items(number)
            number += 1
        self.document = parsed(bytes(self._rest))

    def _to_list(self) -> Generator[None, None, bool]:
        """Go to the next list in the outermost object or list; the result is whether there is one."""
        size = FIRST_WINDOW_BYTES
        while True:
            window = bytes(self._text[:size])
            begin, depth = self._beginning_of_list(window)
            if begin is not None or size >= len(self._text):
                break
            yield None
            size = _larger(size)
        end = len(window) if begin is None else begin + 1
        self._take(end)
        self._depth = depth
        return begin is not None

    def _beginning_of_list(self, window: bytes) -> tuple[int | None, int]:
        """Where a list begins directly in the outermost value, and how deep the text before is."""
        depth, parts = self._depth, _parts(window)
        _brackets_only(parts)
        for number, offset, bracket in _brackets(parts):
            if bracket in b"]}":
                depth -= 1
                if depth < 0:
                    raise problems.MalformedJSON
            elif bracket == b"[" and depth == 1:
                self._name = _name_before(window, parts, number, offset)
                return offset, depth + 1
            else:
                depth += 1
        return None, depth

    def _items(self, number: int) -> Iterator[Items | None]:
        """The items of a list whose bracket was passed."""
        size, is_first, is_last = FIRST_WINDOW_BYTES, True, False
        while not is_last:
            window = bytes(self._text[:size])
            end, is_last = _whole_items(_parts(window))
            if not end and not is_last:
                if size >= len(self._text):
                    raise problems.MalformedJSON
                size = _larger(size)
                yield None
                continue
            size = min(2 * size, WINDOW_BYTES)
            self._count(window[:end])
            values = _listed(window[:end], is_first=is_first, is_last=is_last)
            del self._text[:end]
            is_first = False
            yield Items(number, self._name, values)

    def _count(self, piece: bytes) -> None:
        self._containers_left -= _openings(_brackets_only(_parts(piece)))
        if self._containers_left < 0:
            raise _refused(_TOO_MANY)

    def _take(self, end: int) -> None:
        if len(self._rest) + end > PIECE_MAX_BYTES:
            raise _refused(_TOO_LARGE)
        self._rest += self._text[:end]
        del self._text[:end]


def parsed(text: bytes) -> Any:
    """Raises MalformedJSON."""
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        raise problems.MalformedJSON from None


def _listed(text: bytes, *, is_first: bool, is_last: bool) -> list[Any]:
    """The items of a list whose text is this part of it: one that is not the first begins with a comma."""
    text = text.lstrip(_BLANKS)
    if is_last and not text:
        return []
    if not is_first:
        if not text.startswith(b","):
            raise problems.MalformedJSON
        text = text[1:]
    values: list[Any] = parsed(b"[" + text + b"]")
    if not values:
        raise problems.MalformedJSON
    return values


def _larger(size: int) -> int:
    if size >= PIECE_MAX_BYTES:
        raise _refused(_TOO_LARGE)
    return 2 * size


def _refused(detail: str) -> problems.Problem:
    return problems.ValidationFailed([{"pointer": "#", "detail": detail}])


def _parts(window: bytes) -> list[bytes]:
    """Text that begins outside of any string, cut at the quotes: every second part is inside of one.

    What is escaped has other bytes in its place, so that offsets stay. Raises ValidationFailed for too many to look at.
    """
    parts = window.replace(rb"\\", b"__").replace(rb"\"", b"__").split(b'"')
    if len(parts) > 2 * TEXTS_AT_ONCE + 1:
        raise _refused(_TOO_MANY)
    return parts


def _brackets(parts: list[bytes]) -> Iterator[tuple[int, int, bytes]]:
    """Each bracket outside of strings: the number of its part, its offset, and itself."""
    begin = 0
    for number, part in enumerate(parts):
        if number % 2 == 0:
            for found in _BRACKET.finditer(part):
                yield number, begin + found.start(), found[0]
        begin += len(part) + 1


def _brackets_only(parts: list[bytes]) -> bytes:
    """All brackets outside of strings. Raises ValidationFailed where they are too many to look at each at once."""
    brackets = b"".join(parts[::2]).translate(None, _NO_BRACKETS)
    if _openings(brackets) > CONTAINERS_ALWAYS:
        raise _refused(_TOO_MANY)
    return brackets


def _openings(brackets: bytes) -> int:
    return brackets.count(b"{") + brackets.count(b"[")


def _whole_items(parts: list[bytes]) -> tuple[int, bool]:
    """Where the last whole object or list of these items ends (0: there is none), or the list itself, and which."""
    brackets = _brackets_only(parts)
    for _ in range(_USUAL_LEVELS):
        brackets = brackets.replace(b"[]", b"").replace(b"{}", b"")
    if b"]" not in brackets and b"}" not in brackets:
        return _last_end(parts, len(brackets)), False
    end = depth = 0
    for _, offset, bracket in _brackets(parts):
        depth += 1 if bracket in b"[{" else -1
        if depth < 0:
            return offset, True
        if depth == 0:
            end = offset + 1
    return end, False


def _last_end(parts: list[bytes], depth: int) -> int:
    """Where the last whole item ends, going back from the end of the text, which is so deep."""
    end = sum(map(len, parts)) + len(parts)
    for number in range(len(parts) - 1, -1, -1):
        end -= len(parts[number]) + 1
        if number % 2:
            continue
        for found in _BRACKET.finditer(parts[number][::-1]):
            if found[0] in b"[{":
                depth -= 1
            elif depth == 0:
                return end + len(parts[number]) - found.start()
            else:
                depth += 1
    return 0


def _name_before(window: bytes, parts: list[bytes], number: int, offset: int) -> str | None:
    """The name of the member whose value begins at this offset."""
    begin = sum(map(len, parts[:number])) + number
    if number == 0 or window[begin:offset].strip(_BLANKS) != b":":
        return None
    name_end = begin - 1
    name: str = parsed(window[name_end - len(parts[number - 1]) - 1 : name_end + 1])
    return name
