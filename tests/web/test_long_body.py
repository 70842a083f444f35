"""Bodies of many items: counted before they are judged, judged in steps, and never much larger than their text."""

import asyncio
import contextlib
import time
import tracemalloc
from typing import Any

import orjson
import pytest
from pydantic import BaseModel

from backend.app import problems
from backend.app.schemas.batch import Batch
from backend.app.schemas.transfer import Archive
from backend.app.server.process import rare_garbage_collection
from backend.app.web import long_body
from backend.app.web.body_room import SMALL_BODY_BYTES
from backend.app.web.long_body import BYTES_PER_TEXT_BYTE, LongBody, LongDocument
from backend.app.web.turns import STEP_SECONDS, Turns

MOMENT = "2026-01-01T00:00:00.000000Z"
ARCHIVES, BATCHES = LongBody(Archive), LongBody(Batch)


def archive(tasks: Any) -> dict[str, Any]:
    return {"format": "tasks-backend", "version": 1, "tasks": tasks}


def archived(number: int, **members: Any) -> dict[str, Any]:
    return {"id": number, "title": f"t{number}", "created_at": MOMENT, "updated_at": MOMENT, **members}


def completed(second: int, **members: Any) -> dict[str, Any]:
    moment = f"2026-01-{1 + second // 86400:02}T{second // 3600 % 24:02}:{second // 60 % 60:02}:{second % 60:02}Z"
    return {"task_id": 1, "completed_at": moment, "title": "x", **members}


async def parsed(body: LongBody, text: bytes) -> LongDocument:
    return await body.parse(bytearray(text), Turns().of("a"))


async def judged(body: LongBody, document: Any, *, size: int = 0) -> BaseModel:
    """The document, sent with so many blanks that it has this size (bytes)."""
    return await judged_text(body, orjson.dumps(document).ljust(size))


async def judged_text(body: LongBody, text: bytes) -> BaseModel:
    return await body.validate(await parsed(body, text))


async def faults(body: LongBody, document: Any, size: int = 0) -> list[str]:
    with pytest.raises(problems.ValidationFailed) as refused:
        await judged(body, document, size=size)
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
    await asyncio.sleep(0)
    try:
        await work
    finally:
        ended = True
        await probe
    return longest


SIZES = pytest.mark.parametrize("size", [0, SMALL_BODY_BYTES + 1], ids=["small", "large"])


@SIZES
async def test_a_valid_body_is_the_model(size: int) -> None:
    """All items in their order, however many steps it takes; also what was left out is known of each."""
    tasks = [archived(number, **{"tags": ["a"]} if number % 2 else {}) for number in range(1, 150)]
    document = {**archive(tasks), "completions": [completed(second) for second in range(150)]}

    body = await judged(ARCHIVES, document, size=size)

    assert isinstance(body, Archive)
    assert body == Archive.model_validate(document)
    assert [task.model_fields_set for task in body.tasks] == [set(task) for task in tasks]
    assert len(body.completions) == 150


@SIZES
async def test_a_list_that_is_left_out_is_empty(size: int) -> None:
    """Where it may be left out."""
    body = await judged(ARCHIVES, archive([archived(1)]), size=size)

    assert isinstance(body, Archive)
    assert body.completions == []


def both(tasks: Any, completions: Any) -> dict[str, Any]:
    return {**archive(tasks), "completions": completions}


COMPLETION_WITHOUT_MEMBERS = [f"#/completions/1/{name}" for name in ("task_id", "completed_at", "title")]
TITLE = "#/completions/0/title"
REFUSED: list[tuple[str, LongBody, Any, list[str]]] = [
    ("no object", ARCHIVES, [], ["#"]),
    ("no list", ARCHIVES, archive({}), ["#/tasks"]),
    ("an unknown format", ARCHIVES, {**archive([]), "format": "x"}, ["#/format"]),
    ("an unknown member", ARCHIVES, {**archive([]), "x": 1}, ["#/x"]),
    ("one bad item", ARCHIVES, archive([archived(1), archived(2, title=1)]), ["#/tasks/1/title"]),
    ("a good one after it", ARCHIVES, archive([archived(1, title=1), archived(2)]), ["#/tasks/0/title"]),
    ("an id twice", ARCHIVES, archive([archived(1), archived(1)]), ["#"]),
    ("too many", ARCHIVES, archive([{"title": "xxxxxxxxx"}] * 100_001), ["#/tasks"]),
    ("faults of another list", ARCHIVES, {"x": [{}] * 9, **archive([archived(1)])}, ["#/x"]),
    ("one bad item of another list", ARCHIVES, both([archived(1)], [completed(1), {}]), COMPLETION_WITHOUT_MEMBERS),
    ("bad items of both", ARCHIVES, both([archived(0)], [completed(1, title=1)]), ["#/tasks/0/id", TITLE]),
    ("the same twice", ARCHIVES, both([archived(1)], [completed(1), completed(2), completed(1)]), ["#"]),
    ("too many of another list", ARCHIVES, both([archived(1)], [{"title": "xxxxxxxxx"}] * 100_001), ["#/completions"]),
    (
        "a bad item, and too many of another list",
        ARCHIVES,
        both([archived(0)], [{"title": "xxxxxxxxx"}] * 100_001),
        ["#/tasks/0/id"],
    ),
    ("no list of another name", ARCHIVES, both([archived(1)], 5), ["#/completions"]),
    ("none", BATCHES, {"operations": []}, ["#/operations"]),
    ("too many operations", BATCHES, {"operations": [{}] * 101}, ["#/operations"]),
    ("an unknown operation", BATCHES, {"operations": [{"op": "x"}]}, ["#/operations/0"]),
    (
        "in a later step",
        ARCHIVES,
        archive([*(archived(number) for number in range(1, 1_000)), archived(0)]),
        ["#/tasks/999/id"],
    ),
]


