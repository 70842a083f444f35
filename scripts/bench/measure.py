"""The rounds: every scenario on every contestant in turn, again and again, so that a noisy minute falls on all."""

import json
import random
import urllib.error
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from scripts.bench.contestants import CALLERS, PAGE, TASKS_PER_USER, Contestant
from scripts.bench.processes import Load, cpu_seconds, load

# Of a hundred requests of `mixed`.
MIXED = {"list": 70, "get": 15, "create": 5, "toggle": 10}
# Statuses and numbers of tasks that an answer may have.
EXPECTED = {
    "list": ("200", str(PAGE)),
    "get": ("200", "1"),
    "create": ("201,200", "1"),
    "update": ("200", "1"),
    "toggle": ("200", "1"),
    "mixed": ("200,201", f"1,{PAGE}"),
    "page 1": ("200", str(PAGE)),
    "page 1000": ("200", str(PAGE)),
    # PocketBase's owner rule answers a stranger with an empty page.
    "refused": ("401,200", "0,1"),
}
SCENARIOS = ("list", "get", "create", "update", "toggle", "mixed", "refused")
MIXED_TOLERANCE = 0.02
WARM_UP_SECONDS = 1


@dataclass(frozen=True)
class Case:
    """One scenario at one number of connections."""

    scenario: str
    connections: int

    def __str__(self) -> str:
        return f"{self.scenario} ({self.connections} connections)"


@dataclass(frozen=True)
class Run:
    """One contestant, once. CPU in microseconds per request; the database's is PostgreSQL's."""

    contestant: str
    case: Case
    load: Load
    api_us: float
    database_us: float


class Runs:
    """All of a session's measurements."""

    def __init__(self) -> None:
        self.all: list[Run] = []

    def of(self, contestant: str, case: Case) -> list[Run]:
        return [run for run in self.all if (run.contestant, run.case) == (contestant, case)]

    def ratios(self, one: str, other: str, case: Case, value: str = "rate") -> list[float]:
        """`value` of one contestant over the other's, round by round; none where either did not take part."""
        pairs = zip(self.of(one, case), self.of(other, case), strict=False)
        return [number(a, value) / number(b, value) for a, b in pairs]

    def typical(self, contestant: str, case: Case, value: str) -> float | None:
        """The median over the rounds."""
        values = [number(run, value) for run in self.of(contestant, case)]
        return median(values) if values else None


def number(run: Run, name: str) -> float:
    return float(getattr(run.load if hasattr(run.load, name) else run, name))


def plan(contestant: Contestant, scenario: str, folder: Path) -> Path:
    """A file with the requests of a scenario: every caller in turn, tasks at random (the same for all contestants)."""
    chance = random.Random(scenario)  # noqa: S311 - the same order every time is what is wanted
    shares = MIXED if scenario == "mixed" else {scenario: 20}
    kinds = [(kind, caller) for kind, share in shares.items() for caller in range(1, CALLERS + 1) for _ in range(share)]
    chance.shuffle(kinds)
    requests = [contestant.request(kind, caller, chance.randint(1, TASKS_PER_USER)) for kind, caller in kinds]
    file = folder / f"{contestant.name}-{scenario}"
    file.write_text("".join(f"{request.line()}\n" for request in requests))
    return file


@dataclass(frozen=True)
class Bench:
    """How to measure: where plans are kept, whose CPU is the database's, and for how long."""

    folder: Path
    database_pid: int
    rounds: int
    seconds: int

    def measure(self, matches: Sequence[tuple[Case, Sequence[Contestant]]]) -> Runs:
        """Every case on its contestants in turn, `rounds` times, after a warm-up that is not kept."""
        runs = Runs()
        for current in range(self.rounds + 1):
            for case, contestants in matches:
                kept = [self._run(contestant, case, warm=current == 0) for contestant in contestants]
                runs.all += kept if current else []
            print(f"round {current} of {self.rounds} done" if current else "warmed up", flush=True)
        return runs

    def _run(self, contestant: Contestant, case: Case, *, warm: bool) -> Run:
        statuses, counts = EXPECTED[case.scenario]
        server, file = contestant.server, plan(contestant, case.scenario, self.folder)
        before = cpu_seconds(server.pid), cpu_seconds(self.database_pid)
        seconds = WARM_UP_SECONDS if warm else self.seconds
        done = load(server.url, file, statuses=statuses, counts=counts, connections=case.connections, seconds=seconds)
        after = cpu_seconds(server.pid), cpu_seconds(self.database_pid)
        tolerance = MIXED_TOLERANCE + 1.5 / done.requests**0.5
        if case.scenario == "mixed" and abs(done.lists / done.requests - MIXED["list"] / 100) > tolerance:
            raise SystemExit(f"{contestant.name}: {done.lists} of {done.requests} mixed answers are lists")
        api_us, database_us = ((b - a) / done.requests * 1e6 for a, b in zip(before, after, strict=True))
        return Run(contestant.name, case, done, api_us, database_us)


def record_answers(contestant: Contestant, file: Path) -> None:
    """Write the answers that the floor repeats (see floor.py)."""
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    answers: dict[str, Any] = {}
    for kind in ("list", "refused"):
        wanted = contestant.request(kind, 1, 1)
        headers = {"Authorization": f"Bearer {wanted.token}"} if wanted.token else {}
        request = urllib.request.Request(contestant.server.url + wanted.path, headers=headers)  # noqa: S310 - loopback
        try:
            answer = direct.open(request, timeout=5)
        except urllib.error.HTTPError as refusal:
            answer = refusal
        own = [
            (name.lower(), value)
            for name, value in answer.headers.items()
            if name not in ("Connection", "connection", "date", "server")
        ]
        answers[kind] = {"status": answer.status, "headers": own, "body": answer.read().decode()}
        answer.close()
    file.write_text(json.dumps(answers))
