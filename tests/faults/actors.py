"""Who uses the API while it is under fire: writers that keep a journal, and a reader who must see their own alone."""

import asyncio
import random
import secrets
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from tests.faults.client import Answer, Http, NoAnswer, Target
from tests.faults.journal import Journal, State

# Before a request that was not answered is sent again (seconds). A client would heed Retry-After, and give more rest.
PAUSE_SECONDS = 0.05
NOT_NOW = frozenset({409, 429, 503})
KEYED_SHARE = 0.6

Sign = Callable[[str], str]
"""A token for a user, as the signer's clock and keys are at the moment."""


@dataclass
class Tally:
    """What all of a run counted together."""

    requests: int = 0
    acknowledged: int = 0
    statuses: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)


@dataclass(frozen=True)
class Write:
    """A request that changes something, and what must have become of the tasks if it is made."""

    method: str
    below: str
    status: int
    body: Any = None
    task_id: int | None = None
    """None: it creates tasks."""
    states: tuple[State, ...] = ()
    if_match: str | None = None


class Actor:
    """Somebody with a connection, who notes when they were answered well."""

    def __init__(self, target: Target, user_id: str, sign: Sign, tally: Tally, *, answers_lost: bool) -> None:
        """`answers_lost`: the fault ends the API itself, so that a request may stay without an answer."""
        self.user_id = user_id
        self.sign = sign
        self.tally = tally
        self.good: list[float] = []
        self._answers_lost = answers_lost
        self._http = Http(target)

    def close(self) -> None:
        self._http.close()

    def wrong(self, sentence: str) -> None:
        self.tally.wrong.append(f"{self.user_id}: {sentence}")

    def first_good(self, after: float) -> float | None:
        """Seconds from a moment to the first good answer."""
        return next((moment - after for moment in self.good if moment >= after), None)

    async def ask(self, method: str, below: str, body: Any = None, **headers: str) -> Answer | None:
        """The answer, or None if there was none. What may never be answered is noted as wrong."""
        self.tally.requests += 1
        path = f"/api/{self.user_id}{below}"
        try:
            answer = await self._http.ask(method, path, token=self.sign(self.user_id), body=body, headers=headers)
        except NoAnswer as none:
            self.tally.statuses["none"] += 1
            if not self._answers_lost:
                self.wrong(f"{method} {below} was not answered: {none}")
            return None
        self.tally.statuses[str(answer.status)] += 1
        self.tally.seconds.append(answer.seconds)
        if answer.good:
            self.good.append(time.monotonic())
        elif answer.status not in NOT_NOW:
            self.wrong(f"{method} {below} was answered {answer.status}: {answer.body[:300]!r}")
        elif "retry-after" not in answer.headers:
            self.wrong(f"{method} {below} was answered {answer.status} without Retry-After")
        return answer

    async def certain(self, method: str, below: str, body: Any = None, **headers: str) -> Answer:
        """The answer to what must be answered well, before and after a fault."""
        answer = await self.ask(method, below, body, **headers)
        assert answer is not None
        assert answer.good, answer.body
        return answer


