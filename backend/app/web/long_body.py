"""Bodies that hold many items (a batch, an import): parsed with a bound, and judged in steps of some milliseconds.

pydantic holds the interpreter's lock for as long as it judges, so a thread would be no help to other requests.
"""

import asyncio
from collections.abc import Iterator
from typing import Any, Final, get_args, get_origin

import orjson
from pydantic import BaseModel, TypeAdapter, ValidationError
from pydantic_core import ErrorDetails

from backend.app import problems
from backend.app.web.validation import ERRORS_MAX, _described, _errors, _findings

# How many items are judged before other requests get their turn: some milliseconds' work.
ITEMS_AT_ONCE: Final = 50
# What a body may hold at most by its size (bytes for each), and in any case: a task that is written out has a hundred
# bytes, and an object in Python takes two hundred.
BYTES_PER_CONTAINER: Final = 20
BYTES_PER_MEMBER: Final = 5
CONTAINERS_ALWAYS: Final = 10_000
MEMBERS_ALWAYS: Final = 50_000
# How much is looked through before other requests get their turn (bytes).
SCANNED_AT_ONCE: Final = 64 * 1024
_TOO_MANY: Final = "has more members than a body of its size may have"


async def parse(body: bytes) -> Any:
    """The JSON document.

    Raises MalformedJSON, or ValidationFailed for a document that would take far more room than its text.
    """
    containers = max(CONTAINERS_ALWAYS, len(body) // BYTES_PER_CONTAINER)
    members = max(MEMBERS_ALWAYS, len(body) // BYTES_PER_MEMBER)
    # Brackets and commas inside texts are counted, too, so this is an upper bound; seldom it has to be known exactly.
    if body.count(b"{") + body.count(b"[") > containers or body.count(b",") > members:
        found = await _counted(body)
        if found[0] > containers or found[1] > members:
            raise problems.ValidationFailed([{"pointer": "#", "detail": _TOO_MANY}])
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        raise problems.MalformedJSON from None


async def _counted(body: bytes) -> tuple[int, int]:
    """How many objects and arrays, and how many commas, there are outside of texts."""
    containers = commas = 0
    for piece in _outside_texts(body):
        containers += piece.count(b"{") + piece.count(b"[")
        commas += piece.count(b",")
        await asyncio.sleep(0)
    return containers, commas


def _outside_texts(body: bytes) -> Iterator[bytes]:
    in_text, carried = False, b""
    for start in range(0, len(body), SCANNED_AT_ONCE):
        piece = carried + body[start : start + SCANNED_AT_ONCE]
        # An escape that is cut in two belongs to the next piece.
        escapes = len(piece) - len(piece.rstrip(b"\\"))
        carried = b"\\" if escapes % 2 else b""
        parts = piece[: len(piece) - len(carried)].replace(b"\\\\", b"").replace(b'\\"', b"").split(b'"')
        yield b"".join(parts[in_text::2])
        in_text ^= len(parts) % 2 == 0


class LongBody:
    """Judges the items of a body's one list a few at a time, and then the body as a whole."""

    def __init__(self, model: type[BaseModel]) -> None:
        """`model` has one field that is a list."""
        self._model = model
        [self._name] = [name for name, field in model.model_fields.items() if get_origin(field.annotation) is list]
        field = model.model_fields[self._name]
        self._items: TypeAdapter[list[Any]] = TypeAdapter(list[get_args(field.annotation)[0]])  # type: ignore[arg-type, misc] # made at run time
        self._most = next(mark.max_length for mark in field.metadata if hasattr(mark, "max_length"))

    async def validate(self, document: Any) -> BaseModel:
        """Raises ValidationFailed with the first 20 faults."""
        items = document.get(self._name) if isinstance(document, dict) else None
        if isinstance(items, list) and len(items) <= self._most:
            document = {**document, self._name: await self._judged(items, document)}
        try:
            return self._model.model_validate(document)
        except ValidationError as error:
            raise problems.ValidationFailed(_errors(error, "#/", document, self._model)) from None

    async def _judged(self, items: list[Any], document: dict[str, Any]) -> list[Any]:
        judged: list[Any] = []
        findings: list[ErrorDetails] = []
        for start in range(0, len(items), ITEMS_AT_ONCE):
            try:
                judged += self._items.validate_python(items[start : start + ITEMS_AT_ONCE])
            except ValidationError as error:
                findings += [_moved(finding, self._name, start) for finding in _findings(error)]
                if len(findings) >= ERRORS_MAX:
                    break
            await asyncio.sleep(0)
        if findings:
            raise problems.ValidationFailed(_described(findings, "#/", document, self._model))
        return judged


def _moved(finding: ErrorDetails, name: str, by: int) -> ErrorDetails:
    """A finding about some of the items as one about the body."""
    number, *inner = finding["loc"]
    return {**finding, "loc": (name, by + int(number), *inner)}
