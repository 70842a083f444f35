"""Where a page of a list starts, and what a walk through pages remembers so that it meets each task exactly once.

A write may move a task in any order but `created`. Such a walk knows the revision at its first page and the tasks that
it has shown. A task that was changed later is passed over where it was shown already; at the end of the order come the
changed tasks that were not shown.
"""

import base64
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from backend.app import problems
from backend.app.domain.enums import Sort
from backend.app.domain.limits import ID_MAX
from backend.app.repositories.sorting import ORDERS

# Ids up to this one are remembered: a bit each, 64 KiB before compression.
REMEMBERED_ID_MAX: Final = 2**19 - 1
# How long a position may be with its shown tasks (bytes). A cursor of it has a third more characters, and the headers
# of an answer must fit into the 4 KiB that proxies keep for them.
POSITION_BYTES_MAX: Final = 1920
BITS_PER_BYTE: Final = 8

# Orders in which no write moves a task.
_FIXED: Final = frozenset({Sort.CREATED, Sort.CREATED_REVERSED})


class ShownTasks:
    """A set of ids as a bitmap."""

    __slots__ = ("_bits",)

    def __init__(self, bits: bytes = b"") -> None:
        self._bits = bits

    def __contains__(self, task_id: int) -> bool:
        byte, bit = divmod(task_id, BITS_PER_BYTE)
        return byte < len(self._bits) and bool(self._bits[byte] >> bit & 1)

    def with_ids(self, ids: Sequence[int]) -> "ShownTasks | None":
        """With these too; None where one of them is too large to be remembered."""
        last = max(ids, default=0)
        if last > REMEMBERED_ID_MAX:
            return None
        bits = bytearray(self._bits.ljust(last // BITS_PER_BYTE + 1, b"\0"))
        for task_id in ids:
            bits[task_id // BITS_PER_BYTE] |= 1 << task_id % BITS_PER_BYTE
        return ShownTasks(bytes(bits))

    def text(self) -> str:
        return base64.b85encode(zlib.compress(self._bits)).decode()

    @classmethod
    def read(cls, text: str) -> "ShownTasks":
        """Raises ValueError for what `text` did not make, and for what would unpack to more than it makes."""
        unpacking = zlib.decompressobj()
        try:
            bits = unpacking.decompress(base64.b85decode(text), REMEMBERED_ID_MAX // BITS_PER_BYTE + 2)
        except zlib.error as error:
            raise ValueError from error
        if not unpacking.eof or len(bits) > REMEMBERED_ID_MAX // BITS_PER_BYTE + 1:
            raise ValueError
        return cls(bits)


@dataclass(frozen=True, slots=True)
class PagePosition:
    """A page starts after the task with this key, a value for each column of the order."""

    sort: Sort
    key: tuple[Any, ...]
    # The list's revision at the first page; None on the first page, and in orders in which no write moves a task.
    moment: int | None = None
    # Whether the order's end was reached: what is left was changed since that moment, in the order of its changes.
    at_changed: bool = False
    # None where they were too many to be remembered.
    shown: ShownTasks | None = None

    @classmethod
    def first(cls, sort: Sort) -> "PagePosition":
        return cls(sort, ORDERS[sort].first_position(), shown=ShownTasks())

    @classmethod
    def read(cls, sort: Sort, parts: tuple[Any, ...]) -> "PagePosition":
        """The position that `parts` was made of. Raises InvalidCursor for what it did not make."""
        try:
            return cls._read(sort, parts)
        except ValueError:
            raise problems.InvalidCursor from None

    @classmethod
    def _read(cls, sort: Sort, parts: tuple[Any, ...]) -> "PagePosition":
        if sort in _FIXED:
            found = cls(sort, parts)
        else:
            match parts:
                case (*key, int(moment), bool(at_changed), str() | None as shown) if _is_revision(moment):
                    found = cls(sort, tuple(key), moment, at_changed, None if shown is None else ShownTasks.read(shown))
                case _:
                    raise ValueError
        if not ORDERS[found.order].is_position(found.key):
            raise ValueError
        return found

    @property
    def order(self) -> Sort:
        """What the page is sorted by."""
        return Sort.UPDATED_REVERSED if self.at_changed else self.sort

    @property
    def forgets(self) -> bool:
        """Whether the pages from here on leave out all that was changed since the first page."""
        return self.moment is not None and self.shown is None

    def parts(self) -> tuple[Any, ...]:
        """What `read` makes the position of again, as JSON can hold it."""
        if self.sort in _FIXED:
            return self.key
        return (*self.key, self.moment, self.at_changed, self.shown and self.shown.text())

    def passes_over(self, task_id: int, revision: int) -> bool:
        """Whether a task is not to be shown from here on, because it was or may have been shown before it changed."""
        changed = self.moment is not None and revision > self.moment
        return changed and (self.shown is None or task_id in self.shown)

    def after(self, key: tuple[Any, ...], shown: Iterable[int], revision: int) -> "PagePosition":
        """The position after the task with this key; `shown` are the ids of the page, `revision` the list's at it."""
        if self.sort in _FIXED:
            return replace(self, key=key)
        moment = revision if self.moment is None else self.moment
        return replace(self, key=key, moment=moment, shown=self._with(shown, key))

    def after_end(self, shown: Iterable[int], revision: int) -> "PagePosition | None":
        """The position after the last task of the order; None where no task can have been missed."""
        missed = self.moment is not None and revision > self.moment and self.shown is not None
        if not missed or self.at_changed or self.order is Sort.UPDATED_REVERSED:
            return None
        end = (self.moment,)
        return replace(self, key=end, at_changed=True, shown=self._with(shown, end))

    def _with(self, ids: Iterable[int], key: tuple[Any, ...]) -> ShownTasks | None:
        more = self.shown and self.shown.with_ids(list(ids))
        if more is None:
            return None
        return more if sum(len(str(part).encode()) for part in (*key, more.text())) <= POSITION_BYTES_MAX else None


def _is_revision(number: int) -> bool:
    return not isinstance(number, bool) and 0 <= number <= ID_MAX
