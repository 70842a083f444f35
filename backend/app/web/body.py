"""How a body is read: media type, size and JSON."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import orjson
from pydantic import BaseModel, ValidationError
from starlette.requests import Request
from starlette.types import Receive

from backend.app import problems
from backend.app.web.headers import is_media_type
from backend.app.web.services import services_of
from backend.app.web.validation import _errors

JSON = "application/json"
MERGE_PATCH = "application/merge-patch+json"
LENGTH_MAX_DIGITS: Final = 18
NO_BODY: Final = object()
BODY_LIMIT: Final = "max_body_bytes"


@dataclass(frozen=True, slots=True)
class MediaTypes:
    """Annotates a body that may be sent as something beside application/json."""

    accepted: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class BodyLimit:
    """Annotates a body with a size limit of its own: the name of the setting.

    Such a body may take long to look through, which is done beside the event loop.
    """

    setting: str


@dataclass(frozen=True, slots=True)
class _Body:
    name: str
    model: type[BaseModel]
    optional: bool
    accepted: tuple[str, ...]
    limit: str

    @property
    def is_long(self) -> bool:
        return self.limit != BODY_LIMIT

    async def read(self, request: Request) -> Any:
        """The JSON document, or NO_BODY: 413 as soon as it is too large, 415 unread where the headers say so."""
        headers = request.scope["headers"]
        limit: int = getattr(services_of(request.scope).settings, self.limit)
        if _announced_length(headers) > limit:
            raise problems.BodyTooLarge(limit)
        acceptable = _is_json(headers, self.accepted)
        if not acceptable and not self.optional:
            raise problems.UnsupportedMediaType(self.accepted)
        body = await _read(request.receive, limit)
        if not body and self.optional:
            return NO_BODY
        if not acceptable:
            raise problems.UnsupportedMediaType(self.accepted)
        try:
            return orjson.loads(body)
        except orjson.JSONDecodeError:
            raise problems.MalformedJSON from None

    def validate(self, document: Any) -> BaseModel | None:
        if document is NO_BODY:
            return None
        try:
            return self.model.model_validate(document)
        except ValidationError as error:
            raise problems.ValidationFailed(_errors(error, "#/", document)) from None


def _announced_length(headers: list[tuple[bytes, bytes]]) -> int:
    announced = next((value for name, value in headers if name == b"content-length"), b"0")
    if not announced.isdigit() or len(announced) > LENGTH_MAX_DIGITS:
        raise problems.MalformedRequest("Content-Length must be a number of bytes.")
    return int(announced)


async def _read(receive: Receive, limit: int) -> bytes:
    pieces: list[bytes] = []
    size, more = 0, True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise problems.MalformedRequest("The body ended early.")
        pieces.append(message.get("body", b""))
        size += len(pieces[-1])
        if size > limit:
            raise problems.BodyTooLarge(limit)
        more = message.get("more_body", False)
    return b"".join(pieces)


def _is_json(headers: list[tuple[bytes, bytes]], accepted: tuple[str, ...]) -> bool:
    fields: Mapping[bytes, bytes] = dict(headers)
    content_type = fields.get(b"content-type", b"").decode("latin-1")
    return is_media_type(content_type, accepted) and (
        fields.get(b"content-encoding", b"identity").strip().lower() == b"identity"
    )
