"""Bodies that hold many items (a batch, an import): parsed and judged in steps of some milliseconds.

pydantic holds the interpreter's lock for as long as it judges, so a thread would be no help to other requests.
"""

import hashlib
from collections.abc import Iterator
from typing import Any, Final, get_args, get_origin

import orjson
from pydantic import BaseModel, TypeAdapter, ValidationError

from backend.app import problems
from backend.app.web.body_room import SMALL_BODY_BYTES
from backend.app.web.json_pieces import Items, JSONPieces, parsed
from backend.app.web.turns import Steps
from backend.app.web.validation import ERRORS_MAX, _described, _errors, _findings, models_of

# What the items of a body take at most, for each byte of its text: docs/configuration.md reckons with it.
BYTES_PER_TEXT_BYTE: Final = 10
# How many items are looked at between two looks at the clock, where each takes less than a microsecond.
QUICK_ITEMS: Final = 500
# Of so many kinds of items, each with other members, the names are shared.
NAMES_SHARED: Final = 100


class _Judge:
    """One list of a document: its items as they are judged, and the faults of the first ones that have some."""

    def __init__(self, body: "LongBody") -> None:
        self._body = body
        self.count = 0
        self.items: list[Any] = []
        self.errors: list[dict[str, str]] = []
        self._names: dict[frozenset[str], set[str]] = {}

    async def judge(self, values: list[Any], steps: Steps) -> None:
        for value in values:
            if self.count < self._body.most and len(self.errors) < ERRORS_MAX:
                self._judge_one(value)
            self.count += 1
            if steps.is_over:
                await steps.next_step()

    def _judge_one(self, value: Any) -> None:
        try:
            item = self._body.item.validate_python(value)
        except ValidationError as error:
            prefix = f"#/{self._body.name}/{self.count}/"
            self.errors += _described(_findings(error), prefix, value, self._body.item_models)
        else:
            if not self.errors:
                self._share_names(item)
                self.items.append(item)

    def _share_names(self, item: BaseModel) -> None:
        """Let items that were sent with the same members share the set of their names: a third of their memory."""
        names = item.model_fields_set
        shared = self._names.get(frozenset(names))
        if shared is not None:
            object.__setattr__(item, "__pydantic_fields_set__", shared)
        elif len(self._names) < NAMES_SHARED:
            self._names[frozenset(names)] = names


class LongDocument:
    """A document that was parsed, and its list's items, which were judged."""

    def __init__(self, document: Any, judge: _Judge, contents: Any, steps: Steps) -> None:
        """`contents` is what makes two documents the same, for a write with an Idempotency-Key."""
        self.document = document
        self.judge = judge
        self.contents = contents
        self.steps = steps

    async def forget(self) -> None:
        """Empty the list in steps: to free 100,000 tasks takes a while, too."""
        await _forget(self.judge.items, self.steps)


