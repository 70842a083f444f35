"""What becomes of the parts of a file, one by one: a table for each format."""

import json
from typing import Any

import pytest

from backend.app import problems
from backend.app.web.foreign import drafts
from backend.app.web.foreign.calendar import read_calendar
from backend.app.web.foreign.google import read_google
from backend.app.web.foreign.todoist import read_todoist
from tests.support.foreign_files import details, read_file


def todo(*lines: str) -> str:
    return "\n".join(["BEGIN:VCALENDAR", "BEGIN:VTODO", "SUMMARY:x", *lines, "END:VTODO", "END:VCALENDAR"])


def alarm(trigger: str, parameters: str = "") -> list[str]:
    return ["BEGIN:VALARM", "ACTION:DISPLAY", f"TRIGGER{parameters}:{trigger}", "END:VALARM"]


# The lines of a VTODO, members of the task that it becomes, and how each note begins.
CALENDAR: list[tuple[list[str], dict[str, Any], list[str]]] = [
    ([], {"title": "x", "completed": False, "priority": None, "due_date": None, "tags": []}, []),
    (["SUMMARY:y"], {"title": "x"}, ["SUMMARY is not"]),
    (["STATUS:COMPLETED"], {"completed": True, "completed_at": None}, []),
    (["COMPLETED:20260101T000000Z"], {"completed": True}, []),
    (["COMPLETED:yesterday", "STATUS:COMPLETED"], {"completed": True, "completed_at": None}, ["COMPLETED is not"]),
    (["COMPLETED:20260101T000000Z", "STATUS:NEEDS-ACTION"], {"completed": False}, ["COMPLETED is not"]),
    (["STATUS:CANCELLED"], {"completed": True}, ["a cancelled task"]),
    (["STATUS:IN-PROCESS"], {"completed": False}, ["a task that is in process"]),
    (["STATUS:LATER"], {"completed": False}, ["STATUS is not"]),
    (["STATUS:NEEDS ACTION"], {"completed": False}, []),
    (["PERCENT-COMPLETE:0"], {"completed": False}, []),
    (["PERCENT-COMPLETE:50"], {"completed": False}, ["PERCENT-COMPLETE is not"]),
    (["PERCENT-COMPLETE:100"], {"completed": True}, []),
    (["PERCENT-COMPLETE:100", "STATUS:NEEDS-ACTION"], {"completed": False}, ["PERCENT-COMPLETE is not"]),
    (["PERCENT-COMPLETE:30", "STATUS:COMPLETED"], {"completed": True}, ["PERCENT-COMPLETE is not"]),
    (["PRIORITY:0"], {"priority": None}, []),
    (["PRIORITY:4"], {"priority": "high"}, []),
    (["PRIORITY:6"], {"priority": "low"}, []),
    (["PRIORITY:10"], {"priority": None}, ["PRIORITY is not"]),
    (["PRIORITY:é"], {"priority": None}, ["PRIORITY is not"]),
    (["DUE:20261224T180060Z"], {"due_date": "2026-12-24T18:00:59Z"}, []),
    (["DUE:20261224T180000"], {"due_date": "2026-12-24T18:00:00Z"}, ["the time zone of DUE"]),
    (["DUE;TZID=Mars/Base:20261224T180000"], {"due_date": "2026-12-24T18:00:00Z"}, ["the time zone of DUE"]),
    (
        ["DUE;TZID=/example.org/Tzfile/Europe/Berlin:20261224T180000"],
        {"due_date": "2026-12-24T18:00:00+01:00", "time_zone": "Europe/Berlin"},
        [],
    ),
    (
        ['DUE;TZID="America/Argentina/Buenos_Aires";X=1,2:20261224T180000'],
        {"due_date": "2026-12-24T18:00:00-03:00"},
        [],
    ),
    (["DUE;TZID=Europe/Berlin:18800101T000000"], {"due_date": "1879-12-31T23:06:32Z"}, []),
    (["DUE:20260230"], {"due_date": None}, ["DUE is not"]),
    (["DUE:20261224T250000Z"], {"due_date": None}, ["DUE is not"]),
    (["DUE:soon"], {"due_date": None}, ["DUE is not"]),
    (["DUE;TZID=Asia/Tokyo:00010101T000000"], {"due_date": None}, ["DUE is not"]),
    (["DTSTART;VALUE=DATE:20261224"], {"due_date": None, "start_date": "2026-12-24"}, []),
    (["DTSTART:20261225", "DUE:20261224"], {"due_date": "2026-12-24", "start_date": None}, ["start_date is not"]),
    (["DTSTART;VALUE=DATE:20261224", "DUE;VALUE=DATE:20261224"], {"due_date": "2026-12-24"}, []),
    (
        ["DTSTART:20261224T170000Z", "DUE:20261224T180000Z", "RRULE:FREQ=DAILY"],
        {"due_date": "2026-12-24T18:00:00Z", "start_date": "2026-12-24T17:00:00Z", "recurrence": "FREQ=DAILY"},
        [],
    ),
    (
        ["DTSTART;VALUE=DATE:20261224", "DURATION:P1D", "RRULE:freq=daily"],
        {"due_date": "2026-12-24", "recurrence": "FREQ=DAILY"},
        [],
    ),
    (
        ["DTSTART;VALUE=DATE:20261224", "DUE;VALUE=DATE:20261225", "RRULE:FREQ=DAILY"],
        {"due_date": "2026-12-25", "start_date": "2026-12-24"},
        [],
    ),
    (["DURATION:PT1H"], {}, ["DURATION is not"]),
    (["DTSTART:20261224T170000Z", "DURATION:PT1H"],
     {"start_date": "2026-12-24T17:00:00Z", "due_date": "2026-12-24T18:00:00Z"}, []),
    (["DURATION:P1DT1H", "DTSTART;TZID=Europe/Berlin:20260328T170000"],
     {"start_date": "2026-03-28T17:00:00+01:00", "due_date": "2026-03-29T18:00:00+02:00"}, []),
    (["DTSTART;VALUE=DATE:20261224", "DURATION:P2D"], {"start_date": "2026-12-24", "due_date": "2026-12-25"}, []),
    (["DTSTART;VALUE=DATE:20261224", "DURATION:PT1H"], {"start_date": None, "due_date": "2026-12-24"}, []),
    (["DTSTART:20261224", "DUE:20261225", "DURATION:P1D"], {"due_date": "2026-12-25"}, ["DURATION is not"]),
    *(
        (["DTSTART:99991231T170000Z", f"DURATION:{text}"], {"due_date": None}, ["DURATION is not"])
        for text in ("-PT1H", "PT", "P1D", "20261224T170000Z")
    ),
    (["DTSTART:20261224T170000Z", "DURATION:PT1H", "RRULE:FREQ=DAILY"],
     {"due_date": "2026-12-24T18:00:00Z", "recurrence": "FREQ=DAILY"}, []),
    (["DTSTART:20260101", "DUE:20260103", "RRULE:FREQ=WEEKLY;BYDAY=TH"], {"due_date": "2026-01-03"}, ["RRULE counts"]),
    (["DTSTART:20260101", "DUE:20260103", "RRULE:FREQ=MONTHLY"], {"due_date": "2026-01-03"}, ["RRULE counts"]),
    (["DTSTART:20260101", "DUE:20260103", "RRULE:FREQ=DAILY;UNTIL=20260104"], {}, ["RRULE counts"]),
    (["DTSTART:20260101", "DUE:20260103", "RRULE:FREQ=WEEKLY"], {"due_date": "2026-01-03"}, []),
    (["DUE:20260101", "RRULE:FREQ=WEEKLY; BYDAY=TH; "], {"recurrence": "FREQ=WEEKLY;BYDAY=TH"}, []),
    (["RRULE:FREQ=DAILY"], {"recurrence": None}, ["RRULE is not taken over: a task"]),
    (["DUE;VALUE=DATE:20261224", "RRULE:FREQ=HOURLY"], {"recurrence": None}, ["RRULE is not taken over: it"]),
    (["CREATED:20260101"], {}, ["CREATED is not"]),
    (["RELATED-TO;RELTYPE=CHILD:y"], {"parent_id": None}, ["RELATED-TO is not"]),
    (["RELATED-TO:y"], {"parent_id": None}, ["the parent is not in the file"]),
    (["UID:y", "RELATED-TO:y"], {"parent_id": None}, ["this is below itself"]),
    (["CATEGORIES:" + "a" * 51], {"tags": []}, ["a task has at most 20 tags"]),
    (["CATEGORIES:" + ",".join(f"t{n}" for n in range(21))], {}, ["a task has at most 20 tags"]),
    (["CATEGORIES:" + ",".join(["a"] * 101)], {"tags": ["a"]}, ["categories beyond"]),
    (["DESCRIPTION:" + "d" * 1001], {"description": "d" * 1000}, ["description is cut off"]),
    (["DESCRIPTION:" + "d" * 20_000], {"description": "d" * 1000}, ["the end of a long line", "description is cut"]),
    (
        ["DESCRIPTION:" + "d" * 10_000, *[" " + "d" * 10_000] * 3],
        {"description": "d" * 1000},
        ["the end of a long line", "description is cut"],
    ),
    (["DESCRIPTION:"], {"description": None}, []),
    (["nonsense"], {}, ["a line that cannot be read"]),
    ([";=:"], {}, ["a line that cannot be read"]),
    (["BEGIN:VPOLL", "X:y", "END:VPOLL"], {}, ["a component"]),
    (["END:VALARM"], {}, ["an END without"]),
    (["DUE:20261224T170000Z", *alarm("-PT30M"), *alarm("-pt30m")], {"reminders": ["-PT30M"]}, []),
    (alarm("20261224T170000Z", ";VALUE=DATE-TIME"), {"reminders": ["2026-12-24T17:00:00Z"]}, []),
    (alarm("-PT30M"), {"reminders": []}, ["a reminder is not"]),
    (["DUE:20261224T170000Z", *alarm("soon")], {"reminders": []}, ["a reminder is not"]),
    (["DUE:20261224T170000Z", *alarm("PT30M")], {"reminders": []}, ["a reminder is not"]),
    (
        ["DTSTART:20261224T150000Z", "DUE:20261224T170000Z", *alarm("-PT30M"), *alarm("-PT10M", ";RELATED=END")],
        {"reminders": ["2026-12-24T14:30:00Z", "-PT10M"]},
        [],
    ),
    (["DTSTART:20261224T150000Z", *alarm("-P1D")], {"reminders": ["2026-12-23T15:00:00Z"]}, []),
    (["DTSTART:00010101T000000Z", *alarm("-P1D")], {"reminders": []}, ["a reminder is not"]),
    (alarm("20261224T170000"), {"reminders": ["2026-12-24T17:00:00Z"]}, ["the time zone of TRIGGER"]),
    (["BEGIN:VALARM", "ACTION:DISPLAY", "END:VALARM"], {"reminders": []}, ["an alarm without"]),
    (alarm("19760401T005545Z\nX-APPLE-PROXIMITY:ARRIVE"), {"reminders": []}, ["a reminder of a place"]),
    (["BEGIN:VALARM", "ACTION:NONE", "TRIGGER:19760401T005545Z", "END:VALARM"],
     {"reminders": []}, ["an alarm that does"]),
    (alarm("20261224T170000Z\nREPEAT:2\nACTION:AUDIO"), {}, ["REPEAT of an alarm", "ACTION of an alarm"]),
    (["BEGIN:VALARM", "ACTION:EMAIL", "TRIGGER:20261224T170000Z", "END:VALARM"],
     {"reminders": ["2026-12-24T17:00:00Z"]}, ["the ACTION of an alarm"]),
    (["DUE:20261224T170000Z", *alarm("-PT30M") * 6], {"reminders": ["-PT30M"]}, ["reminders beyond"]),
    (["X-APPLE-SORT-ORDER:1"], {}, ["X-APPLE-SORT-ORDER is not"]),
]  # fmt: skip


