"""Where a task or a list stands in an order that a person makes: keys that compare as text, byte by byte.

Fractional indexing: a key is an integer and a fraction in base 62, and between any two there is room for another. The
letter that an integer begins with says how many digits follow, so that longer integers compare as they should.

A task that was never moved has no key of its own. It stands where `unmoved` says, which is made of its id: the newest
first. Those that were moved to the front have smaller integers, those that were moved behind the oldest larger ones,
and those that were moved between unmoved ones fractions.
"""

import re
from collections.abc import Iterator
from itertools import accumulate, chain
from typing import Final

from backend.app.domain.limits import ID_MAX

DIGITS: Final = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
BASE: Final = len(DIGITS)
# From this length on (characters) the neighbours are given new positions, which are shorter.
POSITION_CHARACTERS: Final = 48
# What cannot be shortened may be longer than that, and never longer than this.
POSITION_CHARACTERS_MAX: Final = 96
# How many neighbours are given new positions at once.
NEIGHBOURS_MAX: Final = 200

# The letters that an integer begins with: in front of the unmoved, for the unmoved, behind them.
_FRONT: Final = "ABCDEFGHIJKLMNO"
_UNMOVED: Final = "PQRSTUVWXYZ"
_BEHIND: Final = "abcdefghijklmnopqrstuvwxyz"
# The first position in front, with room on both of its sides.
FIRST: Final = "NV0"
_DIGITS_AFTER: Final[dict[str, int]] = {
    letter: number for letters in (_FRONT[::-1], _UNMOVED[::-1], _BEHIND) for number, letter in enumerate(letters, 1)
}
_VALUES: Final = {digit: value for value, digit in enumerate(DIGITS)}
# Those with the longest integers are refused where they come from outside: beside any other there is room.
_KEY: Final = re.compile("[B-Za-y][0-9A-Za-z]+")
# How many tasks have ids that fit into so many digits, or fewer.
_IDS: Final[tuple[int, ...]] = (0, *accumulate(BASE**digits for digits in range(1, len(_UNMOVED) + 1)))
_PAIRS: Final[tuple[str, ...]] = tuple(a + b for a in DIGITS for b in DIGITS)


class NoRoomError(ValueError):
    """Two keys are equal, or in the wrong order: nothing is between them."""


def unmoved(task_id: int) -> str:
    """Where a task stands that was never moved: the larger its id, the further in front."""
    if task_id <= _IDS[1]:
        return "Z" + DIGITS[_IDS[1] - task_id]
    if task_id <= _IDS[2]:
        return "Y" + _PAIRS[_IDS[2] - task_id]
    digits = next(digits for digits, last in enumerate(_IDS) if task_id <= last)
    return _UNMOVED[-digits] + _written(_IDS[digits] - task_id, digits)


def unmoved_after(key: str, task_id: int) -> int:
    """Unmoved tasks with smaller ids than this stand after a task that has this position and id; any text may come."""
    least, most = 1, ID_MAX
    while least < most:
        middle = (least + most) // 2
        if (unmoved(middle), middle) > (key, task_id):
            least = middle + 1
        else:
            most = middle
    return least


def is_position(text: str) -> bool:
    """Whether this module could have made it of a move. The bare integers of the unmoved are none."""
    if len(text) > POSITION_CHARACTERS_MAX or not _KEY.fullmatch(text):
        return False
    integer = _integer(text)
    if text == integer:
        return len(integer) == 1 + _DIGITS_AFTER[text[0]] and text[0] not in _UNMOVED
    return not text.endswith(DIGITS[0])


def id_of_cell(key: str) -> int | None:
    """The unmoved task that a key comes after, whether there is one or not; None in front of all and behind all."""
    digits = _DIGITS_AFTER[key[0]]
    return _IDS[digits] - _number(key[1:], digits) if key[0] in _UNMOVED else None


def is_in_front(key: str) -> bool:
    """Whether it is in front of all that are unmoved."""
    return key[0] in _FRONT


