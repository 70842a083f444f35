"""Bodies that hold many items (a batch, an import): parsed and judged in steps of some milliseconds.

pydantic holds the interpreter's lock for as long as it judges, so a thread would be no help to other requests.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from operator import attrgetter
from typing import Any, Final, get_args, get_origin

import orjson
from pydantic import BaseModel, TypeAdapter, ValidationError
from pydantic.fields import FieldInfo

from backend.app import problems
from backend.app.web.body_room import SMALL_BODY_BYTES
from backend.app.web.json_pieces import Items, JSONPieces, parsed
from backend.app.web.turns import Steps
from backend.app.web.validation import ERRORS_MAX, errors_of, models_of

# What the items of a body take at most, for each byte of its text: docs/configuration.md reckons with it.
BYTES_PER_TEXT_BYTE: Final = 10
# How many items are looked at between two looks at the clock, where each takes less than a microsecond.
QUICK_ITEMS: Final = 500
# Of so many kinds of items, each with other members, the names are shared.
NAMES_SHARED: Final = 100


@dataclass(frozen=True, slots=True)
class _LongList:
    """A list of many items: how one is judged, how many there may be, and the members that no two have the same."""

    name: str
    item: TypeAdapter[Any]
    item_models: tuple[type[BaseModel], ...]
    most: int
    distinct: tuple[str, ...]

    @classmethod
    def of(cls, name: str, field: FieldInfo, distinct: tuple[str, ...]) -> "_LongList":
        item = TypeAdapter(get_args(field.annotation)[0])
        return cls(name, item, models_of(field.annotation), _max_length(field), distinct)


class _Judge:
    """One list of a document: its items as they are judged, and the faults of the first ones that have some."""

    def __init__(self, listed: _LongList) -> None:
        self._list = listed
        self.count = 0
        self.items: list[Any] = []
        self.errors: list[dict[str, str]] = []
        self._names: dict[frozenset[str], set[str]] = {}

    @property
    def has_too_many(self) -> bool:
        return self.count > self._list.most

    @property
    def stand_ins(self) -> list[Any]:
        """What a document is judged with in their place: one item for all of them; too many by their number alone."""
        return [None] * (self._list.most + 1) if self.has_too_many else self.items[:1]

    async def judge(self, values: list[Any], steps: Steps) -> None:
        for value in values:
            if self.count < self._list.most and len(self.errors) < ERRORS_MAX:
                self._judge_one(value)
            self.count += 1
            if steps.is_over:
                await steps.next_step()

    def _judge_one(self, value: Any) -> None:
        try:
            item = self._list.item.validate_python(value)
        except ValidationError as error:
            prefix = f"#/{self._list.name}/{self.count}/"
            self.errors += errors_of(error, prefix, value, self._list.item_models)
        else:
            if not self.errors:
                self._share_names(item)
                self.items.append(item)

    async def check_distinct(self, steps: Steps) -> None:
        """Raises ValidationFailed."""
        if not self._list.distinct:
            return
        key, values = attrgetter(*self._list.distinct), set[Any]()
        for some in _slices(self.items):
            values.update(map(key, some))
            if steps.is_over:
                await steps.next_step()
        if len(values) < len(self.items):
            same = " and ".join(self._list.distinct)
            detail = f"{self._list.name} must not have the same {same} twice"
            raise problems.ValidationFailed([{"pointer": "#", "detail": detail}])

    async def forget(self, steps: Steps) -> None:
        """Empty the list in steps: to free 100,000 tasks takes a while, too."""
        while self.items:
            del self.items[-QUICK_ITEMS:]
            if steps.is_over:
                await steps.next_step()

    def _share_names(self, item: BaseModel) -> None:
        """Let items that were sent with the same members share the set of their names: a third of their memory."""
        names = item.model_fields_set
        shared = self._names.get(frozenset(names))
        if shared is not None:
            object.__setattr__(item, "__pydantic_fields_set__", shared)
        elif len(self._names) < NAMES_SHARED:
            self._names[frozenset(names)] = names


class LongDocument:
    """A document that was parsed, and the items of its long lists, which were judged."""

    def __init__(self, document: Any, judges: dict[str, _Judge], contents: Any, steps: Steps) -> None:
        """`document` has empty lists in place of the long ones.

        `contents` is what makes two documents the same, for a write with an Idempotency-Key.
        """
        self.document = document
        self.judges = judges
        self.contents = contents
        self.steps = steps

    async def forget(self) -> None:
        """Empty the lists in steps."""
        for judge in self.judges.values():
            await judge.forget(self.steps)


class _Contents:
    """What makes two large documents the same, wherever their text was cut: a hash of each list, and of the rest."""

    def __init__(self, names: set[str]) -> None:
        """Lists with other names share a hash: there may be very many of them."""
        self._lists = {name: hashlib.sha256() for name in names}
        self._rest = hashlib.sha256()

    def add(self, items: Items) -> None:
        """Raises ValidationFailed."""
        digest = self._lists.get(items.name or "", self._rest)
        digest.update(_sorted(items.values)[1:-1] + b",")

    def of(self, document: Any) -> list[str]:
        """After all lists: those, and the document without their items. Raises ValidationFailed."""
        self._rest.update(_sorted(document))
        digests = [self._rest, *(digest for _, digest in sorted(self._lists.items()))]
        return [digest.hexdigest() for digest in digests]


class _PiecewiseRead:
    """A large document whose items come in pieces: those of long lists are judged, those of short ones kept."""

    def __init__(
        self, judges: dict[str, _Judge], long: dict[str, _LongList], short: dict[str, int], steps: Steps
    ) -> None:
        """`short` has how many items each short list may have."""
        self.found = LongDocument(None, judges, None, steps)
        self._contents = _Contents({*long, *short})
        self._long = long
        self._short = short
        # Which list of a name it is whose items come: of two the last one counts, as in any JSON object.
        self._numbers: dict[str, int] = {}
        self._kept: dict[str, list[Any]] = {}

    async def take(self, items: Items) -> None:
        """Raises ValidationFailed."""
        name = items.name or ""
        self._contents.add(items)
        if name in self._short:
            self._keep(name, items)
        elif name in self._long:
            await self._judge(name, items)

    def finished(self, document: Any) -> LongDocument:
        """`document` is without the items that were taken. Raises ValidationFailed."""
        self.found.document, self.found.contents = document, self._contents.of(document)
        if isinstance(document, dict):
            document |= {name: values for name, values in self._kept.items() if document.get(name) == []}
        return self.found

    def _keep(self, name: str, items: Items) -> None:
        """Keep the items of a list that is judged at once, and of one that is too long only as many as tell that."""
        if self._is_another_list(name, items):
            self._kept[name] = []
        kept = self._kept[name]
        kept += items.values[: self._short[name] + 1 - len(kept)]

    async def _judge(self, name: str, items: Items) -> None:
        if self._is_another_list(name, items):
            await self.found.judges[name].forget(self.found.steps)
            self.found.judges[name] = _Judge(self._long[name])
        await self.found.judges[name].judge(items.values, self.found.steps)

    def _is_another_list(self, name: str, items: Items) -> bool:
        before = self._numbers.get(name)
        self._numbers[name] = items.number
        return items.number != before


def _sorted(document: Any) -> bytes:
    """JSON with sorted members. orjson writes less deep documents than it reads, but none of ours is so deep."""
    try:
        return orjson.dumps(document, option=orjson.OPT_SORT_KEYS)
    except orjson.JSONEncodeError:
        raise problems.ValidationFailed([{"pointer": "#", "detail": "has parts that nest too deeply"}]) from None


class LongBody:
    """Reads a body that has lists of many items."""

    def __init__(self, model: type[BaseModel]) -> None:
        """`model` has lists for long ones, and tuples for short ones.

        Its `distinct`, if any, has the members of which no two items of a long list have the same.
        """
        self._model = model
        distinct: dict[str, tuple[str, ...]] = getattr(model, "distinct", {})
        self._long = {
            name: _LongList.of(name, field, distinct.get(name, ()))
            for name, field in model.model_fields.items()
            if get_origin(field.annotation) is list
        }
        # The lists that are judged at once, by the number of items that they may have.
        self._short = {
            name: _max_length(field)
            for name, field in model.model_fields.items()
            if get_origin(field.annotation) is tuple
        }

    async def parse(self, text: bytearray, steps: Steps) -> LongDocument:
        """Parse the document and judge its items, in steps. A large text is emptied meanwhile.

        Raises MalformedJSON, or ValidationFailed for a document that would take far more room than its text.
        """
        await steps.next_step()
        if len(text) > SMALL_BODY_BYTES:
            return await self._parse_in_pieces(text, steps)
        contents = parsed(bytes(text))
        document, judges = contents, self._judges()
        if isinstance(contents, dict):
            for name, judge in judges.items():
                if isinstance(contents.get(name), list):
                    await judge.judge(contents[name], steps)
                    document = {**document, name: []}
        return LongDocument(document, judges, contents, steps)

    async def _parse_in_pieces(self, text: bytearray, steps: Steps) -> LongDocument:
        pieces, read = JSONPieces(text), _PiecewiseRead(self._judges(), self._long, self._short, steps)
        try:
            for items in pieces:
                if items is not None:
                    await read.take(items)
                if steps.is_over:
                    await steps.next_step()
        except problems.Problem:
            await read.found.forget()
            raise
        return read.finished(pieces.document)

    def _judges(self) -> dict[str, _Judge]:
        return {name: _Judge(listed) for name, listed in self._long.items()}

    async def validate(self, parsed: LongDocument) -> BaseModel:
        """Raises ValidationFailed with the first 20 faults."""
        document = parsed.document
        there = isinstance(document, dict)
        judges = {name: judge for name, judge in parsed.judges.items() if there and document.get(name) == []}
        errors = [error for judge in judges.values() if not judge.has_too_many for error in judge.errors]
        if errors:
            raise problems.ValidationFailed(errors[:ERRORS_MAX])
        if judges:
            document = {**document, **{name: judge.stand_ins for name, judge in judges.items()}}
        try:
            body = self._model.model_validate(document)
        except ValidationError as error:
            raise problems.ValidationFailed(errors_of(error, "#/", document, [self._model])) from None
        for name, judge in judges.items():
            await judge.check_distinct(parsed.steps)
            setattr(body, name, judge.items)
        return body


def _max_length(field: FieldInfo) -> int:
    most: int = next(mark.max_length for mark in field.metadata if hasattr(mark, "max_length"))
    return most


def _slices(items: list[Any]) -> Iterator[list[Any]]:
    for start in range(0, len(items), QUICK_ITEMS):
        yield items[start : start + QUICK_ITEMS]
