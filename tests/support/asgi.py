"""Middleware asked as bare ASGI: what is between it and the server, with a small application behind it."""

from typing import Any

from starlette.types import Message, Receive, Scope, Send

from backend.app.middleware.access_log import AccessLogMiddleware
from backend.app.middleware.errors import ErrorsMiddleware


async def ask(app: Any, *headers: tuple[bytes, bytes], method: str = "GET") -> list[Message]:
    """What is answered to a request whose errors are answered, and which is logged."""
    sent: list[Message] = []

    async def receive() -> Message:
        return {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        sent.append(message)

    scope: Scope = {"type": "http", "method": method, "path": "/", "headers": list(headers)}
    await ErrorsMiddleware(AccessLogMiddleware(app))(scope, receive, send)
    return sent


async def fine(scope: Scope, receive: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": [(b"x-own", b"1")]})
    await send({"type": "http.response.body", "body": scope["state"]["request_id"].encode()})


def failing(error: BaseException) -> Any:
    async def fails(scope: Scope, receive: Receive, send: Send) -> None:
        raise error

    return fails