@pytest.mark.parametrize(("lines", "members", "notes"), CALENDAR, ids=range(len(CALENDAR)))
def test_a_todo_becomes_a_task(lines: list[str], members: dict[str, Any], notes: list[str]) -> None:
    """Or a note says what of it does not."""
    archive = read_file(read_calendar, todo(*lines))

    [task] = archive.tasks
    assert {name: getattr(task, name) for name in members} == members
    assert len(archive.dropped) == len(notes)
    assert all(detail.startswith(note) for detail, note in zip(details(archive), notes, strict=True)), details(archive)


def test_a_todo_that_is_none_has_a_note() -> None:
    """An exception from a rule, one without a title, and one without an end."""
    exception = read_file(read_calendar, todo("RECURRENCE-ID:20261224"))
    nameless = read_file(read_calendar, todo().replace("SUMMARY:x", "SUMMARY: "))
    endless = read_file(read_calendar, todo().partition("END:VTODO")[0])

    assert [archive.tasks for archive in (exception, nameless, endless)] == [[], [], []]
    assert [archive.dropped_count for archive in (exception, nameless, endless)] == [1, 1, 1]


def test_a_family_that_is_too_large_is_parted() -> None:
    """What does not fit under the parent is a task of its own, with a note."""
    text = "BEGIN:VCALENDAR\n" + "".join(
        f"BEGIN:VTODO\nUID:{n}\nSUMMARY:x\n{'RELATED-TO:0' if n else 'X-Y:'}\nEND:VTODO\n" for n in range(4)
    )

    archive = read_file(read_calendar, text, max_subtasks=2)

    assert [task.parent_id for task in archive.tasks] == [None, 1, 1, None]
    assert "at most" in details(archive)[-1]


