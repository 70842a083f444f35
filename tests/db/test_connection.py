"""A connection without a database."""

import asyncio

from backend.app.db.connection import wake


async def test_a_socket_that_is_ready_twice_wakes_once() -> None:
    """The event loop may tell of it again before the waiter has run."""
    ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    wake(ready)
    wake(ready)

    assert ready.done()