@SIZES
@pytest.mark.parametrize(
    ("body", "document", "expected"), [row[1:] for row in REFUSED], ids=[row[0] for row in REFUSED]
)
async def test_faults_are_where_they_were_sent(body: LongBody, document: Any, expected: list[str], size: int) -> None:
    """With the pointers that the body as a whole would have had."""
    assert await faults(body, document, size) == expected


HOSTILE: list[tuple[str, LongBody, Any]] = [
    ("empty objects", ARCHIVES, archive([{}] * 100_000)),
    ("empty objects in both lists", ARCHIVES, both([{}] * 50_000, [{}] * 50_000)),
    ("unknown members", ARCHIVES, archive([{f"m{n}": 0 for n in range(200)}] * 2_000)),
    ("one object of unknown members", ARCHIVES, {**archive([]), **{f"m{n}": 0 for n in range(100_000)}}),
    ("numbers as tags", ARCHIVES, archive([archived(1, tags=list(range(100_000)))])),
    ("numbers as operations", BATCHES, {"operations": list(range(100_000))}),
]


@pytest.mark.parametrize(("body", "document"), [row[1:] for row in HOSTILE], ids=[row[0] for row in HOSTILE])
async def test_a_hostile_body_is_refused_in_no_time(body: LongBody, document: Any) -> None:
    """At the first 20 faults, and at the first thing that is too many."""
    text = orjson.dumps(document)
    started = time.thread_time()

    with pytest.raises(problems.ValidationFailed) as refused:
        await body.validate(await parsed(body, text))

    assert 1 <= len(refused.value.errors) <= 20
    assert time.thread_time() - started < 0.3


def never(positions: int) -> dict[str, str]:
    """A task that repeats on the 30th of February, with so many positions of a year of none."""
    rule = "FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30;BYSETPOS=" + ",".join(str(n) for n in range(1, positions + 1))
    return {"title": "x", "due_date": "2027-01-01", "recurrence": rule}


