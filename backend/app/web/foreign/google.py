"""Google's tasks as Takeout writes them: task lists of tasks, which name their parents."""

import re
from itertools import islice
from typing import Any, Final

import orjson

from backend.app import problems
from backend.app.schemas.transfer import ForeignArchive
from backend.app.web.foreign.drafts import Draft, Drafts
from backend.app.web.turns import Steps

# How such a file begins: `kind` may stand after other members, but not after a long list.
BEGINNING_BYTES: Final = 4096
# An object in Python takes two hundred bytes, however short its text.
BYTES_PER_CONTAINER: Final = 20
CONTAINERS_ALWAYS: Final = 1_000
_KIND: Final = re.compile(rb'"kind"\s*:\s*"tasks#taskLists"')
_TEXTS: Final = frozenset({"id", "title", "notes", "status", "due", "completed", "created", "updated", "parent"})
_KNOWN: Final = _TEXTS | {"deleted"}
# How many members of an object are looked at, and how much of a name that is not known is shown.
MEMBERS_MAX: Final = 100
NAME_MAX_CHARACTERS: Final = 40
# What says nothing that is missed here.
_SILENT: Final = frozenset({"kind", "etag", "selfLink", "webViewLink", "hidden", "position", "task_type"})
_OF_LIST: Final = frozenset({"kind", "id", "title", "updated", "etag", "selfLink", "items"})
DAY_CHARACTERS: Final = len("2026-12-24")
_NO_TASK: Final = "what is no task, or no list of tasks, is not taken over"


def is_google(content: bytes | bytearray) -> bool:
    """Whether a JSON document is one of these files."""
    return _KIND.search(content[:BEGINNING_BYTES]) is not None


async def read_google(text: bytes, steps: Steps, *, max_subtasks: int) -> ForeignArchive:
    """The tasks of a Takeout file. Raises MalformedJSON or ValidationFailed."""
    if text.count(b"{") + text.count(b"[") > max(CONTAINERS_ALWAYS, len(text) // BYTES_PER_CONTAINER):
        detail = "has more members than a body of its size may have"
        raise problems.ValidationFailed([{"pointer": "#", "detail": detail}])
    try:
        document = orjson.loads(text)
    except orjson.JSONDecodeError:
        raise problems.MalformedJSON from None
    await steps.next_step()
    drafts = Drafts(max_subtasks=max_subtasks)
    for number, listed in enumerate(_items(document, "#", drafts)):
        await _read_list(f"#/items/{number}", listed, drafts, steps)
        if steps.is_over:
            await steps.next_step()
    # Everybody has a first list, whose name is in their language. Who has no other does not sort tasks by lists.
    return await drafts.archive(steps, only_list_is_inbox=True)


async def _read_list(place: str, listed: Any, drafts: Drafts, steps: Steps) -> None:
    if not isinstance(listed, dict):
        drafts.notes.add(place, _NO_TASK)
        return
    _note_others(place, listed, _OF_LIST, drafts)
    title = listed.get("title")
    drafts.begin_list(place, title if isinstance(title, str) else "")
    for number, task in enumerate(_items(listed, place, drafts)):
        _read(f"{place}/items/{number}", task, drafts)
        if steps.is_over:
            await steps.next_step()


def _items(holder: Any, place: str, drafts: Drafts) -> list[Any]:
    items = holder.get("items", []) if isinstance(holder, dict) else None
    if isinstance(items, list):
        return items
    drafts.notes.add(f"{place}/items", "what is no list is not taken over")
    return []


def _read(place: str, task: Any, drafts: Drafts) -> None:
    if not isinstance(task, dict):
        drafts.notes.add(place, _NO_TASK)
        return
    _note_others(place, task, _KNOWN | _SILENT, drafts)
    texts = {name: task[name] for name in sorted(_TEXTS) if isinstance(task.get(name), str)}
    for name in sorted(_TEXTS - texts.keys()):
        if task.get(name) is not None:
            drafts.notes.add(f"{place}/{name}", "is not taken over: it is no text")
    if task.get("deleted") is True:
        drafts.notes.add(place, "a deleted task is not taken over")
        return
    completed = texts.get("status") == "completed"
    if texts.get("status", "needsAction") not in ("completed", "needsAction"):
        drafts.notes.add(f"{place}/status", "is not known: the task is open")
    members: dict[str, Any] = {"title": texts.get("title", ""), "description": texts.get("notes")}
    members["completed"] = completed
    # Google keeps the day alone, as midnight in UTC.
    members["due_date"] = texts["due"][:DAY_CHARACTERS] if "due" in texts else None
    members |= {"created_at": texts.get("created"), "updated_at": texts.get("updated")}
    members["completed_at"] = texts.get("completed") if completed else None
    drafts.add(Draft(place, members, key=texts.get("id"), parent=texts.get("parent")))


def _note_others(place: str, members: dict[str, Any], known: frozenset[str], drafts: Drafts) -> None:
    for name in islice(members, MEMBERS_MAX):
        if name not in known and members[name] not in (None, "", [], {}, False):
            shown = name if name.isidentifier() and len(name) <= NAME_MAX_CHARACTERS else "a member"
            drafts.notes.add(place, f"{shown} is not taken over")
    if len(members) > MEMBERS_MAX:
        drafts.notes.add(place, f"members beyond the first {MEMBERS_MAX} are not taken over")