def before(first: str | None) -> str:
    """A position in front of the first one, and of all that are unmoved."""
    if first is None or first[0] not in _FRONT:
        return FIRST
    integer = _integer(first)
    return integer if integer < first else _previous(integer)


def behind(last: str | None) -> str:
    """A position behind the last one, and behind all that are unmoved."""
    return "a0" if last is None or last[0] not in _BEHIND else between(last, None)


def between(low: str, high: str | None) -> str:
    """A position after `low` and before `high`, which is None at the end. Raises NoRoomError."""
    if high is not None and low >= high:
        raise NoRoomError
    following = _next(_integer(low))
    if following is not None and (high is None or following < high):
        return following
    integer, end = cell(low)
    top = high[len(integer) :] if high is not None and (end is None or high < end) else None
    return integer + _middle(low[len(integer) :], top)


def cell(key: str) -> tuple[str, str | None]:
    """The integer of a key, and the least text that is greater than all keys with this integer."""
    integer = _integer(key)
    return integer, integer + "~"


def spread(low: str, high: str | None, count: int, place: int) -> Iterator[str]:
    """So many positions between two in the cell of `low`, as short as they can be; None is the cell's end.

    Half of the room is left beside the one at `place`, for who moves something there often does so again. Raises
    NoRoomError.
    """
    if high is not None and low >= high:
        raise NoRoomError
    integer = _integer(low)
    bottom, top = low[len(integer) :], None if high is None else high[len(integer) :]
    digits, least, room = 0, 0, 0
    while room < 4 * (count + 1):
        digits += 1
        least = _number(bottom, digits)
        room = (BASE**digits if top is None else _number(top, digits)) - least
    step = room // (2 * (count + 1))
    offsets = chain(
        (step * (index + 1) for index in range(place)),
        (step * place + room // 4,),
        (step * index + room // 2 for index in range(place + 1, count)),
    )
    return (integer + _written(least + offset, digits).rstrip("0") for offset in offsets)


def _integer(key: str) -> str:
    return key[: 1 + _DIGITS_AFTER[key[0]]]


def _next(integer: str) -> str | None:
    """The next integer that no unmoved task has: None at the end of those in front, and among the unmoved."""
    letter, digits = integer[0], integer[1:]
    number = _number(digits, len(digits)) + 1
    if letter in _UNMOVED:
        return "a0" if integer == "Zz" else None
    if number < BASE ** len(digits):
        return letter + _written(number, len(digits))
    if letter in (_FRONT[-1], _BEHIND[-1]):
        return None
    following = chr(ord(letter) + 1)
    return following + "0" * _DIGITS_AFTER[following]


def _previous(integer: str) -> str:
    """The integer before one of those in front, of which there are more than anybody can use."""
    letter, digits = integer[0], integer[1:]
    number = _number(digits, len(digits)) - 1
    if number >= 0:
        return letter + _written(number, len(digits))
    before_it = chr(ord(letter) - 1)
    return before_it + DIGITS[-1] * _DIGITS_AFTER[before_it]


def _middle(low: str, high: str | None) -> str:
    """A fraction between two, the second of which may be None for 1."""
    found = ""
    while True:
        bottom = _VALUES[low[0]] if low else 0
        top = BASE if high is None else _VALUES[high[0]]
        if top - bottom > 1:
            return found + DIGITS[(bottom + top) // 2]
        if high is not None and top > bottom and len(high) > 1:
            return found + high[0]
        found += DIGITS[bottom]
        low, high = low[1:], high[1:] if high is not None and top == bottom else None


def _number(digits: str, length: int) -> int:
    """The first so many digits as a number."""
    number = 0
    for digit in digits[:length].ljust(length, DIGITS[0]):
        number = number * BASE + _VALUES[digit]
    return number


def _written(number: int, length: int) -> str:
    digits = ""
    for _ in range(length):
        number, digit = divmod(number, BASE)
        digits = DIGITS[digit] + digits
    return digits
