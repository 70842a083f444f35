"""Two users at once against a model of fifty lines: whatever they do in whatever order, each has what is theirs."""

import asyncio
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from backend.app.main import create_app
from backend.app.middleware.path_guard import PathGuardMiddleware
from tests.conftest import Client, client_for, running, settings_for

Task = dict[str, Any]

BOUNDED = settings(
    max_examples=30,
    stateful_step_count=30,
    derandomize=True,
    database=None,
    deadline=None,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)

who = st.sampled_from([0, 1])
task_ids = st.integers(1, 6)
titles = st.text("abß 🦊'\"%\\\n;-", min_size=1, max_size=12).filter(str.strip)
descriptions = st.none() | st.text("xyz é'%\\", max_size=12)
new_tasks = st.fixed_dictionaries({"title": titles}, optional={"description": descriptions, "completed": st.booleans()})
patches = st.fixed_dictionaries({}, optional={"title": titles, "description": descriptions, "completed": st.booleans()})
conditions = st.sampled_from(["none", "any", "current", "among others", "stale", "weak", "not a tag"])


class Model:
    """One user's tasks, as the contract says they are."""

    def __init__(self) -> None:
        self.tasks: dict[int, Task] = {}
        self.last_id = 0
        self.revision: int | None = None

    def create(self, body: Task) -> Task:
        self.last_id += 1
        task = {"description": None, "completed": False, **body, "title": body["title"].strip(), "id": self.last_id}
        return self._written(task)

    def change(self, task_id: int, **members: Any) -> Task:
        if "title" in members:
            members["title"] = members["title"].strip()
        return self._written({**self.tasks[task_id], **members})

    def delete(self, task_id: int) -> None:
        del self.tasks[task_id]
        self._moved_on()

    def page(self, status: str) -> list[Task]:
        wanted = {"all": (True, False), "pending": (False,), "completed": (True,)}[status]
        return [task for _, task in sorted(self.tasks.items(), reverse=True) if task["completed"] in wanted]

    def refusal(self, task_id: int, condition: str) -> int | None:
        if task_id not in self.tasks:
            return 404
        return 412 if condition in ("stale", "weak", "not a tag") else None

    def _written(self, task: Task) -> Task:
        task["revision"] = self._moved_on()
        self.tasks[task["id"]] = task
        return task

    def _moved_on(self) -> int | None:
        self.revision = None if self.revision is None else self.revision + 1
        return self.revision


