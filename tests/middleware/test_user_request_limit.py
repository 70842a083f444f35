"""How many requests one user may have under way."""

import asyncio

import pytest
from starlette.types import Receive, Scope, Send

from backend.app import problems
from backend.app.auth.principal import Principal
from backend.app.middleware.limits import UserRequestLimit
from backend.app.web.deadlines import DEADLINE, Deadlines


class Place:
    """Requests that are under way until they are told to end."""

    def __init__(self, most: int) -> None:
        self.deadlines = Deadlines(60)
        self.go_on = asyncio.Event()
        self.middleware = UserRequestLimit(self.app, max_requests=most)

    async def app(self, scope: Scope, _receive: Receive, _send: Send) -> None:
        if scope.get("pauses"):
            scope[DEADLINE].stop()
        await self.go_on.wait()

    async def request(self, user_id: str | None, *, pauses: bool = False) -> None:
        deadline = self.deadlines.start()
        state = {} if user_id is None else {"principal": Principal(user_id)}
        scope = {"type": "http", "state": state, DEADLINE: deadline, "pauses": pauses}
        try:
            await self.middleware(scope, _receive, _send)
        finally:
            deadline.stop()


async def _receive() -> dict[str, object]:
    return {}


async def _send(_: object) -> None: ...


async def started(place: Place, *users: str | None, pauses: bool = False) -> list[asyncio.Task[None]]:
    tasks = [asyncio.create_task(place.request(user, pauses=pauses)) for user in users]
    await asyncio.sleep(0)
    return tasks


async def test_a_user_takes_no_more_than_their_places() -> None:
    """One request more is refused; another user's is not, nor one without a user."""
    place = Place(most=2)
    tasks = await started(place, "a", "a", "b", None, None, None)

    with pytest.raises(problems.TooManyRequestsOfUser):
        await place.request("a")

    place.go_on.set()
    await asyncio.gather(*tasks)
    await place.request("a")


async def test_a_stream_that_waits_takes_none() -> None:
    """Streams have a limit of their own."""
    place = Place(most=1)
    tasks = [*await started(place, "a", "a", "a", pauses=True), *await started(place, "a")]

    with pytest.raises(problems.TooManyRequestsOfUser):
        await place.request("a")

    place.go_on.set()
    await asyncio.gather(*tasks)
