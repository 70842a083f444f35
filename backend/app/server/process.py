"""What a server process owes its machine and its clients.

Rare garbage collection, an end when its supervisor is gone, and our own protocol however uvicorn was started.
"""

import asyncio
import contextlib
import gc
import multiprocessing
import signal
from collections.abc import Iterator
from typing import Any, Final

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from backend.app.server.protocol import UnchosenProtocol

# After so many new objects, and collections of the younger generations, the collector runs (gc.set_threshold).
GARBAGE_THRESHOLDS: Final = (20_000, 5, 80)


@contextlib.contextmanager
def rare_garbage_collection() -> Iterator[None]:
    """Spare the collector what lives as long as the process, and most of its runs: requests make no cycles."""
    gc.freeze()
    gc.set_threshold(*GARBAGE_THRESHOLDS)
    try:
        yield
    finally:
        gc.unfreeze()


def use_own_protocol() -> None:
    """Speak our protocol, too, where uvicorn was started without `--http`: its own has no limits (server/protocol.py).

    uvicorn makes a protocol of this class for each connection, and accepts the first one after the lifespan has begun.
    """
    server = getattr(signal.getsignal(signal.SIGTERM), "__self__", None)
    config: Any = getattr(server, "config", None)
    if getattr(config, "http_protocol_class", None) is HttpToolsProtocol:
        config.http_protocol_class = UnchosenProtocol


def end_with_parent() -> None:
    """End when uvicorn's reloader or supervisor was killed: its processes would live on and keep the port."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        asyncio.get_running_loop().add_reader(parent.sentinel, _parent_ended, parent.sentinel)


def _parent_ended(sentinel: int) -> None:
    asyncio.get_running_loop().remove_reader(sentinel)
    end()


def end() -> None:
    """End this process as its server would, with all that is under way answered."""
    signal.raise_signal(signal.SIGTERM)
