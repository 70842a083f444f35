"""What becomes of a server that was started without our protocol."""

import signal
import socket
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from backend.app.server import process
from backend.app.server.protocol import Protocol, UnchosenProtocol
from tests.support.programs import PATIENCE_SECONDS, clone, free_port, serving


@pytest.fixture
def handled() -> Iterator[None]:
    before = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, before)


class Uvicorn:
    """As much of a server as is reached through its signal handler."""

    def __init__(self, http: Any) -> None:
        self.config = SimpleNamespace(http_protocol_class=http)

    def handle_exit(self, *_: Any) -> None:
        raise AssertionError


@pytest.mark.parametrize(
    ("loaded", "used"), [(HttpToolsProtocol, UnchosenProtocol), (Protocol, Protocol), (H11Protocol, H11Protocol)]
)
def test_our_protocol_replaces_uvicorns_usual_one(loaded: type, used: type, handled: None) -> None:
    """What somebody chose otherwise stays."""
    server = Uvicorn(loaded)
    signal.signal(signal.SIGTERM, server.handle_exit)

    process.use_own_protocol()

    assert server.config.http_protocol_class is used


def test_another_programs_signals_are_left_alone(handled: None) -> None:
    """A test runner's, say."""
    signal.signal(signal.SIGTERM, signal.SIG_DFL)

    process.use_own_protocol()

    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


def test_a_plain_uvicorn_has_our_limits(tmp_path: Path) -> None:
    """`uvicorn backend.app.main:app` refuses a request with two hosts, which uvicorn's own protocol answers."""
    port = free_port()
    with (
        serving(clone(tmp_path), port),
        socket.create_connection(("127.0.0.1", port), PATIENCE_SECONDS) as connection,
        connection.makefile("rb") as answer,
    ):
        connection.sendall(b"GET /health HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n")

        assert answer.readline() == b"HTTP/1.1 400 Bad Request\r\n"
