"""Two users at once against a model: whatever they do in whatever order, and however often, each has what is theirs."""

import asyncio
import copy
import itertools
import secrets
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import httpx
import orjson
import pytest
from fastapi import FastAPI
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from backend.app.domain import recurrence, reminders
from backend.app.domain.due_dates import due_at, start_at
from backend.app.main import create_app
from backend.app.middleware.path_guard import PathGuardMiddleware
from backend.app.repositories import completion_undo
from tests.support.applications import Client, client_for, running, settings_for
from tests.support.tokens import token
from tests.support.ways import examples

Task = dict[str, Any]

BOUNDED = settings(
    max_examples=examples(30),
    stateful_step_count=40,
    derandomize=True,
    database=None,
    deadline=None,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)

who = st.sampled_from([0, 1])
task_ids = st.sampled_from([1, 1, 2, 2, 3, 4, 5, 6])
titles = st.text("abß 🦊'\"%\\\n;-", min_size=1, max_size=12).filter(str.strip)
descriptions = st.none() | st.text("xyz é'%\\", max_size=12)
plans = {
    "priority": st.none() | st.sampled_from(["low", "medium", "high"]),
    "tags": st.lists(st.sampled_from(["a", "B", "ß"]), max_size=2, unique=True),
    "due_date": st.none() | st.sampled_from(["2026-01-31", "2026-03-28T02:30:00+01:00"]),
    "reminders": st.lists(st.sampled_from(["2090-01-01T09:00:00Z", "-PT30M"]), max_size=2, unique=True),
    "start_date": st.none() | st.sampled_from(["2026-01-31", "2026-02-10T12:00:00Z", "2999-01-01"]),
}
repeats = st.sampled_from(["FREQ=DAILY;COUNT=2", "FREQ=MONTHLY"])
# Without `completion`, which depends on the very day.
repeats_from = st.sampled_from(["due_date", "schedule"])
parents = st.none() | st.integers(1, 4)
members: dict[str, Any] = {"description": descriptions, "completed": st.booleans(), **plans}
members |= {"recurrence_from": repeats_from, "parent_id": parents}
new_tasks = st.fixed_dictionaries({"title": titles}, optional={**members, "recurrence": repeats})
patches = st.fixed_dictionaries({}, optional={"title": titles, **members, "recurrence": st.none() | repeats})
conditions = st.sampled_from(["none"] * 8 + ["any", "current", "among others", "stale", "weak", "not a tag"])
# How often a request is sent with one key; None: once, without a key.
retries = st.sampled_from([None, None, 1, 2, 3])

# How many tasks of a file are added at most.
ADDED_MAX = 5

filters = st.fixed_dictionaries(
    {},
    optional={
        "status": st.sampled_from(["all", "pending", "completed"]),
        "parent_id": st.just("none") | st.integers(1, 4),
        "tag": st.sampled_from(["a", "b"]),
    },
)
edits = st.fixed_dictionaries(
    {}, optional={name: value for name, value in members.items() if name not in ("completed", "parent_id")}
)
applied = st.one_of(
    st.just({"op": "delete"}),
    st.just({"op": "complete", "completed": True, "skip_missed": True}),
    st.builds(lambda completed: {"op": "complete", "completed": completed}, st.booleans()),
    st.builds(lambda changes: {"op": "update", "changes": changes}, edits),
)

BLANK: Task = {
    "description": None,
    "completed": False,
    "priority": None,
    "tags": [],
    "due_date": None,
    "reminders": [],
    "start_date": None,
    "recurrence": None,
    "recurrence_from": None,
    "parent_id": None,
}


# What is recorded of a task that repeats when it is completed.
RECORDED = ("title", "due_date", "start_date", "recurrence", "reminders")
# The moments of completions, as the model knows them: their order.
moments = itertools.count()


class Refused(Exception):
    """The model's answer to what cannot be done: a status."""


