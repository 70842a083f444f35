"""Todoist's sections and Google's task lists become lists, and each task is in the list that the file has it in."""

import json
from typing import Any

import pytest

from backend.app import problems
from backend.app.domain.positions import is_position
from backend.app.schemas.transfer import ForeignArchive
from backend.app.web.foreign import drafts
from backend.app.web.foreign.google import read_google
from backend.app.web.foreign.todoist import read_todoist
from tests.support.foreign_files import details, read_file

# The list and the parent of each task.
Places = list[tuple[int | None, int | None]]


def check(archive: ForeignArchive, names: list[str], places: Places, notes: list[str]) -> None:
    positions = [one.position for one in archive.lists]
    assert [(one.id, one.name) for one in archive.lists] == list(enumerate(names, 1))
    assert positions == sorted(set(positions))
    assert all(is_position(position) for position in positions)
    assert [(task.list_id, task.parent_id) for task in archive.tasks] == places
    assert len(archive.dropped) == len(notes), details(archive)
    assert all(detail.startswith(note) for detail, note in zip(details(archive), notes, strict=True)), details(archive)


# Rows, the names of the lists, where each task is, and how each note begins.
SECTIONS: list[tuple[str, list[str], Places, list[str]]] = [
    ("task,a", [], [(None, None)], []),
    ("section,One", ["One"], [], []),
    (
        "task,a\nsection,One\ntask,b\ntask,c\nsection,Two\ntask,d",
        ["One", "Two"],
        [(None, None), (1, None), (1, None), (2, None)],
        [],
    ),
    ("section,One\ntask,a\nsection,One\ntask,b", ["One", "One"], [(1, None), (2, None)], []),
    ("SECTION,  One \t\ntask,a", ["One"], [(1, None)], []),
    (f"section,{'n' * 101}\ntask,a", ["n" * 100], [(1, None)], ["the name of a list is cut off"]),
    ("section,One\ntask,a\nsection, \ntask,b", ["One"], [(1, None), (None, None)], ["a list without a name"]),
    ("section,One,Why\ntask,a", ["One"], [(1, None)], ["DESCRIPTION is not"]),
    ("section,One\ntask,a\ntask,b,,2\ntask,c,,3", ["One"], [(1, None), (1, 1), (1, 1)], ["subtasks are one level"]),
    ("task,a\nsection,One\ntask,b,,2", ["One"], [(None, None), (1, None)], ["INDENT is not"]),
    ("task,a\nsection,One\nnote,n", ["One"], [(None, None)], ["a comment without"]),
]


@pytest.mark.parametrize(("rows", "names", "places", "notes"), SECTIONS, ids=range(len(SECTIONS)))
def test_a_section_becomes_a_list(rows: str, names: list[str], places: Places, notes: list[str]) -> None:
    """Tasks before the first one are in the inbox."""
    check(read_file(read_todoist, f"TYPE,CONTENT,DESCRIPTION,INDENT\n{rows}"), names, places, notes)


def listed(title: Any, *keys: str, **parents: str) -> dict[str, Any]:
    """A task list with tasks of these ids, and others that are subtasks of tasks with other ids."""
    tasks = [{"id": key, "title": "x", "parent": parents.get(key)} for key in (*keys, *parents)]
    return {"title": title, "items": tasks}


ONLY = "the list is the file's only one"
LISTS: list[tuple[list[dict[str, Any]], list[str], Places, list[str]]] = [
    ([], [], [], []),
    ([listed("My Tasks", "a")], [], [(None, None)], [ONLY]),
    ([listed("Meine Aufgaben", "a", b="a")], [], [(None, None), (None, 1)], [ONLY]),
    ([listed("One", "a"), listed("My Tasks", "b")], ["One", "My Tasks"], [(1, None), (2, None)], []),
    ([listed("One"), listed("One", "a")], ["One", "One"], [(2, None)], []),
    ([listed("One", "a"), {"title": "Two"}], ["One", "Two"], [(1, None)], []),
    ([listed("", "a")], [], [(None, None)], ["a list without a name"]),
    ([listed("One", "a"), listed(" \0", "b")], ["One"], [(1, None), (None, None)], ["a list without a name"]),
    ([listed("One", "a"), listed(1, "b")], ["One"], [(1, None), (None, None)], ["a list without a name"]),
    ([listed(" O\0ne\n", "a"), listed("é" * 101)], ["One", "é" * 100], [(1, None)], ["the name of a list is cut off"]),
    ([listed("One", "a", b="a"), listed("Two", "c")], ["One", "Two"], [(1, None), (1, 1), (2, None)], []),
    ([listed("One", "a"), listed("Two", b="a")], ["One", "Two"], [(1, None), (1, 1)], ["a subtask is in the list"]),
    ([listed("One", b="a"), listed("Two", "a")], ["One", "Two"], [(2, 2), (2, None)], ["a subtask is in the list"]),
    ([listed("One", "a"), listed("", b="a")], ["One"], [(1, None), (1, 1)], ["a list without", "a subtask is in the"]),
    ([listed("One", "a"), listed("Two", b="gone")], ["One", "Two"], [(1, None), (2, None)], ["the parent is not"]),
]


@pytest.mark.parametrize(("lists", "names", "places", "notes"), LISTS, ids=range(len(LISTS)))
def test_a_task_list_becomes_a_list(
    lists: list[dict[str, Any]], names: list[str], places: Places, notes: list[str]
) -> None:
    """But for the only one of a file: its tasks are in the inbox. A subtask is in the list of its task."""
    check(read_file(read_google, json.dumps({"items": lists})), names, places, notes)


def test_a_subtask_too_many_stays_in_its_own_list() -> None:
    """It becomes a task of its own there."""
    lists = [listed("One", "a", b="a"), listed("Two", c="a")]

    archive = read_file(read_google, json.dumps({"items": lists}), max_subtasks=1)

    check(archive, ["One", "Two"], [(1, None), (1, 1), (2, None)], ["a task has 1 subtasks at most"])


def test_a_file_has_as_many_lists_as_an_archive(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those without a name are none."""
    monkeypatch.setattr(drafts, "ARCHIVED_LISTS_MAX", 2)

    assert len(read_file(read_todoist, "TYPE,CONTENT\n" + "section,x\n" * 2 + "section,\n").lists) == 2
    with pytest.raises(problems.ValidationFailed):
        read_file(read_todoist, "TYPE,CONTENT\n" + "section,x\n" * 3)
