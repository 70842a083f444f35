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
from backend.app.web.validation import errors_of, models_of

JSON = "application/json"
MERGE_PATCH = "application/merge-patch+json"
LENGTH_MAX_DIGITS: Final = 18
NO_BODY: Final = object()
BODY_LIMIT: Final = "max_body_bytes"
# Editors and PowerShell write it before a file in UTF-8, where it may be ignored (RFC 8259, section 8.1).
BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"
NO_CODING: Final = (b"", b"identity")


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


class BodyReader:
    """The body that a handler takes: how it is read, and as which model it is validated."""

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
        limit = self._limit_of(request)
        announced = _announced_length(request.scope["headers"])
        if (announced or 0) > limit:
            raise problems.BodyTooLarge(limit)
        if not self.optional:
            self._check_kind(request)
        return limit if announced is None else announced

    async def read(self, request: Request, place: BodyPlace | None = None) -> Any:
        """The JSON document, or NO_BODY: 413 as soon as it is too large, 415 unread where the headers say so.

        A body that has a `place` waits for its turn before it is parsed.
        """
        self.size_at_most(request)
        body = await _read(request.receive, self._limit_of(request))
        if (turn := turn_of(request)) is not None:
            await turn
        if not body and self.optional:
            return NO_BODY
        if self.optional:
            self._check_kind(request)
        if self._others is not None and body.startswith(BYTE_ORDER_MARK):
            del body[: len(BYTE_ORDER_MARK)]
        if place is not None:
            await place.start()
        foreign = None if self._others is None else await _read_foreign(self._others, request, body)
        if foreign is not None:
            return foreign
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
            raise problems.ValidationFailed(errors_of(error, "#/", document, self._models)) from None

    @staticmethod
    def contents_of(document: Any) -> Any:
        """What makes two documents the same, of one that `read` gave."""
        return document.contents if isinstance(document, LongDocument | ForeignDocument) else document

    def _check_kind(self, request: Request) -> None:
        """Raises UnsupportedMediaType unless the body is of a kind that is read, in UTF-8, and not compressed."""
        fields = dict(request.scope["headers"])
        is_coded = fields.get(b"content-encoding", b"").strip().lower() not in NO_CODING
        if is_coded or not is_media_type(_content_type(fields), self.accepted):
            of_patch = request.scope["method"] == "PATCH"
            raise problems.UnsupportedMediaType(self.accepted, of_patch=of_patch, of_coding=is_coded)

    def _limit_of(self, request: Request) -> int:
        limit: int = getattr(services_of(request.scope).settings, self.limit)
        return limit


async def _read_foreign(others: OtherApps, request: Request, body: bytearray) -> ForeignDocument | None:
    """The body as a file of another app; None for one of our own. Raises BodyTooLarge, and as a file's reader does."""
    read = others.reader(_content_type(dict(request.scope["headers"])), body)
    if read is None:
        return None
    settings = services_of(request.scope).settings
    limit: int = getattr(settings, others.setting)
    if len(body) > limit:
        raise problems.BodyTooLarge(limit)
    return await ForeignDocument.read(read, body, _steps_of(request), max_subtasks=settings.max_subtasks)


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


def _content_type(fields: Mapping[bytes, bytes]) -> str:
    return fields.get(b"content-type", b"").decode("latin-1")