class Model:
    """One user's tasks, as the contract says they are."""

    def __init__(self) -> None:
        self.tasks: dict[int, Task] = {}
        self.trash: dict[int, Task] = {}
        # By the task and the moment.
        self.completions: dict[tuple[int, int], Task] = {}
        self.last_id = 0
        self.revision: int | None = None

    def create(self, body: Task) -> Task:
        task = {**BLANK, **body, "title": body["title"].strip()}
        self._check(task)
        self._take_in(task, None)
        self.last_id += 1
        return self._written({**task, "id": self.last_id})

    def change(
        self, task_id: int, condition: str, changes: Task, *, whole: bool = False, skip_missed: bool = False
    ) -> Task:
        if whole:
            self._check({**BLANK, **changes})
        task = self.get(task_id, condition)
        wanted = {**task, **(BLANK | {"completed": task["completed"]} if whole else {}), **changes}
        wanted["title"] = wanted["title"].strip()
        self._check(wanted)
        if wanted["parent_id"] != task["parent_id"]:
            self._take_in(wanted, task)
        if wanted["completed"] and not task["completed"]:
            following = self._following(wanted, skip_missed=skip_missed)
            for part in self._parts(task_id):
                if part["completed"] is (following is not None):
                    self._written({**part, "completed": following is None})
            if following is not None:
                self._completed((task_id, next(moments)), {name: wanted[name] for name in RECORDED})
                begin = recurrence.moved_start(wanted["start_date"], wanted["due_date"], following.due, None)
                later = reminders.moved(wanted["reminders"], wanted["due_date"], following.due, None)
                moved = {"due_date": following.due, "recurrence": following.rule, "start_date": begin}
                wanted = {**wanted, "completed": False, **moved, "reminders": later}
        return self._written(wanted)

    def complete(self, task_id: int, condition: str, completed: bool | None, *, skip_missed: bool = False) -> Task:
        task = self.get(task_id, condition)
        done = not task["completed"] if completed is None else completed
        if done and task["completed"]:  # what is completed again takes its parts along again, and does not move on
            if task["recurrence"] is not None:
                return self._written(task)
            for part in self._parts(task_id):
                if not part["completed"]:
                    self._written({**part, "completed": True})
        return self.change(task_id, "none", {"completed": done}, skip_missed=skip_missed)

    def take_back(self, task_id: int, before: dict[int, Task], known: set[tuple[int, int]]) -> Task:
        """What a completion has changed is what it was before, when only these were known."""
        for key in self.completions.keys() - known:
            del self.completions[key]
            self._moved_on()
        for number, task in before.items():
            if self.tasks[number] != task:
                self._written(task)
        return self.tasks[task_id]

    def delete(self, task_id: int, condition: str) -> None:
        task = self.get(task_id, condition)
        for gone in [task, *self._parts(task_id)]:
            along = task_id if gone is not task else None
            self.trash[gone["id"]] = {**self.tasks.pop(gone["id"]), "deleted_with": along}
            self._moved_on()

    def restore(self, task_id: int) -> Task:
        if task_id not in self.trash:
            raise Refused(404)
        task = self.trash.pop(task_id)
        parent = self.tasks.get(task["parent_id"])
        if parent is None or parent["parent_id"] is not None:
            task["parent_id"] = None
        for part in [one for one in self.trash.values() if one["deleted_with"] == task_id]:
            del self.trash[part["id"]]
            self._written(part)
        return self._written(task)

    def add(self, file: list[Task], completions: dict[tuple[int, int], Task]) -> None:
        """The tasks of a file under the next ids, in the order of the file's, and what was completed of them."""
        ids = {task["id"]: self.last_id + place for place, task in enumerate(file, 1)}
        self.last_id += len(file)
        for task in file:
            self._written({**shown(task), "id": ids[task["id"]], "parent_id": ids.get(task["parent_id"])})
        self._bring(completions, ids)

    def take_over(self, other: "Model") -> None:
        """All that the other has, under the next ids in the order of theirs; they are erased."""
        ids = {
            old: self.last_id + place for place, old in enumerate(sorted(other.tasks.keys() | other.trash.keys()), 1)
        }
        self.last_id += len(ids)
        for old, task in other.tasks.items():
            self._written({**task, "id": ids[old], "parent_id": ids.get(task["parent_id"])})
        for old, task in other.trash.items():
            along = ids.get(task["deleted_with"])
            moved = {"id": ids[old], "parent_id": ids.get(task["parent_id"]), "deleted_with": along}
            self.trash[ids[old]] = {**task, **moved}
            self._moved_on()
        self._bring(other.completions, ids)

    def put_in_place(self, file: list[Task]) -> None:
        """The tasks of a file under its ids; what they replace is in the trash, under the next ids."""
        for task in file:
            self.last_id += 1
            self.trash[self.last_id] = {**self.tasks[task["id"]], "id": self.last_id, "deleted_with": None}
            self._moved_on()
        for task in file:
            self._written(shown(task))

    def purge(self, task_id: int) -> None:
        if task_id not in self.trash:
            raise Refused(404)
        self.trash = {
            number: task for number, task in self.trash.items() if number != task_id and task["deleted_with"] != task_id
        }
        self.forget_purged()

    def empty_trash(self) -> None:
        self.trash = {}
        self.forget_purged()

    def forget_purged(self) -> None:
        """Completions go with their tasks."""
        there = self.tasks.keys() | self.trash.keys()
        self.completions = {key: done for key, done in self.completions.items() if key[0] in there}

    def completed_in_order(self) -> list[tuple[int, Task]]:
        """What was completed of which task, the newest first."""
        newest_first = sorted(self.completions, key=lambda key: key[::-1], reverse=True)
        return [(key[0], self.completions[key]) for key in newest_first]

    def apply(self, where: Task, op: str, expect: int | None, **members: Any) -> None:
        found = [number for number, task in sorted(self.tasks.items()) if _fits(task, **where)]
        if expect is not None and expect != len(found):
            raise Refused(409)
        for task_id in found:
            if op == "update":
                self.change(task_id, "none", members["changes"])
            elif op == "complete" and not members["completed"]:
                self.complete(task_id, "none", completed=False)
            elif self.tasks[task_id]["parent_id"] in found:
                continue
            elif op == "complete":
                self.complete(task_id, "none", completed=True, skip_missed=members.get("skip_missed", False))
        if op == "delete":
            for task_id in found:
                if task_id in self.tasks and self.tasks[task_id]["parent_id"] not in found:
                    self.delete(task_id, "none")

    def get(self, task_id: int, condition: str = "none") -> Task:
        if task_id not in self.tasks:
            raise Refused(404)
        if condition in ("stale", "weak", "not a tag"):
            raise Refused(412)
        return self.tasks[task_id]

    def page(self, status: str) -> list[Task]:
        wanted = {"all": (True, False), "pending": (False,), "completed": (True,)}[status]
        return [task for _, task in sorted(self.tasks.items(), reverse=True) if task["completed"] in wanted]

    def copy(self) -> Any:
        return copy.deepcopy((self.tasks, self.trash, self.completions, self.last_id, self.revision))

    def _parts(self, task_id: int) -> list[Task]:
        return [task for _, task in sorted(self.tasks.items()) if task["parent_id"] == task_id]

    def _check(self, task: Task) -> None:
        if task["due_date"] is None and (task["recurrence"] is not None or "-PT30M" in task["reminders"]):
            raise Refused(422)
        begin, due = task["start_date"], task["due_date"]
        if begin is not None and due is not None and start_at(begin, None) > due_at(due, None):
            raise Refused(422)

    def _take_in(self, child: Task, known: Task | None) -> None:
        parent = self.tasks.get(child["parent_id"])
        if child["parent_id"] is None:
            return
        if parent is None or parent["parent_id"] is not None or (known is not None and known["id"] == parent["id"]):
            raise Refused(422)
        if known is not None and self._parts(known["id"]):
            raise Refused(422)

    def _following(self, task: Task, *, skip_missed: bool) -> recurrence.Next | None:
        """Where occurrences are skipped, the task moves on one by one until it is due again."""
        if task["recurrence"] is None:
            return None
        if skip_missed or task["recurrence_from"] == "schedule":
            now, following = datetime.now(UTC), self._following({**task, "recurrence_from": None}, skip_missed=False)
            while following is not None and due_at(following.due, None) <= now:
                moved = {"due_date": following.due, "recurrence": following.rule, "recurrence_from": None}
                following = self._following(moved, skip_missed=False)
            return following
        return recurrence.advance(task["due_date"], task["recurrence"], time_zone=None, completed_at=None)

    def _written(self, task: Task) -> Task:
        self._moved_on()
        task = {**task, "recurrence_from": task["recurrence"] and (task["recurrence_from"] or "due_date")}
        self.tasks[task["id"]] = {
            name: value for name, value in task.items() if name not in ("revision", "deleted_with")
        }
        return self.tasks[task["id"]]

    def _completed(self, key: tuple[int, int], done: Task) -> None:
        self.completions[key] = done
        self._moved_on()

    def _bring(self, completions: dict[tuple[int, int], Task], ids: dict[int, int]) -> None:
        for (task_id, moment), done in completions.items():
            if task_id in ids:
                self._completed((ids[task_id], moment), done)

    def _moved_on(self) -> None:
        self.revision = None if self.revision is None else self.revision + 1


