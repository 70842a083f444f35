"""What a writer was told, and how that is compared with what is there afterwards. Knows no network."""

import random
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

# A task's title, whether it is completed, whether it is in the trash.
State = tuple[str, bool, bool]


class Journal:
    """One writer's. What was acknowledged is known; of what was not, nobody knows whether it was made."""

    def __init__(self) -> None:
        self.tasks: dict[int, list[State]] = {}
        """What each task may be now: one state where it is known, two where nobody knows."""
        self.perhaps: list[tuple[str, ...]] = []
        """Titles of tasks that may have been created: in each group all or none, and each once."""
        self.changes = 0
        self.doubts = 0
        """How many changes were acknowledged, and how many more may have been made."""
        self.keys: set[str] = set()
        """Of acknowledged writes."""
        self.last_key: str | None = None
        """Of a write that was never answered."""
        self._ids: list[int] = []

    def created(self, task_id: int, state: State) -> None:
        self.tasks[task_id] = [state]
        self.changes += 1

    def changed(self, task_id: int, state: State) -> None:
        self.tasks[task_id] = [state]
        self.changes += 1

    def doubt_created(self, titles: tuple[str, ...]) -> None:
        self.perhaps.append(titles)
        self.doubts += len(titles)

    def doubt_changed(self, task_id: int, state: State) -> None:
        """The task is left alone from now on: what was asked for may yet be made at any time."""
        self.tasks[task_id].append(state)
        self.doubts += 1

    def any_known(self, chance: random.Random) -> int | None:
        """A task of which it is known what it is, or None where there seems to be none."""
        if len(self._ids) < len(self.tasks):
            self._ids = [*self.tasks]
        for _ in range(min(len(self._ids), 10)):
            task_id = chance.choice(self._ids)
            if len(self.tasks[task_id]) == 1:
                return task_id
        return None

    def state(self, task_id: int) -> State:
        return self.tasks[task_id][0]


@dataclass
class Found:
    """What the API shows of a user afterwards."""

    tasks: list[dict[str, Any]]
    trash: list[dict[str, Any]]
    first_revision: int
    """Before the first write that a journal tells of."""
    revision: int
    keys: Counter[str] = field(default_factory=Counter)
    """How often each idempotency key was kept with an answer."""


@dataclass
class Findings:
    """A sentence for each fault."""

    lost: list[str] = field(default_factory=list)
    duplicated: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)


def audit(user_id: str, journals: Iterable[Journal], found: Found) -> Findings:
    """Hold what is there against what all the user's writers were told."""
    journals, findings = list(journals), Findings()
    there = {task["id"]: (task["title"], task["completed"], False) for task in found.tasks}
    there |= {task["id"]: (task["title"], task["completed"], True) for task in found.trash}
    findings.wrong += [f"a task of another user: {task}" for task in found.tasks if task["user_id"] != user_id]
    known: set[int] = set()
    for journal in journals:
        known |= journal.tasks.keys()
        for task_id, states in journal.tasks.items():
            if task_id not in there:
                findings.lost.append(f"task {task_id} {states} is not there")
            elif there[task_id] not in states:
                findings.lost.append(f"task {task_id} is {there[task_id]} and not {states}")
    titles = Counter(title for title, _, _ in there.values())
    findings.duplicated += [f"{title!r} is there {times} times" for title, times in titles.items() if times > 1]
    groups = [group for journal in journals for group in journal.perhaps]
    perhaps = {title for group in groups for title in group}
    unknown = [(task_id, state) for task_id, state in there.items() if task_id not in known]
    findings.wrong += [
        f"task {task_id} {state} was never asked for" for task_id, state in unknown if state[0] not in perhaps
    ]
    findings.wrong += [
        f"half of a batch is there: {group}" for group in groups if len({titles[t] > 0 for t in group}) > 1
    ]
    _audit_revisions(journals, found, findings)
    _audit_keys(journals, found, findings)
    return findings


def _audit_revisions(journals: list[Journal], found: Found, findings: Findings) -> None:
    """Each change has taken one revision of the user's: a toggle made twice over shows here, and nowhere else."""
    made = found.revision - found.first_revision
    least = sum(journal.changes for journal in journals)
    most = least + sum(journal.doubts for journal in journals)
    if made < least:
        findings.lost.append(f"{least} changes were acknowledged, and {made} are counted")
    if made > most:
        findings.duplicated.append(f"{most} changes were asked for, and {made} are counted")


def _audit_keys(journals: list[Journal], found: Found, findings: Findings) -> None:
    told = {key for journal in journals for key in journal.keys}
    findings.lost += [f"the answer under key {key} is not kept" for key in told - found.keys.keys()]
    findings.duplicated += [f"key {key} is there {n} times" for key, n in found.keys.items() if n > 1]
    unanswered = {journal.last_key for journal in journals}
    findings.wrong += [f"key {key} was never answered" for key in found.keys.keys() - told - unanswered]