STEPS: list[tuple[str, LongBody, Any]] = [
    ("many tasks", ARCHIVES, archive([archived(number) for number in range(1, 20_001)])),
    ("a fault at their end", ARCHIVES, archive([archived(number) for number in range(20_000, -1, -1)])),
    ("many completions", ARCHIVES, both([archived(1)], [completed(second) for second in range(20_000)])),
    ("one completion twice", ARCHIVES, both([archived(1)], [completed(second // 2) for second in range(20_000)])),
    ("one of them twice", ARCHIVES, archive([archived(number // 2 + 1) for number in range(20_000)])),
    ("rules", BATCHES, {"operations": [{"op": "create", "task": never(n % 31 + 1)} for n in range(19)] * 5}),
]


@pytest.mark.parametrize(("body", "document"), [row[1:] for row in STEPS], ids=[row[0] for row in STEPS])
async def test_others_have_their_turn_every_few_milliseconds(body: LongBody, document: Any) -> None:
    """Parsing, judging, comparing and forgetting are done in steps, whatever is in an item."""
    text, found = orjson.dumps(document), list[LongDocument]()

    async def work() -> None:
        found.append(await parsed(body, text))
        with contextlib.suppress(problems.ValidationFailed):
            await body.validate(found[0])
        await found[0].forget()

    with rare_garbage_collection():
        longest = await longest_step(work())

    # The last item takes some more than a step has, and a collection may fall into it.
    assert longest < STEP_SECONDS + 0.03
    assert all(judge.items == [] for judge in found[0].judges.values())


async def test_of_two_lists_the_last_one_counts() -> None:
    """As of any name that is twice in a JSON object; what was found in the first one is forgotten."""
    first = both([archived(1), {}], [{}, completed(1)])
    second = both([archived(number) for number in range(2, 1_000)], [completed(2)])
    text = orjson.dumps(first)[:-1] + b"," + orjson.dumps(second)[1:]

    for sent in (text, text.ljust(2 * SMALL_BODY_BYTES)):
        assert await ARCHIVES.validate(await parsed(ARCHIVES, sent)) == Archive.model_validate(second)


async def test_a_large_document_that_is_no_json_leaves_nothing() -> None:
    """Though its first items were judged."""
    tasks = orjson.dumps(archive([archived(number) for number in range(1, 1_000)]))

    with pytest.raises(problems.MalformedJSON):
        await parsed(ARCHIVES, tasks[:-2] + b",]}")


@SIZES
async def test_a_document_is_the_same_however_it_is_written(size: int) -> None:
    """With other blanks, and its members in another order; another member makes another one."""
    tasks = [archived(number) for number in range(1, 1_000)]
    document = archive(tasks) if size else archive(tasks[:100])
    turned = {name: document[name] for name in reversed(document)}
    turned["tasks"] = [{name: task[name] for name in reversed(task)} for task in document["tasks"]]

    contents = (await parsed(ARCHIVES, orjson.dumps(document))).contents

    assert (await parsed(ARCHIVES, orjson.dumps(turned, option=orjson.OPT_INDENT_2).ljust(size))).contents == (
        contents if size else document
    )
    changed = {**document, "tasks": [*document["tasks"][:-1], archived(0)]}
    assert (await parsed(ARCHIVES, orjson.dumps(changed))).contents != contents


@pytest.mark.parametrize("text", [b'{"tasks":[%s]}', b'{"x":{"x":%s}}'], ids=["an item", "beside the lists"])
async def test_a_document_that_is_too_deep_is_refused(text: bytes) -> None:
    """orjson reads 1,024 levels and writes 254; what is read of a large body is written down for its hash."""
    deep = text % (b'{"x":' * 300 + b"1" + b"}" * 300)

    with pytest.raises(problems.ValidationFailed):
        await judged_text(ARCHIVES, deep.ljust(SMALL_BODY_BYTES + 1))


async def test_an_item_in_another_list_makes_another_document() -> None:
    """However large they are; the order of the lists does not."""
    items = [completed(second) for second in range(1_000)]
    documents = [both(items[:place], items[place:]) for place in (999, 1_000)]
    turned = {name: documents[0][name] for name in reversed(documents[0])}

    contents = [(await parsed(ARCHIVES, orjson.dumps(one))).contents for one in (*documents, turned)]

    assert contents[0] == contents[2] != contents[1]


async def test_items_of_many_kinds_keep_the_names_of_their_members(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where there are more kinds than are shared."""
    monkeypatch.setattr(long_body, "NAMES_SHARED", 1)
    tasks = [archived(1), archived(2), archived(3, tags=[]), archived(4, tags=[]), archived(5)]

    body = await judged(ARCHIVES, archive(tasks))

    assert isinstance(body, Archive)
    assert [task.model_fields_set for task in body.tasks] == [set(task) for task in tasks]


LETTERS = "abcdefghij"
KINDS = {
    "the least": {},
    "many short tags": {"tags": [f"{a}{b}" for a in LETTERS[:4] for b in LETTERS[:5]]},
    "all members": {
        "description": "d", "completed": True, "completed_at": MOMENT, "priority": "low", "due_date": "2027-01-01",
        "time_zone": "Europe/Berlin", "recurrence": "FREQ=DAILY", "recurrence_from": "completion", "parent_id": 1,
    },
}  # fmt: skip


@pytest.mark.parametrize("members", KINDS.values(), ids=KINDS.keys())
async def test_items_take_a_known_multiple_of_their_text(members: dict[str, Any]) -> None:
    """What docs/configuration.md reckons with, for the kinds of tasks that have least text for what they take."""
    text = orjson.dumps(archive([archived(number, **members) for number in range(2, 3_000)]))
    body = bytearray(text)

    tracemalloc.start()
    try:
        document = await ARCHIVES.parse(body, Turns().of("a"))
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert len(document.judges["tasks"].items) == 2_998
    assert most < BYTES_PER_TEXT_BYTE * len(text)


@pytest.mark.parametrize("members", [{}, {"due_date": "2027-01-01", "reminders": ["-P1D"]}], ids=str)
async def test_completions_take_no_more(members: dict[str, Any]) -> None:
    """Of many, beside which what is parsed at once is little; they are compared with each other, too."""
    text = orjson.dumps(both([archived(1)], [completed(second, **members) for second in range(60_000)]))
    body = bytearray(text)

    tracemalloc.start()
    try:
        document = await ARCHIVES.parse(body, Turns().of("a"))
        await ARCHIVES.validate(document)
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert len(document.judges["completions"].items) == 60_000
    assert most < BYTES_PER_TEXT_BYTE * len(text)