class LongBody:
    """Reads a body that has one list of many items."""

    def __init__(self, model: type[BaseModel]) -> None:
        """`model` has one field that is a list, and tuples for short ones.

        Its `distinct`, if any, is the member that no two items share.
        """
        self._model = model
        self._distinct: str | None = getattr(model, "distinct", None)
        [self.name] = [name for name, field in model.model_fields.items() if get_origin(field.annotation) is list]
        # The lists that are judged at once, by the number of items that they may have.
        self._short = {
            name: next(mark.max_length for mark in field.metadata if hasattr(mark, "max_length"))
            for name, field in model.model_fields.items()
            if get_origin(field.annotation) is tuple
        }
        field = model.model_fields[self.name]
        self.item: TypeAdapter[Any] = TypeAdapter(get_args(field.annotation)[0])
        self.item_models = models_of(field.annotation)
        self.most: int = next(mark.max_length for mark in field.metadata if hasattr(mark, "max_length"))

    async def parse(self, text: bytearray, steps: Steps) -> LongDocument:
        """Parse the document and judge its items, in steps. A large text is emptied meanwhile.

        Raises MalformedJSON, or ValidationFailed for a document that would take far more room than its text.
        """
        await steps.next_step()
        if len(text) > SMALL_BODY_BYTES:
            return await self._parse_in_pieces(text, steps)
        document, judge = parsed(bytes(text)), _Judge(self)
        items = document.get(self.name) if isinstance(document, dict) else None
        if isinstance(items, list):
            await judge.judge(items, steps)
            return LongDocument({**document, self.name: []}, judge, document, steps)
        return LongDocument(document, judge, document, steps)

    async def _parse_in_pieces(self, text: bytearray, steps: Steps) -> LongDocument:
        pieces, number, judge, contents = JSONPieces(text), 0, _Judge(self), hashlib.sha256()
        short: dict[str, tuple[int, list[Any]]] = {}
        try:
            for items in pieces:
                if items is not None:
                    contents.update(_canonical(items))
                if items is not None and items.name in self._short:
                    self._keep_short(short, items)
                elif items is not None and items.name == self.name:
                    if items.number != number:  # of two lists of this name the last one counts, as in any JSON object
                        await _forget(judge.items, steps)
                        number, judge = items.number, _Judge(self)
                    await judge.judge(items.values, steps)
                if steps.is_over:
                    await steps.next_step()
        except problems.Problem:
            await _forget(judge.items, steps)
            raise
        contents.update(orjson.dumps(pieces.document, option=orjson.OPT_SORT_KEYS))
        document = pieces.document
        if isinstance(document, dict):
            document |= {name: values for name, (_, values) in short.items() if document.get(name) == []}
        return LongDocument(document, judge, [contents.hexdigest()], steps)

    def _keep_short(self, short: dict[str, tuple[int, list[Any]]], items: Items) -> None:
        """Keep the items of a list that is judged at once, and of one that is too long only as many as tell that."""
        name = items.name or ""
        number, values = short.get(name, (items.number, []))
        if number != items.number:
            values = []
        short[name] = (items.number, values)
        values += items.values[: self._short[name] + 1 - len(values)]

    async def validate(self, parsed: LongDocument) -> BaseModel:
        """Raises ValidationFailed with the first 20 faults."""
        document, judge = parsed.document, parsed.judge
        if isinstance(document, dict) and document.get(self.name) == []:
            if judge.errors and judge.count <= self.most:
                raise problems.ValidationFailed(judge.errors[:ERRORS_MAX])
            # One judged item stands for all of them; too many are told by their number alone.
            stand_ins = judge.items[:1] if judge.count <= self.most else [None] * (self.most + 1)
            document = {**document, self.name: stand_ins}
        try:
            body = self._model.model_validate(document)
        except ValidationError as error:
            raise problems.ValidationFailed(_errors(error, "#/", document, [self._model])) from None
        await self._check_distinct(judge.items, parsed.steps)
        setattr(body, self.name, judge.items)
        return body

    async def _check_distinct(self, items: list[Any], steps: Steps) -> None:
        if self._distinct is None:
            return
        values: set[Any] = set()
        for some in _slices(items):
            values.update([getattr(item, self._distinct) for item in some])
            if steps.is_over:
                await steps.next_step()
        if len(values) < len(items):
            detail = f"{self.name} must not have an {self._distinct} twice"
            raise problems.ValidationFailed([{"pointer": "#", "detail": detail}])


async def _forget(items: list[Any], steps: Steps) -> None:
    while items:
        del items[-QUICK_ITEMS:]
        if steps.is_over:
            await steps.next_step()


def _slices(items: list[Any]) -> Iterator[list[Any]]:
    for start in range(0, len(items), QUICK_ITEMS):
        yield items[start : start + QUICK_ITEMS]


def _canonical(items: Items) -> bytes:
    """The items of a list, as they are the same wherever the text was cut."""
    return orjson.dumps(items.values, option=orjson.OPT_SORT_KEYS)[1:-1] + b","
