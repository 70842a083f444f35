"""A process ends: a client that has connected is accepted, every other one is refused, and none is reset."""

import asyncio
import errno
import multiprocessing
import select
import signal
import socket
import sys
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from backend.app.server import shutdown
from backend.app.server.protocol import Protocol
from tests.support.programs import PATIENCE_SECONDS, until

linux = pytest.mark.skipif(sys.platform != "linux", reason="only Linux filters packets of a socket")


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield listening


class Uvicorn:
    """What is known of a server that listens here and was told to end."""

    def __init__(self, *listening: socket.socket, http: Any = Protocol, fd: int | None = None) -> None:
        self.should_exit = False
        self.config = SimpleNamespace(http_protocol_class=http, fd=fd)
        self.servers = [SimpleNamespace(sockets=[each]) for each in listening]
        self.told: list[int] = []

    def handle_exit(self, received: int, _: Any) -> None:
        self.should_exit = True
        self.told.append(received)


@pytest.fixture
def handled() -> Iterator[None]:
    before = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, before)


@linux
def test_no_connection_is_reset(listener: socket.socket) -> None:
    """One that waits with a request is accepted; a later one hears nothing, and is refused in the end."""
    address = listener.getsockname()
    with socket.create_connection(address, PATIENCE_SECONDS) as early, socket.socket() as later:
        early.sendall(b"a request")
        assert shutdown.refuse_new_connections([listener.fileno()])
        later.setblocking(False)
        later.connect_ex(address)
        assert shutdown.connections_wait([listener.fileno()])
        accepted, _ = listener.accept()
        with accepted:
            assert accepted.recv(100) == b"a request"
        assert not shutdown.connections_wait([listener.fileno()])
        assert select.select([], [later], [], 0)[1] == []
        listener.close()
        assert select.select([], [later], [], PATIENCE_SECONDS)[1] == [later]

        assert later.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == errno.ECONNREFUSED


@linux
async def test_the_server_is_told_when_every_connection_was_accepted(listener: socket.socket, handled: None) -> None:
    """Not before: it would reset them."""
    server, ending = Uvicorn(listener), asyncio.Event()
    signal.signal(signal.SIGTERM, server.handle_exit)
    with shutdown.graceful_shutdown(ending.set), socket.create_connection(listener.getsockname(), PATIENCE_SECONDS):
        signal.raise_signal(signal.SIGTERM)
        await asyncio.wait_for(ending.wait(), PATIENCE_SECONDS)
        await asyncio.sleep(2 * shutdown.OPENING_SECONDS)
        assert not server.told
        listener.accept()[0].close()
        await asyncio.to_thread(until, lambda: server.told)

    assert server.told == [signal.SIGTERM]
    assert signal.getsignal(signal.SIGTERM) == server.handle_exit


async def test_without_a_filter_the_server_is_told_at_once(
    listener: socket.socket, handled: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On another system, and in a sandbox that does not let it."""
    monkeypatch.setattr(shutdown, "SO_ATTACH_FILTER", 0x7FFF)
    server = Uvicorn(listener)
    signal.signal(signal.SIGTERM, server.handle_exit)
    with shutdown.graceful_shutdown(lambda: None):
        signal.raise_signal(signal.SIGTERM)
        assert server.told == [signal.SIGTERM]


def test_only_its_own_listeners_are_filtered(listener: socket.socket, monkeypatch: pytest.MonkeyPatch) -> None:
    """Others go on accepting from those that are inherited or shared; a unix socket has no packets."""
    with socket.socket(socket.AF_UNIX) as local:
        table = {
            "alone": (Uvicorn(listener), [listener.fileno()]),
            "another protocol, as gunicorn has": (Uvicorn(listener, http=HttpToolsProtocol), []),
            "systemd's socket": (Uvicorn(listener, fd=3), []),
            "a unix socket": (Uvicorn(local), []),
            "a server without a configuration": (SimpleNamespace(should_exit=False), []),
        }
        assert {name: shutdown.own_listeners(server) for name, (server, _) in table.items()} == {
            name: listeners for name, (_, listeners) in table.items()
        }
        monkeypatch.setattr(multiprocessing, "parent_process", object)
        assert shutdown.own_listeners(Uvicorn(listener)) == []