ROWS: list[tuple[str, dict[str, Any], list[str]]] = [
    ("task,x,5,1,", {"priority": None}, ["PRIORITY is not"]),
    ("task,x,4,0,", {"priority": None}, ["INDENT is not"]),
    ("task,x,4,x,", {}, ["INDENT is not"]),
    ("task,x,4,3,", {"parent_id": None}, ["INDENT is not taken over: there is no task above"]),
    ("TASK,x", {"title": "x"}, []),
    ("task,x,4,1,,y", {"title": "x"}, ["cells without a column"]),
    ("task,x,4,1,, ", {"title": "x"}, []),
    ("task,@a @A x @b", {"title": "x", "tags": ["a", "b"]}, []),
    ("task,a@b.example", {"title": "a@b.example", "tags": []}, []),
    ("task,x " + "@a " * 101, {"tags": ["a"]}, ["labels beyond"]),
    ("task,x\nnote," + "n" * 1001, {"description": None}, ["a comment for which"]),
    ("note,n\ntask,x", {"description": None}, ["a comment without"]),
    ("task,x,,,99991231", {"due_date": None}, ["DATE is not"]),
]


@pytest.mark.parametrize(("rows", "members", "notes"), ROWS, ids=range(len(ROWS)))
def test_a_row_becomes_a_task(rows: str, members: dict[str, Any], notes: list[str]) -> None:
    archive = read_file(read_todoist, f"type,content,priority,indent,date\n{rows}")

    [task] = archive.tasks
    assert {name: getattr(task, name) for name in members} == members
    assert all(detail.startswith(note) for detail, note in zip(details(archive), notes, strict=True)), details(archive)


