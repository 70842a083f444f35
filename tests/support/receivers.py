"""Receivers of webhooks that are good, slow, broken, or lie; each notes what it was sent."""

import contextlib
import json
import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

PATIENCE_SECONDS = 30.0

# What a receiver does with a connection once it has read the request.
Behaviour = Callable[[socket.socket], None]


@dataclass(frozen=True, slots=True)
class Received:
    """A request: its headers by lower-case names, and its body as it came."""

    line: str
    headers: dict[str, str]
    body: bytes

    @property
    def data(self) -> dict[str, Any]:
        told: dict[str, Any] = json.loads(self.body)["data"]
        return told


def answering(status: str, *headers: str) -> Behaviour:
    text = "\r\n".join((f"HTTP/1.1 {status}", "Content-Length: 0", "Connection: close", *headers, "", ""))
    return lambda connection: connection.sendall(text.encode())


def silent(connection: socket.socket) -> None:
    """Answers nothing until the other side gives up."""
    connection.recv(1)


def dripping(connection: socket.socket) -> None:
    """Begins to answer, and never ends: each piece comes before a time limit for a single read would be over."""
    stop = threading.Event()
    with contextlib.suppress(OSError):
        for _ in range(1000):
            connection.sendall(b"H" if _ == 0 else b"T")
            if stop.wait(0.05):
                return


def lying(connection: socket.socket) -> None:
    """Not HTTP."""
    connection.sendall(b"SSH-2.0-OpenSSH_9.9\r\n\r\n")


def closing(connection: socket.socket) -> None:
    """Takes the message and says nothing."""


TAKEN = answering("204 No Content")


@dataclass
class Receiver:
    """Listens on loopback; does with each request what `behaviour` says at that moment, or `by_task` for its task."""

    behaviour: Behaviour = TAKEN
    by_task: dict[int, Behaviour] = field(default_factory=dict)
    received: list[Received] = field(default_factory=list)
    port: int = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/api/reminders"

    def ids(self) -> list[str]:
        return [one.headers["webhook-id"] for one in self.received]

    def serve(self, connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):
            connection.settimeout(PATIENCE_SECONDS)
            received = _read(connection)
            self.received.append(received)
            self.by_task.get(received.data["task_id"], self.behaviour)(connection)


def _read(connection: socket.socket) -> Received:
    text = b""
    while b"\r\n\r\n" not in text:
        text += connection.recv(65536)
    head, _, body = text.partition(b"\r\n\r\n")
    line, *rest = head.decode().split("\r\n")
    headers = {name.lower(): value for name, _, value in (one.partition(": ") for one in rest)}
    while len(body) < int(headers["content-length"]):
        body += connection.recv(65536)
    return Received(line, headers, body)


@contextlib.contextmanager
def receiver(behaviour: Behaviour = TAKEN) -> Iterator[Receiver]:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        found = Receiver(behaviour, port=listening.getsockname()[1])

        def accept() -> None:
            with contextlib.suppress(OSError):
                while True:
                    connection, _ = listening.accept()
                    threading.Thread(target=found.serve, args=(connection,), daemon=True).start()

        thread = threading.Thread(target=accept, daemon=True)
        thread.start()
        yield found
        # Closing alone would leave accept() waiting.
        listening.shutdown(socket.SHUT_RDWR)
    thread.join(PATIENCE_SECONDS)
