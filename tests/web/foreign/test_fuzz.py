"""Whatever a file holds: tasks that can be kept, or a refusal, and never anything else."""

import asyncio
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from backend.app import problems
from backend.app.schemas.transfer import ArchivedList, ArchivedTask, ForeignArchive
from backend.app.web.foreign.calendar import read_calendar
from backend.app.web.foreign.google import read_google
from backend.app.web.foreign.todoist import read_todoist
from backend.app.web.turns import Turns
from tests.support.foreign_files import CALENDAR, GOOGLE, TODOIST
from tests.support.ways import examples

READERS: dict[str, tuple[Any, str]] = {
    "calendar": (read_calendar, CALENDAR),
    "todoist": (read_todoist, TODOIST),
    "google": (read_google, GOOGLE),
}
HEADS = {
    "calendar": b"BEGIN:VCALENDAR\nBEGIN:VTODO\n",
    "todoist": b"TYPE,CONTENT,PRIORITY,INDENT,DATE\ntask,",
    "google": b"",
}
MAX_SUBTASKS = 2
BOUNDED = settings(
    max_examples=examples(150),
    derandomize=True,
    database=None,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
HOSTILE = [
    *("\0", "\ud7ff", "\U0001f98a", "\u2028", "\x0b", "\x1f", "\\", '"', "'", ",", ";", ":", "=", "\n", "\n ", "\t"),
    *("99991231T235959Z", "00010101T000000", "00000000", "20260230", "20261224T246060", "20260101T000000+0100"),
    *("9999-12-31", "0001-01-01T00:00:00Z", "2026-02-30", "every 999 weeks", "every day at 99:99", "2026-12-24 18:00"),
    *("FREQ=SECONDLY", "FREQ=DAILY;COUNT=0", "FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=31", "INTERVAL=1e9", "-PT30M"),
    *("BEGIN:VTODO", "END:VTODO", "BEGIN:VCALENDAR", "RELATED-TO:parent", "UID:parent", "TZID=Mars/Base"),
    *("TZID=/x/Europe/Berlin", "-1", "0", "1", "5", "1" * 400, "é" * 300, "@" * 60, "null", "true", "[]", "{}"),
    *("{", "]", "%", "1e999", "task", "note", "section"),
    *(
        "BEGIN:VTIMEZONE\nBEGIN:STANDARD\n",
        "TZID:Mars/Base\n",
        "TZOFFSETTO:+9900\n",
        "TZOFFSETTO:+2359\n",
        "BEGIN:VALARM\n",
    ),
    *("RDATE:00010101T000000,99991231T235959\n", "RRULE:FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=29\n", "DURATION:P366D\n"),
    *(
        ";ENCODING=BASE64",
        ";CHARSET=punycode;ENCODING=QUOTED-PRINTABLE",
        ";QUOTED-PRINTABLE",
        "=FF=\n",
        "ACTION:NONE\n",
    ),
]


def mutated(text: str, changes: list[tuple[int, int, str]]) -> bytes:
    """The file with pieces of it replaced."""
    for at, length, put in changes:
        start = at % (len(text) + 1)
        text = text[:start] + put + text[start + length :]
    return text.encode("utf-8", "surrogatepass")


def read(kind: str, content: bytes) -> ForeignArchive | None:
    async def once() -> ForeignArchive | None:
        try:
            archive = await READERS[kind][0](content, Turns().of("somebody"), max_subtasks=MAX_SUBTASKS)
        except (problems.ValidationFailed, problems.MalformedJSON):
            return None
        assert isinstance(archive, ForeignArchive)
        return archive

    return asyncio.run(once())


CHANGES = st.lists(
    st.tuples(st.integers(0, 5000), st.integers(0, 40), st.sampled_from(HOSTILE) | st.text(max_size=5)), max_size=12
)


@pytest.mark.parametrize("kind", READERS)
@BOUNDED
@given(changes=CHANGES)
def test_a_damaged_file_is_read_or_refused(kind: str, changes: list[tuple[int, int, str]]) -> None:
    """What comes of it can be kept: each task is valid, and families are one level deep and not too large."""
    archive = read(kind, mutated(READERS[kind][1], changes))

    if archive is not None:
        check(archive)


@pytest.mark.parametrize("kind", READERS)
@BOUNDED
@given(content=st.binary(max_size=200) | st.lists(st.sampled_from(HOSTILE)).map(lambda parts: "".join(parts).encode()))
def test_anything_at_all_is_read_or_refused(kind: str, content: bytes) -> None:
    """Behind the beginning that such a file has, too."""
    head = {
        "calendar": b"BEGIN:VCALENDAR\nBEGIN:VTODO\n",
        "todoist": b"TYPE,CONTENT,PRIORITY,INDENT,DATE\ntask,",
        "google": b"",
    }
    for text in (content, head[kind] + content):
        if (archive := read(kind, text)) is not None:
            check(archive)


def check(archive: ForeignArchive) -> None:
    tasks = {task.id: task for task in archive.tasks}
    lists = {one.id: one for one in archive.lists}
    assert sorted(tasks) == list(range(1, len(archive.tasks) + 1))
    assert list(lists) == list(range(1, len(archive.lists) + 1))
    assert sorted({one.position for one in archive.lists}) == [one.position for one in archive.lists]
    for one in archive.lists:
        ArchivedList.model_validate(one.model_dump(mode="json"))
    for task in archive.tasks:
        ArchivedTask.model_validate(task.model_dump(mode="json"))
        assert task.list_id is None or task.list_id in lists
        if task.parent_id is not None:
            assert (tasks[task.parent_id].parent_id, tasks[task.parent_id].list_id) == (None, task.list_id)
    counts = [sum(task.parent_id == number for task in archive.tasks) for number in tasks]
    assert max(counts, default=0) <= MAX_SUBTASKS
    assert len(archive.dropped) <= archive.dropped_count
    assert all((note.line is None) != (note.pointer is None) for note in archive.dropped)
