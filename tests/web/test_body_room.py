"""Room for large bodies: bytes and turns, together and per user."""

import asyncio

import pytest

from backend.app import problems
from backend.app.web.body_room import SMALL_BODY_BYTES, BodyRoom

SIZE = 2 * SMALL_BODY_BYTES


def room(wait_timeout: float = 5.0) -> BodyRoom:
    return BodyRoom(max_bytes=3 * SIZE, max_bytes_per_user=SIZE, max_at_once=2, wait_timeout=wait_timeout)


class Request:
    """A request with a body, which is under way until it is told to end."""

    def __init__(self, room: BodyRoom, user_id: str, size: int = SIZE) -> None:
        self.has_room = asyncio.Event()
        self.works = asyncio.Event()
        self.read = asyncio.Event()
        self.answered = asyncio.Event()
        self.task = asyncio.create_task(self._run(room, user_id, size))

    async def _run(self, room: BodyRoom, user_id: str, size: int) -> None:
        async with room.entered(user_id, size) as place:
            self.has_room.set()
            await self.read.wait()
            if place is not None:
                await place.start()
            self.works.set()
            await self.answered.wait()

    async def end(self) -> None:
        self.read.set()
        self.answered.set()
        await self.task


async def settled() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_a_user_has_room_for_one_largest_body() -> None:
    """The second is refused at once until the first is answered; another user's is not."""
    here = room()
    first, other = Request(here, "a"), Request(here, "b")
    await settled()
    assert [one.has_room.is_set() for one in (first, other)] == [True, True]

    with pytest.raises(problems.TooManyRequestsOfUser) as refused:
        await Request(here, "a").task
    assert refused.value.bound == "bodies_of_user"

    await first.end()
    for one in (Request(here, "a"), other):
        await one.end()
    assert here.held_bytes == 0


async def test_all_users_have_room_for_so_many_bytes() -> None:
    """Who comes fourth waits; small bodies need no room."""
    here = room()
    three = [Request(here, user) for user in "abc"]
    fourth, small = Request(here, "d"), Request(here, "e", SMALL_BODY_BYTES)
    await settled()
    assert [one.has_room.is_set() for one in (*three, fourth, small)] == [True, True, True, False, True]

    for one in (*three, fourth, small):
        await one.end()


async def test_who_no_longer_waits_is_not_woken() -> None:
    """The one behind them is."""
    here = room()
    three = [Request(here, user) for user in "abc"]
    gone, next_ = Request(here, "d"), Request(here, "e")
    await settled()
    gone.task.cancel()
    await settled()

    await three[0].end()
    await settled()

    assert next_.has_room.is_set()
    for one in (*three[1:], next_):
        await one.end()


async def test_bodies_are_worked_on_two_at_a_time() -> None:
    """Whoever only sends slowly keeps no turn."""
    here = BodyRoom(max_bytes=10 * SIZE, max_bytes_per_user=2 * SIZE, max_at_once=2, wait_timeout=5)
    slow = [Request(here, user) for user in "xyz"]
    quick = [Request(here, user) for user in "aabc"]
    for one in quick:
        one.read.set()
    await settled()
    assert [one.works.is_set() for one in quick] == [True, False, True, False]

    for one in (*quick, *slow):
        await one.end()


async def test_who_waits_in_vain_for_their_own_turn_is_refused() -> None:
    """429: it is their own body that is worked on."""
    here = BodyRoom(max_bytes=2 * SIZE, max_bytes_per_user=2 * SIZE, max_at_once=2, wait_timeout=0.01)
    first, second = Request(here, "a"), Request(here, "a")
    first.read.set()
    await first.works.wait()
    second.read.set()

    with pytest.raises(problems.TooManyRequestsOfUser) as refused:
        await second.task
    assert refused.value.bound == "bodies_of_user"

    await first.end()


@pytest.mark.parametrize(
    ("holders", "asks", "refusal", "bound"),
    [
        ("a", "a", problems.TooManyRequestsOfUser, "bodies_of_user"),
        ("abc", "d", problems.TooManyConcurrentRequests, "bodies"),
    ],
)
async def test_who_waits_in_vain_is_refused(
    holders: str, asks: str, refusal: type[problems.Problem], bound: str
) -> None:
    """429 for one's own share, 503 for everybody's; each is counted as what it is. The place is free for the next."""
    here = room(wait_timeout=0.01)
    held = [Request(here, user) for user in holders]
    await settled()

    with pytest.raises(refusal) as refused:
        async with here.entered(asks, SIZE):
            pass
    assert refused.value.bound == bound

    for one in held:
        await one.end()
    async with here.entered(asks, SIZE) as place:
        assert place is not None
