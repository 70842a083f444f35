"""An answer of our routes as it goes out: bytes, and headers as ASGI takes them."""

from starlette.responses import Response
from starlette.types import Receive, Scope, Send


class Reply(Response):
    """An answer whose body is ready: bytes, and headers as ASGI takes them."""

    def __init__(self, status: int, body: bytes = b"", **headers: str) -> None:
        """`headers` by their names with underscores, such as `etag=...` or `location=...`."""
        self.status_code = status
        self.fields = headers
        self.body = body
        self.background = None
        self.raw_headers = [
            (name.replace("_", "-").encode(), value.encode("latin-1")) for name, value in headers.items()
        ]
        if "cache_control" not in headers:
            # Never from a shared cache, which knows no users; from the browser's own only after asking (RFC 9111).
            self.raw_headers.append((b"cache-control", b"private, no-cache"))
        if body:
            self.raw_headers += [
                (b"content-type", b"application/json"),
                (b"content-length", str(len(body)).encode()),
            ]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002 - ASGI
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        await send({"type": "http.response.body", "body": self.body})