def test_two_columns_of_a_name_are_one() -> None:
    """The first; what is in another is told."""
    archive = read_file(read_todoist, "TYPE,CONTENT,CONTENT\ntask,x,y\ntask,z,")

    assert [task.title for task in archive.tasks] == ["x", "z"]
    assert [note.line for note in archive.dropped] == [2]


ITEMS: list[tuple[Any, list[str]]] = [
    ({"title": "x", "status": "later"}, ["is not known"]),
    ({"title": "x", "notes": 1}, ["is not taken over: it is no text"]),
    ({"title": "x", "due": "soon"}, ["due_date is not taken over"]),
    ({"title": "x", "created": "yesterday", "updated": "today"}, ["created_at is not", "updated_at is not"]),
    ({"title": "x", "a b": 1}, ["a member is not"]),
    ({"title": "x", **{f"m{n}": None for n in range(100)}}, ["members beyond"]),
    ({"title": "x", "status": "completed", "completed": "x"}, ["completed_at is not"]),
]


@pytest.mark.parametrize(("item", "notes"), ITEMS, ids=range(len(ITEMS)))
def test_an_item_becomes_a_task(item: dict[str, Any], notes: list[str]) -> None:
    archive = read_file(read_google, json.dumps({"items": [{"title": "My Tasks", "items": [item]}]}))

    assert [task.title for task in archive.tasks] == ["x"]
    assert all(detail.startswith(note) for detail, note in zip(details(archive)[:-1], notes, strict=True)), details(
        archive
    )


@pytest.mark.parametrize(
    "document", ["[]", "1", "{}", '{"items": {}}', '{"items": [1]}', '{"items": [{"items": [1]}]}']
)
def test_what_holds_no_tasks_makes_none(document: str) -> None:
    assert read_file(read_google, document).tasks == []


def test_a_file_has_as_many_tasks_as_an_archive(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drafts, "ARCHIVE_MAX", 2)

    assert len(read_file(read_todoist, "TYPE,CONTENT\n" + "task,x\n" * 2).tasks) == 2
    with pytest.raises(problems.ValidationFailed):
        read_file(read_todoist, "TYPE,CONTENT\n" + "task,x\n" * 3)


def test_notes_are_counted_beyond_those_that_are_kept() -> None:
    archive = read_file(read_todoist, "TYPE,CONTENT\n" + "meta,x\n" * (drafts.NOTES_MAX + 5))

    assert (len(archive.dropped), archive.dropped_count) == (drafts.NOTES_MAX, drafts.NOTES_MAX + 5)
