"""Answers that nobody reads: a bounded number of bytes of one user's, and of all."""

import asyncio
from collections.abc import AsyncIterator

import orjson
import pytest
from fastapi import FastAPI

from backend.app import problems
from backend.app.main import create_app
from backend.app.web.answer_room import SHARE, SMALL_ANSWER_BYTES, AnswerRoom
from tests.support.applications import client_for, running, settings_for
from tests.support.slow_readers import SlowReader
from tests.support.tokens import new_user

SIZE = 100


def room() -> AnswerRoom:
    return AnswerRoom(max_bytes=SHARE * SIZE)


def test_a_user_has_a_part_of_the_room() -> None:
    """Another user's answer is sent beside it; when it is read, the next one is sent."""
    here = room()
    with here.entered("a", SIZE, refusable=True):
        with pytest.raises(problems.TooManyRequestsOfUser), here.entered("a", 1, refusable=True):
            pass
        with here.entered("b", SIZE, refusable=True):
            assert here.held_bytes == 2 * SIZE

    with here.entered("a", SIZE, refusable=True):
        assert here.held_bytes == SIZE
    assert here.held_bytes == 0


def test_all_users_have_all_of_it() -> None:
    """Who comes then is refused without being at fault."""
    here = room()
    with (
        here.entered("a", 2 * SIZE, refusable=True),
        here.entered("b", 2 * SIZE, refusable=True),
        pytest.raises(problems.TooManyConcurrentRequests) as refused,
        here.entered("c", 1, refusable=True),
    ):
        pass

    assert refused.value.bound == "answers"


def test_an_answer_that_is_larger_than_the_room_is_sent_alone() -> None:
    """A small room makes no answer impossible."""
    here = room()
    with here.entered("a", 9 * SIZE, refusable=True):
        assert here.held_bytes == 9 * SIZE


def test_a_write_is_answered_and_the_next_one_is_not_begun() -> None:
    """It was made: nobody would know."""
    here = room()
    here.check("a")
    with here.entered("a", SIZE, refusable=True), here.entered("a", SIZE, refusable=False):
        with pytest.raises(problems.TooManyRequestsOfUser) as refused:
            here.check("a")
        here.check("b")

    assert refused.value.bound == "answers_of_user"


@pytest.fixture
async def app(database_url: str) -> AsyncIterator[FastAPI]:
    """Room for one page of 300 long tasks of each user."""
    app = create_app(settings_for(database_url, max_answer_memory_bytes=SHARE * 700_000))
    async with running(app):
        yield app


async def user_with_long_tasks(app: FastAPI) -> str:
    """300 tasks: 400 kB."""
    task = {"title": "x" * 200, "description": "d" * 1000}
    operations = [{"op": "create", "task": task}] * 100
    async with client_for(app) as client:
        for _ in range(3):
            answer = await client.post(f"/api/{client.user_id}/batch", json={"operations": operations})
            assert answer.status_code == 200
        return client.user_id


async def test_unread_pages_are_refused_to_their_user_alone(app: FastAPI) -> None:
    """And nothing else is; when a page is read, the next one is sent."""
    alice, bob = await user_with_long_tasks(app), await user_with_long_tasks(app)
    path = f"/api/{alice}/tasks?limit=300"
    first = SlowReader(app, alice, path)
    assert await first.answered() == 200

    second = SlowReader(app, alice, path)
    small = SlowReader(app, alice, f"/api/{alice}/tasks?limit=1")
    other = SlowReader(app, bob, f"/api/{bob}/tasks?limit=300")

    assert [await one.answered() for one in (second, small, other)] == [429, 200, 200]
    assert len(await first.read()) == len(await other.read()) == 300
    assert len(await SlowReader(app, alice, path).read()) == 300


async def test_a_slow_reader_may_take_their_time(database_url: str) -> None:
    """The request was answered: its deadline passes no more, and it takes no place."""
    app = create_app(settings_for(database_url, request_timeout=1.0, max_requests_per_user=1))
    async with running(app):
        alice = await user_with_long_tasks(app)
        reader = SlowReader(app, alice, f"/api/{alice}/tasks?limit=300")
        assert await reader.answered() == 200

        late = SlowReader(app, alice, f"/api/{alice}/tasks", b"", more=True)
        assert await late.answered() == 503  # so the time of the first is over, too

        assert len(await reader.read()) == 300


async def test_unread_exports_are_bounded(app: FastAPI) -> None:
    """Each keeps a page for as long as it lasts, so that one more than there is room for is refused."""
    alice = await user_with_long_tasks(app)
    first = SlowReader(app, alice, f"/api/{alice}/export")
    assert await first.answered() == 200

    assert await SlowReader(app, alice, f"/api/{alice}/export").answered() == 429
    assert len((await first.read())["tasks"]) == 300
    assert await SlowReader(app, alice, f"/api/{alice}/export").answered() == 200


async def test_a_write_of_who_reads_nothing_is_refused_before_it_is_made(app: FastAPI) -> None:
    """One that was made is answered, however much is unread."""
    alice = await user_with_long_tasks(app)
    updates = [{"op": "update", "id": number, "changes": {"completed": True}} for number in range(1, 101)]
    batch, path = orjson.dumps({"operations": updates}), f"/api/{alice}/batch"
    readers = [SlowReader(app, alice, f"/api/{alice}/tasks?limit=300")]
    assert await readers[0].answered() == 200
    for _ in range(2):
        readers.append(SlowReader(app, alice, path, batch))
        assert await readers[-1].answered() == 200

    assert await SlowReader(app, alice, path, batch).answered() == 429
    assert await SlowReader(app, alice, f"/api/{alice}/tasks?limit=1").answered() == 429
    await asyncio.gather(*(reader.read() for reader in readers))


async def test_a_small_answer_needs_no_room(app: FastAPI) -> None:
    """Most are: nothing is counted of them."""
    reader = SlowReader(app, alice := new_user(), f"/api/{alice}/tasks")
    assert len(orjson.dumps(await reader.read())) < SMALL_ANSWER_BYTES
    assert app.state.services.answer_room.held_bytes == 0
