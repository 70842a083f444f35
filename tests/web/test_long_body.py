"""Bodies of many items: counted before they are judged, judged in steps, and never much larger than their text."""

import asyncio
import time
from typing import Any

import orjson
import pytest

from backend.app import problems
from backend.app.schemas.batch import Batch
from backend.app.schemas.transfer import Archive
from backend.app.web import long_body
from backend.app.web.long_body import ITEMS_AT_ONCE, LongBody, parse

MOMENT = "2026-01-01T00:00:00.000000Z"
ARCHIVES, BATCHES = LongBody(Archive), LongBody(Batch)


def archive(tasks: Any) -> dict[str, Any]:
    return {"format": "tasks-backend", "version": 1, "tasks": tasks}


def archived(number: int, **members: Any) -> dict[str, Any]:
    return {"id": number, "title": f"t{number}", "created_at": MOMENT, "updated_at": MOMENT, **members}


async def faults(body: LongBody, document: Any) -> list[str]:
    with pytest.raises(problems.ValidationFailed) as refused:
        await body.validate(document)
    return [error["pointer"] for error in refused.value.errors]


async def longest_step(work: Any) -> float:
    """The longest time (seconds) that other tasks waited while this was done."""
    longest, ended = 0.0, False

    async def others() -> None:
        nonlocal longest
        while not ended:
            started = time.thread_time()
            await asyncio.sleep(0)
            longest = max(longest, time.thread_time() - started)

    probe = asyncio.create_task(others())
    try:
        await work
    finally:
        ended = True
        await probe
    return longest


async def test_a_valid_body_is_the_model() -> None:
    """All items in their order, however many steps it takes."""
    tasks = [archived(number) for number in range(1, 3 * ITEMS_AT_ONCE)]

    judged = await ARCHIVES.validate(archive(tasks))

    assert isinstance(judged, Archive)
    assert judged == Archive.model_validate(archive(tasks))


REFUSED: list[tuple[str, LongBody, Any, list[str]]] = [
    ("no object", ARCHIVES, [], ["#"]),
    ("no list", ARCHIVES, archive({}), ["#/tasks"]),
    ("an unknown format", ARCHIVES, {**archive([]), "format": "x"}, ["#/format"]),
    ("an unknown member", ARCHIVES, {**archive([]), "x": 1}, ["#/x"]),
    ("one bad item", ARCHIVES, archive([archived(1), archived(2, title=1)]), ["#/tasks/1/title"]),
    ("an id twice", ARCHIVES, archive([archived(1), archived(1)]), ["#"]),
    ("too many", ARCHIVES, archive([{}] * 100_001), ["#/tasks"]),
    ("none", BATCHES, {"operations": []}, ["#/operations"]),
    ("too many operations", BATCHES, {"operations": [{}] * 101}, ["#/operations"]),
    ("an unknown operation", BATCHES, {"operations": [{"op": "x"}]}, ["#/operations/0"]),
    (
        "in a later step",
        ARCHIVES,
        archive([*(archived(number) for number in range(1, ITEMS_AT_ONCE + 3)), archived(0)]),
        [f"#/tasks/{ITEMS_AT_ONCE + 2}/id"],
    ),
]


@pytest.mark.parametrize(
    ("body", "document", "expected"), [row[1:] for row in REFUSED], ids=[row[0] for row in REFUSED]
)
async def test_faults_are_where_they_were_sent(body: LongBody, document: Any, expected: list[str]) -> None:
    """With the pointers that the body as a whole would have had."""
    assert await faults(body, document) == expected


HOSTILE: list[tuple[str, LongBody, Any]] = [
    ("empty objects", ARCHIVES, archive([{}] * 100_000)),
    ("unknown members", ARCHIVES, archive([{f"m{n}": 0 for n in range(200)}] * 2_000)),
    ("one object of unknown members", ARCHIVES, {**archive([]), **{f"m{n}": 0 for n in range(100_000)}}),
    ("numbers as tags", ARCHIVES, archive([archived(1, tags=list(range(100_000)))])),
    ("numbers as operations", BATCHES, {"operations": list(range(100_000))}),
]


@pytest.mark.parametrize(("body", "document"), [row[1:] for row in HOSTILE], ids=[row[0] for row in HOSTILE])
async def test_a_hostile_body_is_refused_in_no_time(body: LongBody, document: Any) -> None:
    """At the first 20 faults, and at the first thing that is too many."""
    started = time.thread_time()

    found = await faults(body, document)

    assert 1 <= len(found) <= 20
    assert time.thread_time() - started < 0.15


async def test_a_large_valid_body_is_judged_in_steps() -> None:
    """Others get their turn every few milliseconds; the whole is put together in one step at the end."""
    tasks = [archived(number) for number in range(1, 20_001)]

    assert await longest_step(ARCHIVES.validate(archive(tasks))) < 0.1


PARSED: list[tuple[str, bytes, bool]] = [
    ("an object for each seven bytes", b"[" + b",".join([b'{"":0}'] * 200_000) + b"]", False),
    ("arrays in arrays", b"[" + b",".join([b"[]"] * 200_000) + b"]", False),
    ("a number for each two bytes", b"[" + b",".join([b"0"] * 400_000) + b"]", False),
    ("brackets and commas in a text", orjson.dumps(['{[,\\"' * 200_000]), True),
    ("a text of quotes and backslashes", orjson.dumps(['\\"' * 200_000, "\\" * 99_999, "[" * 99_999]), True),
    ("many tasks", orjson.dumps(archive([archived(number) for number in range(20_000)])), True),
    ("no JSON", b"{" * 20, False),
]


@pytest.mark.parametrize(("body", "accepted"), [row[1:] for row in PARSED], ids=[row[0] for row in PARSED])
async def test_a_document_is_bounded_by_its_text(body: bytes, accepted: bool) -> None:
    """What would take many times its size is refused before it is built; what stands in texts does not count."""
    if accepted:
        assert await parse(body) == orjson.loads(body)
    else:
        with pytest.raises((problems.ValidationFailed, problems.MalformedJSON)):
            await parse(body)


@pytest.mark.parametrize("size", [1, 2, 3, 7])
async def test_texts_are_told_apart_wherever_a_piece_ends(monkeypatch: pytest.MonkeyPatch, size: int) -> None:
    """Also between a backslash and what it escapes."""
    monkeypatch.setattr(long_body, "SCANNED_AT_ONCE", size)
    body = orjson.dumps({"a\\": ['{,"\\', [1, 2]], "b": {}})

    assert await long_body._counted(body) == (4, 3)  # noqa: SLF001 - what the bound rests on
