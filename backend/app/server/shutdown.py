"""Graceful shutdown: a client that has connected is answered, and every other one is refused at once.

uvicorn closes its listening socket at once, and the system resets the connections that wait to be accepted, some with a
request on them. A proxy cannot know whether those were read; what was refused it may safely send elsewhere.
"""

import array
import asyncio
import contextlib
import multiprocessing
import select
import signal
import socket
import struct
from collections.abc import Callable, Iterator
from typing import Any, Final

from backend.app.server.protocol import Protocol

# From asm-generic/socket.h; Python has no name for it.
SO_ATTACH_FILTER: Final = 26
# Drops what would open a connection (SYN without ACK) and lets all else pass: classic BPF, as in Linux'
# Documentation/networking/filter.rst. The flags are the 14th byte of a TCP header.
NO_NEW_CONNECTIONS: Final = (
    (0x30, 0, 0, 13),  # load that byte
    (0x54, 0, 0, 0x12),  # keep SYN and ACK of it
    (0x15, 0, 1, 0x02),  # SYN alone?
    (0x06, 0, 0, 0),  # then drop it: the client repeats it a second later, and is refused
    (0x06, 0, 0, 0xFFFF),
)
# How long a connection may take from its first packet until it waits to be accepted, and how often this is looked at.
OPENING_SECONDS: Final = 0.1
LOOK_AGAIN_SECONDS: Final = 0.01


@contextlib.contextmanager
def graceful_shutdown(before_refusing: Callable[[], None]) -> Iterator[None]:
    """On uvicorn's signals call `before_refusing`, refuse new connections, and then have uvicorn end.

    uvicorn waits for the answers that are under way.
    """
    loop = asyncio.get_running_loop()
    installed: dict[signal.Signals, tuple[Any, Any]] = {}
    for number in (signal.SIGTERM, signal.SIGINT):
        before: Any = signal.getsignal(number)
        server = getattr(before, "__self__", None)
        # Nobody else's handlers: a test runner's, say, are its own affair.
        if hasattr(server, "should_exit"):

            def shut_down(received: int, frame: Any, before: Any = before, server: Any = server) -> None:
                loop.call_soon_threadsafe(before_refusing)
                listeners = own_listeners(server)
                if refuse_new_connections(listeners):
                    loop.call_soon_threadsafe(
                        loop.call_later, OPENING_SECONDS, _when_all_are_accepted, listeners, before, received
                    )
                else:
                    before(received, frame)

            installed[number] = (before, shut_down)
            signal.signal(number, shut_down)
    try:
        yield
    finally:
        for number, (before, ours) in installed.items():
            if signal.getsignal(number) is ours:
                signal.signal(number, before)


def own_listeners(server: Any) -> list[int]:
    """The listening sockets (TCP) that end with this process. Those that others accept from too must stay as they are.

    Our protocol, chosen with `--http`, says that the server was started as `deploy/` does, and not by gunicorn, which
    shares its sockets.
    """
    config: Any = getattr(server, "config", None)
    http = getattr(config, "http_protocol_class", None)
    if http is not Protocol or config.fd is not None or multiprocessing.parent_process() is not None:
        return []
    sockets = [each for listening in getattr(server, "servers", ()) for each in listening.sockets]
    return [each.fileno() for each in sockets if each.family in (socket.AF_INET, socket.AF_INET6)]


def refuse_new_connections(listeners: list[int]) -> bool:
    """Have the system let no further connection begin; False where it cannot (it is not Linux, or a sandbox)."""
    steps = array.array("B", b"".join(struct.pack("=HBBI", *step) for step in NO_NEW_CONNECTIONS))
    program = struct.pack("@HP", len(NO_NEW_CONNECTIONS), steps.buffer_info()[0])
    try:
        for listener in listeners:
            with socket.socket(fileno=socket.dup(listener)) as listening:
                listening.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, program)
    except OSError:
        return False
    return bool(listeners)


def _when_all_are_accepted(listeners: list[int], before: Any, received: int) -> None:
    """Hand the signal on as soon as every connection has been accepted."""
    if connections_wait(listeners):
        asyncio.get_running_loop().call_later(LOOK_AGAIN_SECONDS, _when_all_are_accepted, listeners, before, received)
    else:
        before(received, None)


def connections_wait(listeners: list[int]) -> bool:
    """Whether a connection waits to be accepted."""
    poll = select.poll()
    for listener in listeners:
        poll.register(listener, select.POLLIN)
    return any(event & select.POLLIN for _, event in poll.poll(0))
