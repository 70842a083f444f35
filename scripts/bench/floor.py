"""The floor: the same bytes from the same server, with nothing behind them.

FLOOR_ANSWERS names a file with the project's own answers (JSON: status, headers and body of `list` and `refused`).
"""

import json
import os
from pathlib import Path
from typing import Any

from starlette.types import Receive, Scope, Send


def recorded(answer: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    headers = [(name.encode(), value.encode()) for name, value in answer["headers"]]
    start = {"type": "http.response.start", "status": answer["status"], "headers": headers}
    return start, {"type": "http.response.body", "body": answer["body"].encode()}


ANSWERS = json.loads(Path(os.environ["FLOOR_ANSWERS"]).read_text())
LIST, REFUSED = recorded(ANSWERS["list"]), recorded(ANSWERS["refused"])


async def app(scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG001 - ASGI
    if scope["type"] != "http":
        return
    authorized = any(name == b"authorization" for name, _ in scope["headers"])
    for message in LIST if authorized else REFUSED:
        await send(message)