class Writer(Actor):
    """Changes tasks of its own, and knows at each moment what they must be; others write for the same user."""

    def __init__(
        self, target: Target, user_id: str, sign: Sign, tally: Tally, *, name: str, answers_lost: bool
    ) -> None:
        super().__init__(target, user_id, sign, tally, answers_lost=answers_lost)
        self.journal = Journal()
        self._name = name
        self._chance = random.Random(name)  # noqa: S311 - no secret
        self._titles = 0
        self._revisions: dict[int, str] = {}

    async def run(self, stop: asyncio.Event, until: Callable[[], float]) -> None:
        """Write until told to stop; a keyed write is then repeated no longer than `until()`."""
        while not stop.is_set():
            if self._chance.random() < 0.1:
                await self._look()
            elif self._chance.random() < KEYED_SHARE:
                await self._once(self._choose(), until)
            else:
                await self._try(self._choose())

    async def _look(self) -> None:
        """At the list, or at one task: nothing of others is there, and nothing older than what was acknowledged."""
        task_id = self.journal.any_known(self._chance)
        alone = task_id is not None and not self.journal.state(task_id)[2] and self._chance.random() < 0.5
        answer = await self.ask("GET", f"/tasks/{task_id}" if alone else "/tasks?limit=50")
        if answer is None or not answer.good:
            await asyncio.sleep(PAUSE_SECONDS)
            return
        for task in [answer.json()] if alone else answer.json():
            if task["user_id"] != self.user_id:
                self.wrong(f"a task of others is shown: {task}")
            known = self.journal.tasks.get(task["id"], [])
            if len(known) == 1 and known != [(task["title"], task["completed"], False)]:
                self.wrong(f"{task} is shown, and {known} was acknowledged")

    async def _once(self, write: Write, until: Callable[[], float]) -> None:
        """A write with a key, repeated until it is answered."""
        key = secrets.token_hex(12)
        self.journal.last_key = key
        while True:
            answer = await self._send(write, **{"idempotency-key": key})
            if answer is not None and answer.good:
                self.journal.keys.add(key)
                self._acknowledged(write, answer)
                break
            if answer is not None and answer.status not in NOT_NOW:
                self._doubted(write)
                break
            if time.monotonic() > until():
                self.wrong(f"{write.method} {write.below} with a key was never answered")
                self._doubted(write)
                return
            await asyncio.sleep(PAUSE_SECONDS)
        self.journal.last_key = None

    async def _try(self, write: Write) -> None:
        """A write without a key: when it is not answered nobody knows, and it is not repeated."""
        answer = await self._send(write)
        if answer is not None and answer.good:
            self._acknowledged(write, answer)
            return
        if answer is not None and answer.status == 409:
            self.wrong(f"{write.method} {write.below} without a key was answered 409")
        self._doubted(write)
        await asyncio.sleep(PAUSE_SECONDS)

    async def _send(self, write: Write, **headers: str) -> Answer | None:
        if write.if_match is not None:
            headers["if-match"] = write.if_match
        return await self.ask(write.method, write.below, write.body, **headers)

    def _doubted(self, write: Write) -> None:
        if write.task_id is None:
            self.journal.doubt_created(tuple(title for title, _, _ in write.states))
        else:
            self.journal.doubt_changed(write.task_id, write.states[0])

    def _acknowledged(self, write: Write, answer: Answer) -> None:
        """Note what was made, and check that the answer says so."""
        self.tally.acknowledged += 1
        if answer.status != write.status:
            self.wrong(f"{write.method} {write.below} was answered {answer.status} in place of {write.status}")
        if write.method == "DELETE":
            self.journal.changed(write.task_id or 0, write.states[0])
            return
        document = answer.json()
        tasks = [result["task"] for result in document["results"]] if write.below == "/batch" else [document]
        for state, task in zip(write.states, tasks, strict=True):
            if (task["user_id"], task["title"], task["completed"]) != (self.user_id, *state[:2]):
                self.wrong(f"{write.method} {write.below} to {state} was answered with {task}")
            note = self.journal.created if write.task_id is None else self.journal.changed
            note(task["id"], state)
            self._revisions[task["id"]] = f'"{task["revision"]}"'

    def _choose(self) -> Write:
        choice, task_id = self._chance.random(), self.journal.any_known(self._chance)
        if choice < 0.25 or task_id is None:
            return self._create()
        if choice < 0.3:
            return self._batch()
        if self.journal.state(task_id)[2]:
            return self._restore(task_id)
        return self._chance.choice((self._rename, self._rename, self._toggle, self._toggle, self._delete))(task_id)

    def _title(self) -> str:
        self._titles += 1
        return f"{self._name} {self._titles}"

    def _create(self) -> Write:
        title = self._title()
        return Write("POST", "/tasks", 201, {"title": title}, states=((title, False, False),))

    def _batch(self) -> Write:
        titles = (self._title(), self._title())
        body = {"operations": [{"op": "create", "task": {"title": title}} for title in titles]}
        return Write("POST", "/batch", 200, body, states=tuple((title, False, False) for title in titles))

    def _rename(self, task_id: int) -> Write:
        """Half of them on condition that nobody else has changed it, which nobody does."""
        title, (_, completed, deleted) = self._title(), self.journal.state(task_id)
        condition = self._revisions.get(task_id) if self._chance.random() < 0.5 else None
        states = ((title, completed, deleted),)
        return Write("PATCH", f"/tasks/{task_id}", 200, {"title": title}, task_id, states, condition)

    def _toggle(self, task_id: int) -> Write:
        title, completed, deleted = self.journal.state(task_id)
        states = ((title, not completed, deleted),)
        return Write("PATCH", f"/tasks/{task_id}/complete", 200, None, task_id, states)

    def _delete(self, task_id: int) -> Write:
        title, completed, _ = self.journal.state(task_id)
        return Write("DELETE", f"/tasks/{task_id}", 204, None, task_id, ((title, completed, True),))

    def _restore(self, task_id: int) -> Write:
        title, completed, _ = self.journal.state(task_id)
        return Write("POST", f"/tasks/{task_id}/restore", 200, None, task_id, ((title, completed, False),))


class Reader(Actor):
    """Another user, who changes nothing: every answer must be, byte for byte, what it was before."""

    WHAT = ("/tasks", "/tasks/1", "/tags", "/changes?since=0", "/tasks?status=completed&sort=title")

    async def prepare(self) -> None:
        for title in ("one", "two"):
            await self.certain("POST", "/tasks", {"title": title, "tags": ["mine"]})
        self._own = {below: (await self.certain("GET", below)).body for below in self.WHAT}

    async def run(self, stop: asyncio.Event) -> None:
        while not stop.is_set():
            for below, own in self._own.items():
                answer = await self.ask("GET", below)
                if answer is None or not answer.good:
                    await asyncio.sleep(PAUSE_SECONDS)
                elif answer.body != own:
                    self.wrong(f"the reader's {below} shows what is not theirs: {answer.body[:500]!r}")
