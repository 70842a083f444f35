"""What every error of this API has in common (RFC 9457)."""

from typing import Any, ClassVar, Literal

import orjson

MEDIA_TYPE = "application/problem+json"

# Bounds of what is shared; a problem that is raised because one is met names it, for whoever counts.
Bound = Literal[
    "requests",
    "requests_of_user",
    "connections",
    "connections_of_user",
    "bodies",
    "bodies_of_user",
    "answers",
    "answers_of_user",
    "streams",
    "idempotency",
    "stored_tasks",
    "stored_lists",
]

# As ASGI has them: lower-case names, and values.
RawHeaders = list[tuple[bytes, bytes]]


class Problem(Exception):
    """An answer with status 4xx or 5xx.

    `slug` makes the stable `type` (`urn:tasks:problem:<slug>`), `detail` is a sentence that a person can act on.
    Neither ever holds anything of the request, so that nothing leaks to whoever reads an error.
    """

    status: ClassVar[int]
    slug: ClassVar[str]
    title: ClassVar[str]
    # For docs/errors.md: why this is answered, and what whoever gets it does about it. Plain sentences.
    cause: ClassVar[str]
    remedy: ClassVar[str]
    detail: str
    # When the same request may succeed (seconds), where that is known: Retry-After (RFC 9110, section 10.2.3).
    retry_after: int | None = None
    # The bound that is met, if that is why the request was refused.
    bound: Bound | None = None

    def __init__(self, detail: str | None = None) -> None:
        if detail is not None:
            self.detail = detail
        super().__init__(self.detail)

    def headers(self) -> RawHeaders:
        """Headers that HTTP asks for beside the body, such as Allow or Retry-After."""
        return [] if self.retry_after is None else [(b"retry-after", b"%d" % self.retry_after)]

    def members(self) -> dict[str, Any]:
        """Members of the body beyond the five standard ones (RFC 9457, section 3.2)."""
        return {}

    def body(self, request_id: str) -> bytes:
        """The problem as JSON; the request id, which also names the `instance`, finds the log line."""
        document = {
            "type": f"urn:tasks:problem:{self.slug}",
            "title": self.title,
            "status": self.status,
            "detail": self.detail,
            "instance": f"urn:tasks:request:{request_id}",
            "request_id": request_id,
            **self.members(),
        }
        return orjson.dumps(document)
