"""The route of docs/reminders.md, run by Node.js, with what `scripts/deliver.py` sends."""

import asyncio
import contextlib
import json
import os
import re
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from backend.app.config import PROJECT_ROOT
from scripts.webhooks import Message, Receiver, signature
from tests.support import leaks

SECRET = leaks.secret("whsec_YSBrZXkgb2YgdGhpcnR5LXR3byBieXRlcywgb3Igc28=")
KEY = b"a key of thirty-two bytes, or so"
PATIENCE_SECONDS = 30
MESSAGE = Message(
    "u%C3%A41:7:2026-12-24T16:30:00.000000Z",
    '{"type":"task.reminder","data":{"user_id":"uä1","task_id":7,"title":"Call Ümit",'
    '"due_date":"2026-12-24"}}'.encode(),
)
# The server that Next.js is here, and a mail that is printed. The port is the first line.
SERVER = """
import { createServer } from 'node:http'
import { POST } from './app/api/reminders/route.js'
createServer(async (incoming, outgoing) => {
  const pieces = []
  for await (const piece of incoming) pieces.push(piece)
  const headers = new Headers(Object.entries(incoming.headers))
  const told = { method: 'POST', headers, body: Buffer.concat(pieces) }
  const request = new Request('http://localhost/api/reminders', told)
  const answer = await POST(request)
  outgoing.writeHead(answer.status).end()
}).listen(0, '127.0.0.1', function () { console.log(this.address().port) })
"""
MAIL = "export async function sendMail(mail) { console.log(JSON.stringify(mail)) }\n"


def documented_route() -> str:
    page = (PROJECT_ROOT / "docs/reminders.md").read_text()
    [block] = re.findall(r"^```js\n(.*?)^```", page, re.DOTALL | re.MULTILINE)
    return str(block)


@pytest.fixture
def node(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    files = {"app/api/reminders/route.js": documented_route(), "lib/mail.js": MAIL, "server.js": SERVER}
    for name, text in {**files, "package.json": '{"type": "module"}'}.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    try:
        program = subprocess.Popen(
            ["node", "server.js"], cwd=tmp_path, env={**os.environ, "REMINDER_SECRET": SECRET},
            stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
    except FileNotFoundError:
        pytest.skip("Node.js is not here: the route of docs/reminders.md is not tried.")
    with program:
        try:
            yield program
        finally:
            program.kill()


def port_of(node: subprocess.Popen[str]) -> int:
    assert node.stdout is not None
    return int(node.stdout.readline())


def test_the_documented_route_verifies_and_sends_the_mail(node: subprocess.Popen[str]) -> None:
    """What the program sends is taken; what is forged, changed, or repeated much later is not."""
    url = f"http://127.0.0.1:{port_of(node)}/api/reminders"

    async def send(key: bytes) -> str | None:
        async with httpx.AsyncClient() as client:
            return await Receiver(url, key, timeout=PATIENCE_SECONDS, client=client).send(MESSAGE)

    def post(**headers: str) -> int:
        named = {f"webhook-{name}": value for name, value in headers.items()}
        return httpx.post(url, content=MESSAGE.body, headers=named, timeout=PATIENCE_SECONDS).status_code

    taken = asyncio.run(send(KEY))
    forged = asyncio.run(send(KEY[::-1]))
    late = post(id=MESSAGE.id, timestamp="1000", signature=signature(KEY, MESSAGE, 1000))
    statuses = [late, post(), post(id=MESSAGE.id, timestamp="soon", signature="v1,")]
    assert node.stdout is not None
    mail = json.loads(node.stdout.readline())
    node.kill()

    assert (taken, forged, statuses) == (None, "status 401", [401, 401, 401])
    assert mail == {"id": MESSAGE.id, "userId": "uä1", "subject": "Reminder: Call Ümit", "due": "2026-12-24"}
    assert node.stdout.read() == ""


def test_a_rotated_secret_signs_beside_the_old_one(node: subprocess.Popen[str]) -> None:
    """Standard Webhooks: several signatures in one header, of which one is enough."""
    url = f"http://127.0.0.1:{port_of(node)}/api/reminders"
    now = int(time.time())
    both = f"{signature(KEY[::-1], MESSAGE, now)} {signature(KEY, MESSAGE, now)}"
    headers = {"webhook-id": MESSAGE.id, "webhook-timestamp": str(now), "webhook-signature": both}

    with contextlib.closing(httpx.Client(timeout=PATIENCE_SECONDS)) as client:
        assert client.post(url, content=MESSAGE.body, headers=headers).status_code == 204


def test_the_documented_route_is_short() -> None:
    """The fifteen lines that somebody copies."""
    lines = [line for line in documented_route().splitlines() if line.strip()]

    assert len(lines) <= 15
