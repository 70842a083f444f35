"""A connection's transport as the protocol uses it: one system call for an answer, and no end of waiting for readers.

Stands between uvicorn's protocol and the event loop's transport. Knows no HTTP but that an answer begins with its head.
"""

import asyncio
import socket
import struct
from typing import Any, Final

CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"
# SO_LINGER's two numbers: it is on, and waits for no second. What is not sent yet is dropped, and the peer hears of it.
RESET: Final = struct.pack("ii", 1, 0)
# How often a connection is looked at within the time that its client has to read something.
LOOKS_PER_TIMEOUT: Final = 2


class ResponseTransport(asyncio.Transport):
    """Sends an answer's head together with the first piece of its body, where uvicorn makes two system calls.

    The second call costs as much as all of our own code. ASGI asks for the same: no byte of an answer is sent before
    the first `http.response.body`.
    """

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop, send_timeout: float) -> None:
        """A client that reads nothing of what it was sent for `send_timeout` seconds loses the connection."""
        self.wrapped = transport
        self._loop = loop
        self._head: bytes | None = None
        self._head_sent = False
        self._paused = False
        self._held = False
        self._written = 0
        # How many bytes had left at the last look; None where nothing was waiting.
        self._sent: int | None = None
        # Whether the end of the connection, which is the end of the answer, would come too early now.
        self.reset_on_close = False
        self._send_timeout = send_timeout
        self._moved_at = loop.time()
        self._watching = loop.call_later(send_timeout / LOOKS_PER_TIMEOUT, self._watch)

    def write(self, data: Any) -> None:
        self._written += len(data)
        if self._head is not None:
            head, self._head, self._head_sent = self._head, None, True
            self.wrapped.writelines((head, data))
        elif self._head_sent or data == CONTINUE:
            self.wrapped.write(data)
        else:
            self._head = data

    def flush(self) -> None:
        """Send a head that is kept: the answer has no body, or the connection ends."""
        if self._head is not None:
            head, self._head, self._head_sent = self._head, None, True
            self.wrapped.write(head)

    def complete_response(self) -> None:
        """The next that is written is another answer's head."""
        self.flush()
        self._head_sent = False

    def pause_reading(self) -> None:
        self._paused = True
        self.wrapped.pause_reading()

    def resume_reading(self) -> None:
        self._paused = False
        if not self._held:
            self.wrapped.resume_reading()

    def hold_reading(self, held: bool) -> None:
        """While it is held, nothing is read, whoever resumes it."""
        if held == self._held:
            return
        self._held = held
        if held:
            self.wrapped.pause_reading()
        elif not self._paused and not self.is_closing():
            self.wrapped.resume_reading()

    def close(self) -> None:
        if self.reset_on_close:
            self.wrapped.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            self.wrapped.abort()
            return
        self.flush()
        self.wrapped.close()

    def is_closing(self) -> bool:
        return self.wrapped.is_closing()

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return self.wrapped.get_extra_info(name, default)

    def stop_watching(self) -> None:
        """The connection is gone, or another protocol's."""
        self._watching.cancel()

    def _watch(self) -> None:
        """Abort when the client has read nothing for too long; a connection that was closed is watched on."""
        now, waiting = self._loop.time(), self.wrapped.get_write_buffer_size()
        sent = self._written - waiting
        if not waiting or sent != self._sent:
            self._sent, self._moved_at = sent if waiting else None, now
        elif now - self._moved_at >= self._send_timeout:
            self.wrapped.abort()
            return
        self._watching = self._loop.call_later(self._send_timeout / LOOKS_PER_TIMEOUT, self._watch)