def _fits(task: Task, *, status: str = "all", parent_id: int | str | None = None, tag: str = "") -> bool:
    return (
        status in ("all", "completed" if task["completed"] else "pending")
        and (parent_id is None or task["parent_id"] == (None if parent_id == "none" else parent_id))
        and tag.upper() in ("", *(one.upper() for one in task["tags"]))
    )


class Follower:
    """A client's copy of a user's tasks, which is brought up to date now and then, and sometimes cut off."""

    def __init__(self) -> None:
        self.since = 0
        self.tasks: dict[int, Task] = {}
        self.completions: dict[str, Task] = {}

    def apply(self, answer: httpx.Response) -> bool:
        """Whether there is more to ask for."""
        if answer.status_code == 410:
            self.since, self.tasks, self.completions = 0, {}, {}
            return True
        told = answer.json()
        self.tasks.update({task["id"]: task for task in told["tasks"]})
        for task_id in told["deleted"]:
            self.tasks.pop(task_id, None)
        self.completions.update({one["id"]: one for one in told["completions"]})
        for completion in told["deleted_completions"]:
            self.completions.pop(completion, None)
        self.since = told["revision"]
        return bool(told["has_more"])


class TwoUsers(RuleBasedStateMachine):
    """Every route, by either user, on either user's path, answers lost and repeated. After each step both users see
    what their model says, and in the end their copies are what the server has."""

    def __init__(self, runner: asyncio.Runner, app: FastAPI) -> None:
        super().__init__()
        self.runner = runner
        self.clients = [client_for(app) for _ in range(2)]
        self.models = [Model(), Model()]
        self.copies = [Follower(), Follower()]
        self.steps = 0

    @initialize()
    def begin(self) -> None:
        """Both have a parent with two parts, and something that repeats."""
        for user in (0, 1):
            for body in (
                {},
                {"parent_id": 1},
                {"parent_id": 1},
                {"due_date": "2026-01-31", "recurrence": "FREQ=MONTHLY"},
            ):
                self.create(user, {"title": "to begin with", **body}, None)

    @rule(user=who, body=new_tasks, retry=retries)
    def create(self, user: int, body: Task, retry: int | None) -> None:
        self.write(user, lambda model: model.create(body), "POST", "/tasks", retry, json=body)

    @rule(user=who, status=st.sampled_from(["all", "pending", "completed"]), limit=st.integers(1, 3))
    def list_in_pages(self, user: int, status: str, limit: int) -> None:
        listed: list[Task] = []
        following: str | None = f"?status={status}&limit={limit}"
        while following is not None:
            answer = self.ask(user, "GET", f"/tasks{following}")
            listed += answer.json()
            assert len(answer.json()) <= limit
            following = "?" + answer.links["next"]["url"].partition("?")[2] if answer.links else None
        assert [shown(task) for task in listed] == self.models[user].page(status)

    @rule(user=who, task_id=task_ids, condition=conditions)
    def get(self, user: int, task_id: int, condition: str) -> None:
        headers = {"If-None-Match" if name == "If-Match" else name: v for name, v in self.tag(user, task_id, condition)}
        answer = self.ask(user, "GET", f"/tasks/{task_id}", headers=headers)
        task = self.models[user].tasks.get(task_id)
        if task is None:
            assert answer.status_code == 404
        elif condition in ("any", "current", "among others", "weak"):
            assert (answer.status_code, answer.content) == (304, b"")
        else:
            assert (answer.status_code, shown(answer.json())) == (200, task)

    @rule(user=who, task_id=task_ids, body=new_tasks, condition=conditions, retry=retries)
    def put(self, user: int, task_id: int, body: Task, condition: str, retry: int | None) -> None:
        self.write(
            user, lambda model: model.change(task_id, condition, body, whole=True), "PUT", f"/tasks/{task_id}", retry,
            condition, json=body,
        )  # fmt: skip

    @rule(user=who, task_id=task_ids, body=patches, condition=conditions, retry=retries)
    def patch(self, user: int, task_id: int, body: Task, condition: str, retry: int | None) -> None:
        self.write(
            user, lambda model: model.change(task_id, condition, body), "PATCH", f"/tasks/{task_id}", retry, condition,
            json=body,
        )  # fmt: skip

    @rule(
        user=who,
        task_id=task_ids,
        body=st.none() | st.builds(dict, completed=st.booleans()) | st.just({"completed": True, "skip_missed": True}),
        condition=conditions,
        retry=retries,
    )
    def complete(self, user: int, task_id: int, body: Task | None, condition: str, retry: int | None) -> None:
        content = {} if body is None else {"json": body}
        wanted = {"completed": None} if body is None else body
        self.write(
            user, lambda model: model.complete(task_id, condition, **wanted), "PATCH", f"/tasks/{task_id}/complete",
            retry, condition, **content,
        )  # fmt: skip

    @rule(user=who, place=st.integers(0, 2), skip_missed=st.booleans(), heard=st.booleans(), retry=retries)
    def complete_and_take_back(self, user: int, place: int, skip_missed: bool, heard: bool, retry: int | None) -> None:
        """Of the open tasks, mostly one that repeats; a copy may hear of it before it is taken back."""
        model = self.models[user]
        before, known = copy.deepcopy(model.tasks), set(model.completions)
        still_open = [task for task in before.values() if not task["completed"]]
        if place >= len(still_open):
            return
        task_id = sorted(still_open, key=lambda task: (task["recurrence"] is None, task["id"]))[place]["id"]
        self.complete(user, task_id, {"completed": True, "skip_missed": skip_missed}, "none", None)
        if heard:
            self.follow(user, limit=4, answers=100)
        [newest] = self.ask(user, "GET", f"/completions?task_id={task_id}&limit=1").json()
        below = f"/completions/{newest['id']}"
        self.write(user, lambda model: model.take_back(task_id, before, known), "DELETE", below, retry)
        if heard:
            self.follow(user, limit=4, answers=100)
            assert newest["id"] not in self.copies[user].completions

    @rule(user=who, task_id=task_ids, condition=conditions, retry=retries)
    def delete(self, user: int, task_id: int, condition: str, retry: int | None) -> None:
        self.write(
            user, lambda model: model.delete(task_id, condition), "DELETE", f"/tasks/{task_id}", retry, condition
        )

    @rule(user=who, task_id=task_ids, retry=retries)
    def restore(self, user: int, task_id: int, retry: int | None) -> None:
        self.write(user, lambda model: model.restore(task_id), "POST", f"/tasks/{task_id}/restore", retry)

    @rule(user=who, task_id=task_ids, retry=retries)
    def purge(self, user: int, task_id: int, retry: int | None) -> None:
        self.write(user, lambda model: model.purge(task_id), "DELETE", f"/trash/{task_id}", retry)

    @rule(user=who, retry=retries)
    def empty_trash(self, user: int, retry: int | None) -> None:
        self.write(user, lambda model: model.empty_trash(), "DELETE", "/trash", retry)

    @rule(user=who, where=filters, operation=applied, off_by=st.sampled_from([None, None, 0, 1]), retry=retries)
    def apply(self, user: int, where: Task, operation: Task, off_by: int | None, retry: int | None) -> None:
        found = [task for task in self.models[user].tasks.values() if _fits(task, **where)]
        expect = None if off_by is None else len(found) + off_by
        body = {"where": where, **operation} | ({} if expect is None else {"expect": expect})
        self.write(
            user, lambda model: model.apply(where, expect=expect, **operation), "POST", "/tasks/apply", retry, json=body
        )

    @rule(user=who, body=new_tasks, first=task_ids, second=task_ids, retry=retries)
    def batch(self, user: int, body: Task, first: int, second: int, retry: int | None) -> None:
        operations = [
            {"op": "create", "ref": "new", "task": body},
            {"op": "complete", "ref": "new"},
            {"op": "delete", "id": first},
            {"op": "restore", "id": second},
        ]

        def make(model: Model) -> None:
            made = model.create(body)
            model.complete(made["id"], "none", completed=True)
            model.delete(first, "none")
            model.restore(second)

        self.write(user, make, "POST", "/batch", retry, json={"operations": operations})

    @rule(user=who)
    def move_out_and_in_again(self, user: int) -> None:
        """Nothing changes, not even a revision."""
        file = self.ask(user, "GET", "/export").json()
        counts = self.ask(user, "POST", "/import", json=file).json()
        assert counts == {"created": 0, "changed": 0, "unchanged": len(self.models[user].tasks)}
        if self.models[user].revision is None and not file["tasks"]:
            self.models[user].revision = self.revision(user)

    @rule(user=who, other=st.booleans(), retry=retries)
    def add_a_file(self, user: int, other: bool, retry: int | None) -> None:
        """Some tasks of the other, or one's own once more."""
        owner = 1 - user if other else user
        file, completions = self.ask(owner, "GET", "/export").json(), dict(self.models[owner].completions)
        ids = {task["id"] for task in file["tasks"][:ADDED_MAX]}
        file["tasks"] = [task for task in file["tasks"] if {task["id"], task["parent_id"] or task["id"]} <= ids]
        only_of_tasks(file)
        self.write(
            user, lambda model: model.add(file["tasks"], completions), "POST", "/import?ids=new", retry, json=file
        )

    @rule(user=who, title=titles, retry=retries)
    def put_a_file_in_place(self, user: int, title: str, retry: int | None) -> None:
        """One's own tasks, with another title."""
        file = self.ask(user, "GET", "/export").json()
        file["tasks"] = [{**task, "title": title.strip()} for task in file["tasks"] if task["title"] != title.strip()]
        only_of_tasks(file)
        self.write(user, lambda model: model.put_in_place(file["tasks"]), "POST", "/import", retry, json=file)

    @rule(user=who, retry=retries)
    def claim(self, user: int, retry: int | None) -> None:
        """With the other's token, as an anonymous user has it."""
        other = self.models[1 - user]
        body = {"token": token(self.clients[1 - user].user_id, isAnonymous=True)}
        self.write(user, lambda model: model.take_over(other), "POST", "/claim", retry, json=body)
        self.models[1 - user] = Model()

    @rule(user=who)
    def erase_and_bring_back(self, user: int) -> None:
        """The same tasks, and a trash that is empty; who follows starts again."""
        file = self.ask(user, "GET", "/export").json()
        self.ask(user, "DELETE", "")
        self.ask(user, "POST", "/import", json=file)
        model = self.models[user]
        model.trash, model.last_id = {}, max(model.tasks, default=0)
        model.forget_purged()
        model.revision = self.revision(user)

    @rule(user=who)
    def erase(self, user: int) -> None:
        self.ask(user, "DELETE", "")
        self.models[user] = Model()

    @rule(user=who, limit=st.integers(1, 4), answers=st.integers(1, 3))
    def follow(self, user: int, limit: int, answers: int) -> None:
        """For some answers: the connection may be cut in the middle."""
        follower = self.copies[user]
        for _ in range(answers):
            if not follower.apply(self.ask(user, "GET", f"/changes?since={follower.since}&limit={limit}")):
                break

    @rule(
        user=who,
        method=st.sampled_from(["GET", "POST", "PUT", "PATCH", "DELETE"]),
        below=st.sampled_from(
            [
                *("/tasks", "/tasks/1", "/tasks/1/complete", "/tasks/1/restore", "/tasks/apply", "/trash", "/trash/1"),
                *("/batch", "/changes", "", "/export", "/completions", "/completions/1-1"),
            ]
        ),
    )
    def try_the_others_path(self, user: int, method: str, below: str) -> None:
        answer = self.ask(user, method, below, path_of=1 - user, json={"title": "not mine", "completed": True})
        assert answer.status_code == 403
        assert self.clients[1 - user].user_id not in answer.text

    @invariant()
    def each_has_what_is_theirs(self) -> None:
        for user, model in enumerate(self.models):
            answer = self.ask(user, "GET", "/tasks")
            assert [shown(task) for task in answer.json()] == model.page("all")
            assert {task["user_id"] for task in answer.json()} <= {self.clients[user].user_id}
            deleted = self.ask(user, "GET", "/tasks?status=deleted").json()
            assert {task["id"] for task in deleted} == model.trash.keys()
            assert model.revision in (None, self.revision(user))
            done = [(one["task_id"], {name: one[name] for name in RECORDED}) for one in self.completions(user)]
            assert done == model.completed_in_order()
            if self.steps % 3 == 0:
                self.follow(user, limit=1 + self.steps % 2, answers=1 + self.steps % 5)
        self.steps += 1

    def teardown(self) -> None:
        for user, follower in enumerate(self.copies):
            while follower.apply(self.ask(user, "GET", f"/changes?since={follower.since}&limit=3")):
                pass
            listed = self.ask(user, "GET", "/tasks").content
            assert orjson.dumps([follower.tasks[number] for number in sorted(follower.tasks, reverse=True)]) == listed
            # Nobody is told which went with a task that was purged.
            there = self.models[user].tasks.keys() | self.models[user].trash.keys()
            copied = {key: one for key, one in follower.completions.items() if one["task_id"] in there}
            assert copied == {one["id"]: one for one in self.completions(user)}
        for client in self.clients:
            self.runner.run(client.aclose())

    def completions(self, user: int) -> list[Task]:
        """What the server has recorded of tasks that repeat."""
        found: list[Task] = []
        below: str | None = "/completions?limit=500"
        while below is not None:
            answer = self.ask(user, "GET", below)
            found += [one for one in answer.json() if one["moved_on"]]
            below = f"/completions?{answer.links['next']['url'].partition('?')[2]}" if answer.links else None
        return found

    def revision(self, user: int) -> int:
        return int(self.ask(user, "GET", "/tasks").headers["etag"].strip('"'))

    def write(  # noqa: PLR0917 - a request is as long as that
        self, user: int, make: Callable[[Model], Any], method: str, below: str, retry: int | None,
        condition: str = "none", **content: Any,
    ) -> None:  # fmt: skip
        """What the model makes of it is what is answered, as often as the request is sent with one key."""
        model = self.models[user]
        headers = dict(self.tag(user, int(below.split("/")[2]), condition)) if condition != "none" else {}
        if retry is not None:
            headers["Idempotency-Key"] = secrets.token_hex()
        before, first = model.copy(), model.revision is None
        try:
            made, status = make(model), None
        except Refused as refusal:
            made, status = None, refusal.args[0]
            model.tasks, model.trash, model.completions, model.last_id, model.revision = before
        answers = [self.ask(user, method, below, headers=headers, **content) for _ in range(retry or 1)]
        assert {answer.content for answer in answers if answer.status_code < 400} in (set(), {answers[0].content})
        for answer in answers:
            if status is not None:
                assert answer.status_code == status, answer.text
            else:
                assert answer.status_code in (200, 201, 204), answer.text
        if first and status is None:  # the first revision is the time
            model.revision = self.revision(user) or None
        if status is None and answers[0].content and "id" in answers[0].json():
            assert shown(answers[0].json()) == made

    def ask(self, user: int, method: str, below: str, *, path_of: int | None = None, **options: Any) -> httpx.Response:
        client: Client = self.clients[user]
        owner = self.clients[user if path_of is None else path_of].user_id
        return self.runner.run(client.request(method, f"/api/{owner}{below}", **options))

    def tag(self, user: int, task_id: int, condition: str) -> list[tuple[str, str]]:
        known = self.ask(user, "GET", f"/tasks/{task_id}").headers.get("etag", '"7"').strip('"')
        tags = {
            "any": "*",
            "current": f'"{known}"',
            "among others": f'"1", W/"2", "{known}"',
            "stale": f'"{int(known) - 1}"',
            "weak": f'W/"{known}"',
            "not a tag": "yesterday",
        }
        return [("If-Match", tags[condition])] if condition in tags else []