class TwoUsers(RuleBasedStateMachine):
    """Every route, by either user, on either user's path; after each step both users see what their model says."""

    def __init__(self, runner: asyncio.Runner, app: FastAPI) -> None:
        super().__init__()
        self.runner = runner
        self.clients = [client_for(app) for _ in range(2)]
        self.models = [Model(), Model()]

    @rule(user=who, body=new_tasks)
    def create(self, user: int, body: Task) -> None:
        answer = self.ask(user, "POST", "", json=body)
        model = self.models[user]
        expected = model.create(body)
        if model.revision is None:  # the first one is the time
            model.revision = expected["revision"] = answer.json()["revision"]
        assert answer.status_code == 201
        assert answer.headers["location"].endswith(f"/{expected['id']}")
        self.is_as_expected(answer, expected)

    @rule(user=who, status=st.sampled_from(["all", "pending", "completed"]), limit=st.integers(1, 3))
    def list_in_pages(self, user: int, status: str, limit: int) -> None:
        listed: list[Task] = []
        following: str | None = f"?status={status}&limit={limit}"
        while following is not None:
            answer = self.ask(user, "GET", following)
            listed += answer.json()
            assert len(answer.json()) <= limit
            following = "?" + answer.links["next"]["url"].partition("?")[2] if answer.links else None
        assert [shown(task) for task in listed] == self.models[user].page(status)

    @rule(user=who, task_id=task_ids, condition=conditions)
    def get(self, user: int, task_id: int, condition: str) -> None:
        headers = {"If-None-Match" if name == "If-Match" else name: v for name, v in self.tag(user, task_id, condition)}
        answer = self.ask(user, "GET", f"/{task_id}", headers=headers)
        task = self.models[user].tasks.get(task_id)
        if task is None:
            assert answer.status_code == 404
        elif condition in ("any", "current", "among others", "weak"):
            assert (answer.status_code, answer.content) == (304, b"")
            assert answer.headers["etag"] == f'"{task["revision"]}"'
        else:
            self.is_as_expected(answer, task)

    @rule(user=who, task_id=task_ids, body=new_tasks, condition=conditions)
    def put(self, user: int, task_id: int, body: Task, condition: str) -> None:
        self.write(user, task_id, condition, method="PUT", body=body, members={"description": None, **body})

    @rule(user=who, task_id=task_ids, body=patches, condition=conditions)
    def patch(self, user: int, task_id: int, body: Task, condition: str) -> None:
        self.write(user, task_id, condition, method="PATCH", body=body, members=body)

    @rule(user=who, task_id=task_ids, completed=st.booleans(), condition=conditions)
    def set_completed(self, user: int, task_id: int, completed: bool, condition: str) -> None:
        body = {"completed": completed}
        self.write(user, task_id, condition, method="PATCH", below="/complete", body=body, members=body)

    @rule(user=who, task_id=task_ids, condition=conditions)
    def toggle(self, user: int, task_id: int, condition: str) -> None:
        was = self.models[user].tasks.get(task_id, {}).get("completed")
        self.write(
            user, task_id, condition, method="PATCH", below="/complete", body=None, members={"completed": not was}
        )

    @rule(user=who, task_id=task_ids, condition=conditions)
    def delete(self, user: int, task_id: int, condition: str) -> None:
        refusal = self.models[user].refusal(task_id, condition)
        answer = self.ask(user, "DELETE", f"/{task_id}", headers=dict(self.tag(user, task_id, condition)))
        assert answer.status_code == (refusal or 204)
        if refusal is None:
            self.models[user].delete(task_id)

    @rule(
        user=who,
        method=st.sampled_from(["GET", "POST", "PUT", "PATCH", "DELETE"]),
        below=st.sampled_from(["", "/1", "/1/complete"]),
    )
    def try_the_others_path(self, user: int, method: str, below: str) -> None:
        answer = self.ask(user, method, below, path_of=1 - user, json={"title": "not mine", "completed": True})
        assert answer.status_code == 403
        assert self.clients[1 - user].user_id not in answer.text

    @invariant()
    def each_has_what_is_theirs(self) -> None:
        for user, model in enumerate(self.models):
            answer = self.ask(user, "GET", "")
            assert [shown(task) for task in answer.json()] == model.page("all")
            assert {task["user_id"] for task in answer.json()} <= {self.clients[user].user_id}

    def teardown(self) -> None:
        for client in self.clients:
            self.runner.run(client.aclose())

    def write(
        self, user: int, task_id: int, condition: str, *, method: str, below: str = "", body: Task | None, members: Task
    ) -> None:
        refusal = self.models[user].refusal(task_id, condition)
        content: dict[str, Any] = {} if body is None else {"json": body}
        headers = dict(self.tag(user, task_id, condition))
        answer = self.ask(user, method, f"/{task_id}{below}", headers=headers, **content)
        if refusal is None:
            self.is_as_expected(answer, self.models[user].change(task_id, **members))
        else:
            assert answer.status_code == refusal

    def ask(self, user: int, method: str, below: str, *, path_of: int | None = None, **options: Any) -> httpx.Response:
        client: Client = self.clients[user]
        owner = self.clients[user if path_of is None else path_of].user_id
        return self.runner.run(client.request(method, f"/api/{owner}/tasks{below}", **options))

    def tag(self, user: int, task_id: int, condition: str) -> list[tuple[str, str]]:
        revision = self.models[user].tasks.get(task_id, {}).get("revision", 7)
        tags = {
            "any": "*",
            "current": f'"{revision}"',
            "among others": f'"1", W/"2", "{revision}"',
            "stale": f'"{revision - 1}"',
            "weak": f'W/"{revision}"',
            "not a tag": "yesterday",
        }
        return [("If-Match", tags[condition])] if condition in tags else []

    def is_as_expected(self, answer: httpx.Response, task: Task) -> None:
        assert answer.status_code in (200, 201)
        assert shown(answer.json()) == task
        assert answer.headers["etag"] == f'"{task["revision"]}"'


def shown(task: Task) -> Task:
    """What the model knows of a task; the times are the database's."""
    assert task["updated_at"] >= task["created_at"]
    return {name: task[name] for name in ("id", "title", "description", "completed", "revision")}


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


def test_two_users_each_have_what_the_model_says(database_url: str) -> None:
    """Any order of the six routes, by two users, leaves each with exactly what they themselves did."""
    play(create_app(settings_for(database_url)))


def test_a_wall_that_is_missing_is_noticed(database_url: str) -> None:
    """The machine's own failing sample: without the path guard the other's path is not refused."""
    app = create_app(settings_for(database_url))
    guard: Any = PathGuardMiddleware
    app.user_middleware = [layer for layer in app.user_middleware if layer.cls is not guard]

    with pytest.raises(AssertionError, match="403"):
        play(app)
