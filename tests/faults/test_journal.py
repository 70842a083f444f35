"""The audit finds what it is there for: each sample is a lie of the API or of the database."""

from collections import Counter
from typing import Any

import orjson
import pytest

from tests.faults.actors import Reader, Tally, Writer
from tests.faults.client import Answer
from tests.faults.journal import Found, Journal, audit
from tests.faults.run import LIVENESS_MS, RECOVERED_SECONDS, Row

ME = "me"


def task(number: int, title: str, *, completed: bool = False, user_id: str = ME) -> dict[str, Any]:
    return {"id": number, "user_id": user_id, "title": title, "completed": completed}


def journal() -> Journal:
    """Two creates, a toggle and a delete were acknowledged; a create and a rename were not."""
    told = Journal()
    told.created(1, ("a", False, False))
    told.created(2, ("b", False, False))
    told.changed(1, ("a", True, False))
    told.changed(2, ("b", False, True))
    told.keys.add("k")
    told.doubt_created(("c", "d"))
    told.doubt_changed(1, ("e", True, False))
    return told


A, RENAMED, B = task(1, "a", completed=True), task(1, "e", completed=True), task(2, "b")
C, D = task(3, "c"), task(4, "d")
KEPT = Counter(["k"])


@pytest.mark.parametrize(
    ("tasks", "trash", "made", "keys", "expected"),
    [
        ([A], [B], 4, KEPT, ()),
        ([RENAMED, C, D], [B], 7, KEPT, ()),
        ([A], [], 4, KEPT, ("lost",)),
        ([task(1, "a")], [B], 4, KEPT, ("lost",)),
        ([A, B], [], 4, KEPT, ("lost",)),
        ([A], [B], 3, KEPT, ("lost",)),
        ([A], [B], 4, Counter(), ("lost",)),
        ([A, task(3, "a")], [B], 5, KEPT, ("duplicated", "wrong")),
        ([A, C, D, task(5, "c")], [B], 7, KEPT, ("duplicated",)),
        ([A], [B], 8, KEPT, ("duplicated",)),
        ([A, C], [B], 5, KEPT, ("wrong",)),
        ([A, task(3, "never asked for")], [B], 5, KEPT, ("wrong",)),
        ([task(1, "a", completed=True, user_id="other")], [B], 4, KEPT, ("wrong",)),
        ([A], [B], 4, KEPT + Counter(["another"]), ("wrong",)),
    ],
)
def test_what_is_there_is_held_against_what_was_told(
    tasks: list[dict[str, Any]], trash: list[dict[str, Any]], made: int, keys: Counter[str], expected: tuple[str, ...]
) -> None:
    found = audit(ME, [journal()], Found(tasks, trash, 1000, 1000 + made, keys))

    assert tuple(kind for kind in ("lost", "duplicated", "wrong") if getattr(found, kind)) == expected, found


class Lying:
    """In place of a connection."""

    def __init__(self, *answers: Answer) -> None:
        self._answers = [*answers]

    async def ask(self, *_: Any, **__: Any) -> Answer:
        return self._answers.pop(0)


def answer(status: int, body: bytes = b"[]", **headers: str) -> Answer:
    return Answer(status, {name.replace("_", "-"): value for name, value in headers.items()}, body, 0.0)


@pytest.mark.parametrize(
    ("given", "wrong"),
    [
        (answer(200), False),
        (answer(503, retry_after="1"), False),
        (answer(429, retry_after="1"), False),
        (answer(503), True),
        *((answer(status, retry_after="1"), True) for status in (400, 401, 403, 404, 412, 500, 502)),
    ],
    ids=lambda value: str(getattr(value, "status", value)),
)
async def test_only_these_answers_are_right(given: Answer, wrong: bool) -> None:
    tally = Tally()
    writer = Writer(_nowhere(), ME, str, tally, name="w", answers_lost=False)
    writer._http = Lying(given)  # type: ignore[assignment] # noqa: SLF001 - it has no other end

    await writer.ask("GET", "/tasks")

    assert bool(tally.wrong) == wrong


@pytest.mark.parametrize(
    ("shown", "wrong"),
    [
        ({}, False),
        ({"title": "older"}, True),
        ({"completed": True}, True),
        ({"user_id": "other"}, True),
        ({"id": 2, "title": "of who writes beside it"}, False),
    ],
)
async def test_a_writer_sees_what_was_acknowledged(shown: dict[str, Any], wrong: bool) -> None:
    tally = Tally()
    writer = Writer(_nowhere(), ME, str, tally, name="w", answers_lost=False)
    writer.journal.created(1, ("a", False, False))
    body = orjson.dumps([{**task(1, "a"), **shown}])
    writer._http = Lying(answer(200, body))  # type: ignore[assignment] # noqa: SLF001 - it has no other end
    writer._chance.random = lambda: 0.7  # type: ignore[method-assign] # noqa: SLF001 - looks at the list

    await writer._look()  # noqa: SLF001 - one step of its run

    assert bool(tally.wrong) == wrong


async def test_a_reader_who_sees_more_than_their_own_says_so() -> None:
    tally = Tally()
    reader = Reader(_nowhere(), ME, str, tally, answers_lost=False)
    own = [answer(201), answer(201), *(answer(200) for _ in reader.WHAT)]
    reader._http = Lying(*own, answer(200), answer(200, b'[{"title": "foreign"}]'))  # type: ignore[assignment] # noqa: SLF001 - as above
    await reader.prepare()

    with pytest.raises(IndexError):  # nothing more is answered
        await reader.run(_never())

    assert len(tally.wrong) == 1
    assert "foreign" in tally.wrong[0]


@pytest.mark.parametrize(
    ("slowest", "recovered", "clean"),
    [
        (LIVENESS_MS, RECOVERED_SECONDS, True),
        (LIVENESS_MS + 1, 0.0, False),
        (0.0, RECOVERED_SECONDS + 0.1, False),
        (0.0, None, False),
    ],
)
def test_a_row_is_clean_within_its_bounds(slowest: float, recovered: float | None, clean: bool) -> None:
    row = Row("x", "direct", Tally(), audit(ME, [], Found([], [], 0, 0)), slowest, recovered)

    assert (row.faults == []) == clean


def _nowhere() -> Any:
    class Nowhere:
        port = 0

    return Nowhere()


def _never() -> Any:
    class Never:
        def is_set(self) -> bool:
            return False

    return Never()
