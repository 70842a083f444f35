"""Tasks and lists as a file of another app has them, made into what can be kept; and notes of what could not be.

Knows no format. Whatever a file holds, it makes valid tasks and lists of it, or a note, and raises nothing but
ValidationFailed.
"""

from collections import Counter
from collections.abc import Hashable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

from pydantic import ValidationError

from backend.app import problems
from backend.app.domain import positions
from backend.app.domain.keys import tag_key
from backend.app.domain.limits import (
    DESCRIPTION_MAX_CHARACTERS,
    LIST_NAME_MAX_CHARACTERS,
    TAG_MAX_CHARACTERS,
    TAGS_MAX,
    TITLE_MAX_CHARACTERS,
)
from backend.app.schemas.transfer import (
    ARCHIVE_MAX,
    ARCHIVED_LISTS_MAX,
    FORMAT,
    VERSION,
    ArchivedList,
    ArchivedTask,
    Dropped,
    ForeignArchive,
)
from backend.app.web.turns import Steps
from backend.app.web.validation import findings_of

# How many notes are kept; more are counted.
NOTES_MAX: Final = 1000
# How many levels above a task are looked for the one that becomes its parent.
LEVELS_MAX: Final = 100
# What is taken away from a task that is not valid, one after the other, until it is.
_DISPENSABLE: Final = ("start_date", "reminders", "recurrence", "time_zone", "due_date")

# A line, counted from 1, or a JSON pointer.
Place = int | str


class Notes:
    """What is not taken over, and where it stands: the first of them, and how many there are."""

    def __init__(self) -> None:
        self.kept: list[Dropped] = []
        self.count = 0

    def add(self, place: Place, detail: str) -> None:
        """`detail` is a sentence without anything of the file but names of its format."""
        self.count += 1
        if len(self.kept) < NOTES_MAX:
            line = place if isinstance(place, int) else None
            pointer = place if isinstance(place, str) else None
            self.kept.append(Dropped.model_construct(line=line, pointer=pointer, detail=detail))


@dataclass(slots=True)
class Draft:
    """A task of a file: `key` is what others name it by, `parent` the key of the one that it is a part of.

    `list_id` is that of the list that was begun before it.
    """

    place: Place
    members: dict[str, Any]
    key: Hashable = None
    parent: Hashable = None
    tags: list[str] = field(default_factory=list)
    list_id: int | None = None


