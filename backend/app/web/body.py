"""How a body is read: media type, size and JSON."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import orjson
from pydantic import BaseModel, ValidationError
from starlette.requests import Request
from starlette.types import Receive

from backend.app import problems
from backend.app.web.body_room import BodyPlace
from backend.app.web.foreign.formats import BY_MEDIA_TYPE, ForeignDocument, OtherApps
from backend.app.web.headers import is_media_type
from backend.app.web.long_body import LongBody, LongDocument
from backend.app.web.request_turns import turn_of
from backend.app.web.services import services_of
from backend.app.web.turns import Steps
from backend.app.web.validation import _errors, models_of

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

    Such a body has lists of many items. It needs room (body_room.py) and is judged in steps (long_body.py).
    """

    setting: str


class _Body:
    def __init__(
        self,
        name: str,
        model: type[BaseModel],
        *,
        optional: bool,
        accepted: tuple[str, ...],
        limit: str,
        others: OtherApps | None = None,
    ) -> None:
        """`limit` is the name of the setting that bounds the body's size."""
        self.name = name
        self.model = model
        self.optional = optional
        self.accepted = accepted if others is None else (*accepted, *BY_MEDIA_TYPE)
        self._others = others
        self.limit = limit
        self.is_long = limit != BODY_LIMIT
        self._long = LongBody(model) if self.is_long else None
        self._models = models_of(model)

    def size_at_most(self, request: Request) -> int:
        """How many bytes the body may have: those announced, or else as many as the setting allows.

        Raises BodyTooLarge and UnsupportedMediaType, as far as the headers tell.
        """
        headers, limit = request.scope["headers"], self._limit_of(request)
        announced = _announced_length(headers)
        if (announced or 0) > limit:
            raise problems.BodyTooLarge(limit)
        if not self.optional and not _is_json(headers, self.accepted):
            raise problems.UnsupportedMediaType(self.accepted)
        return limit if announced is None else announced

    async def read(self, request: Request, place: BodyPlace | None = None) -> Any:
        """The JSON document, or NO_BODY: 413 as soon as it is too large, 415 unread where the headers say so.

        A body that has a `place` waits for its turn before it is parsed.
        """
        self.size_at_most(request)
        body = await _read(request.receive, self._limit_of(request))
        if not self.is_long and (turn := turn_of(request)) is not None:
            await turn
        if not body and self.optional:
            return NO_BODY
        if self.optional and not _is_json(request.scope["headers"], self.accepted):
            raise problems.UnsupportedMediaType(self.accepted)
        if place is not None:
            await place.start()
        if self._others is not None and (read := self._others.reader(_content_type(request), body)):
            settings = services_of(request.scope).settings
            if len(body) > (most := getattr(settings, self._others.setting)):
                raise problems.BodyTooLarge(most)
            return await ForeignDocument.read(read, body, _steps_of(request), max_subtasks=settings.max_subtasks)
        if self._long is not None:
            document = await self._long.parse(body, _steps_of(request))
            if place is not None:
                place.on_exit(document.forget)
            return document
        try:
            return orjson.loads(body)
        except orjson.JSONDecodeError:
            raise problems.MalformedJSON from None

    async def validate(self, document: Any) -> BaseModel | None:
        """Raises ValidationFailed."""
        if document is NO_BODY:
            return None
        if isinstance(document, ForeignDocument):
            return document.archive
        if self._long is not None and isinstance(document, LongDocument):
            return await self._long.validate(document)
        try:
            return self.model.model_validate(document)
        except ValidationError as error:
            raise problems.ValidationFailed(_errors(error, "#/", document, self._models)) from None

    @staticmethod
    def contents_of(document: Any) -> Any:
        """What makes two documents the same, of one that `read` gave."""
        return document.contents if isinstance(document, LongDocument | ForeignDocument) else document

    def _limit_of(self, request: Request) -> int:
        limit: int = getattr(services_of(request.scope).settings, self.limit)
        return limit


def _steps_of(request: Request) -> Steps:
    return services_of(request.scope).turns.of(request.state.principal.user_id)


def _announced_length(headers: list[tuple[bytes, bytes]]) -> int | None:
    announced = next((value for name, value in headers if name == b"content-length"), None)
    if announced is None:
        return None
    if not announced.isdigit() or len(announced) > LENGTH_MAX_DIGITS:
        raise problems.MalformedRequest("Content-Length must be a number of bytes.")
    return int(announced)


async def _read(receive: Receive, limit: int) -> bytearray:
    body, more = bytearray(), True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise problems.MalformedRequest("The body ended early.")
        body += message.get("body", b"")
        if len(body) > limit:
            raise problems.BodyTooLarge(limit)
        more = message.get("more_body", False)
    return body


def _content_type(request: Request) -> str:
    fields: Mapping[bytes, bytes] = dict(request.scope["headers"])
    return fields.get(b"content-type", b"").decode("latin-1")


def _is_json(headers: list[tuple[bytes, bytes]], accepted: tuple[str, ...]) -> bool:
    fields: Mapping[bytes, bytes] = dict(headers)
    content_type = fields.get(b"content-type", b"").decode("latin-1")
    return is_media_type(content_type, accepted) and (
        fields.get(b"content-encoding", b"identity").strip().lower() == b"identity"
    )