def shown(task: Task) -> Task:
    """What the model knows of a task; the times are the database's."""
    assert task["updated_at"] >= task["created_at"]
    assert task["completed"] or task["completed_at"] is None
    assert task["remind_at"] == reminders.next_moment(task)
    return {name: task[name] for name in ("id", "title", *BLANK)}


def only_of_tasks(file: Task) -> None:
    """Leave out what was completed of tasks that the file does not have."""
    ids = {task["id"] for task in file["tasks"]}
    file["completions"] = [one for one in file["completions"] if one["task_id"] in ids]


def play(app: FastAPI) -> None:
    """Let the two users loose on this application."""
    lifespan = running(app)
    # A loop of its own: Hypothesis runs rules as ordinary functions.
    with asyncio.Runner(loop_factory=asyncio.new_event_loop) as runner:
        runner.run(lifespan.__aenter__())
        try:
            machine: Any = lambda: TwoUsers(runner, app)  # noqa: E731 - typed as a class, which a machine with arguments is not
            run_state_machine_as_test(machine, settings=BOUNDED)
        finally:
            runner.run(lifespan.__aexit__(None, None, None))


@pytest.mark.no_cover  # twice as fast, and no line is reached by this alone
def test_two_users_each_have_what_the_model_says(database_url: str) -> None:
    """Any order of all routes, by two users, leaves each with exactly what they themselves did."""
    play(create_app(settings_for(database_url)))


def test_a_wall_that_is_missing_is_noticed(database_url: str) -> None:
    """The machine's own failing sample: without the path guard the other's path is not refused."""
    app = create_app(settings_for(database_url))
    guard: Any = PathGuardMiddleware
    app.user_middleware = [layer for layer in app.user_middleware if layer.cls is not guard]

    with pytest.raises(AssertionError, match="403"):
        play(app)


PLANTED = {
    "one that is taken back stays": ("completion_undo.FORGET", completion_undo.RECORD),
    "a copy does not hear what was taken back": ("changes._completion_id", lambda row: f"{row[0]}-1"),
}


@pytest.mark.no_cover
@pytest.mark.parametrize(("name", "instead"), PLANTED.values(), ids=PLANTED.keys())
def test_what_is_wrong_with_completions_is_noticed(
    database_url: str, monkeypatch: pytest.MonkeyPatch, name: str, instead: Any
) -> None:
    """Failing samples: on the server, and in a copy."""
    monkeypatch.setattr(f"backend.app.repositories.{name}", instead)

    with pytest.raises(AssertionError):
        play(create_app(settings_for(database_url)))