class Drafts:
    """The tasks and the lists of a file, in its order."""

    def __init__(self, *, max_subtasks: int) -> None:
        self.notes = Notes()
        self._max_subtasks = max_subtasks
        self._now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        self._drafts: list[Draft] = []
        self._tasks: list[ArchivedTask] = []
        self._lists: list[ArchivedList] = []
        # Where each list begins, also those that are not taken over.
        self._list_places: list[Place] = []
        # The list that the next task is in.
        self._list_id: int | None = None

    def begin_list(self, place: Place, name: str) -> None:
        """Put the tasks that follow into a list of this name, or into the inbox where the name is empty.

        Raises ValidationFailed where there are too many lists.
        """
        self._list_places.append(place)
        self._list_id = None
        name = self._shortened(place, "the name of a list", name, LIST_NAME_MAX_CHARACTERS)
        if not name:
            self.notes.add(place, "a list without a name is not taken over: its tasks go to the inbox")
            return
        if len(self._lists) >= ARCHIVED_LISTS_MAX:
            detail = f"must have at most {ARCHIVED_LISTS_MAX} lists"
            raise problems.ValidationFailed([{"pointer": "#", "detail": detail}])
        self._list_id = len(self._lists) + 1
        position = positions.behind(self._lists[-1].position if self._lists else None)
        members = {"id": self._list_id, "name": name, "position": position}
        times = {"created_at": self._now, "updated_at": self._now}
        self._lists.append(ArchivedList.model_validate(members | times))

    def add(self, draft: Draft) -> None:
        """Keep a task, as far as it can be. Raises ValidationFailed where there are too many."""
        if len(self._tasks) >= ARCHIVE_MAX:
            raise problems.ValidationFailed([{"pointer": "#", "detail": f"must have at most {ARCHIVE_MAX} tasks"}])
        members = {name: value for name, value in draft.members.items() if value is not None}
        title = self._shortened(draft.place, "title", members.pop("title", ""), TITLE_MAX_CHARACTERS)
        if not title:
            self.notes.add(draft.place, "a task without a title is not taken over")
            return
        members |= {"id": len(self._tasks) + 1, "title": title, "tags": self._tags(draft)}
        if text := members.pop("description", "").strip("\n"):
            members["description"] = self._shortened(draft.place, "description", text, DESCRIPTION_MAX_CHARACTERS)
        members.setdefault("created_at", self._now)
        members.setdefault("updated_at", members["created_at"])
        self._tasks.append(self._valid(draft, members))
        draft.list_id = self._list_id
        self._drafts.append(draft)

    async def archive(self, steps: Steps, *, only_list_is_inbox: bool = False) -> ForeignArchive:
        """All of them, each with its parent: one level deep, not too many of one, and in its parent's list.

        With `only_list_is_inbox` the tasks of a file that has one list are in none.
        """
        if only_list_is_inbox and self._lists and len(self._list_places) == 1:
            self._lists.clear()
            detail = "the list is the file's only one and is not taken over: its tasks go to the inbox"
            self.notes.add(self._list_places[0], detail)
        numbers = {draft.key: number for number, draft in enumerate(self._drafts) if draft.key is not None}
        counts: Counter[int] = Counter()
        for draft, task in zip(self._drafts, self._tasks, strict=True):
            task.list_id = self._list_of(draft)
            if draft.parent is not None:
                self._attach(draft, task, numbers, counts)
            if steps.is_over:
                await steps.next_step()
        return ForeignArchive.model_construct(
            format=FORMAT,
            version=VERSION,
            lists=tuple(self._lists),
            tasks=self._tasks,
            dropped=self.notes.kept,
            dropped_count=self.notes.count,
        )

    def _list_of(self, draft: Draft) -> int | None:
        return draft.list_id if self._lists else None

    def _attach(self, draft: Draft, task: ArchivedTask, numbers: Mapping[Hashable, int], counts: Counter[int]) -> None:
        above = list(self._above(draft, numbers))
        if not above:
            self.notes.add(draft.place, "the parent is not in the file: this becomes a task of its own")
        elif self._drafts[above[-1]].parent is not None and self._drafts[above[-1]].parent in numbers:
            self.notes.add(draft.place, "this is below itself, or too many levels deep: it becomes a task of its own")
        elif counts[above[-1]] >= self._max_subtasks:
            self.notes.add(
                draft.place, f"a task has {self._max_subtasks} subtasks at most: this becomes one of its own"
            )
        else:
            counts[above[-1]] += 1
            task.parent_id = self._tasks[above[-1]].id
            task.list_id = self._list_of(self._drafts[above[-1]])
            if task.list_id != self._list_of(draft):
                self.notes.add(draft.place, "a subtask is in the list of its task: this goes there")
            if len(above) > 1:
                self.notes.add(draft.place, "subtasks are one level deep: this becomes one of the task at the top")

    def _above(self, draft: Draft, numbers: Mapping[Hashable, int]) -> Iterator[int]:
        """The tasks above one, the nearest first."""
        seen = 0
        while draft.parent is not None and draft.parent in numbers and seen < LEVELS_MAX:
            seen += 1
            yield numbers[draft.parent]
            draft = self._drafts[numbers[draft.parent]]

    def _shortened(self, place: Place, name: str, text: str, most: int) -> str:
        whole = text.replace("\0", "").strip()
        text = whole[: most + 1]
        if len(text) > most:
            self.notes.add(place, f"{name} is cut off after {most} characters")
        return text[:most].strip()

    def _tags(self, draft: Draft) -> list[str]:
        tags: dict[str, str] = {}
        for text in draft.tags:
            tag = "".join(letter for letter in text if letter.isprintable()).strip()
            if not tag or len(tag) > TAG_MAX_CHARACTERS or (len(tags) >= TAGS_MAX and tag_key(tag) not in tags):
                self.notes.add(
                    draft.place, f"a task has at most {TAGS_MAX} tags, each of 1 to {TAG_MAX_CHARACTERS} characters"
                )
            else:
                tags.setdefault(tag_key(tag), tag)
        return list(tags.values())

    def _valid(self, draft: Draft, members: dict[str, Any]) -> ArchivedTask:
        """Takes away what is not valid until the rest is: the title, which was cleaned, and the times of now are."""
        while True:
            try:
                return ArchivedTask.model_validate(members)
            except ValidationError as error:
                finding = findings_of(error)[0]
            name = next(str(name) for name in finding["loc"] or _DISPENSABLE if name in members)
            del members[name]
            for time in ("created_at", "updated_at"):
                members.setdefault(time, self._now)
            self.notes.add(draft.place, f"{name} is not taken over: {finding['msg'].removeprefix('Value error, ')}")
