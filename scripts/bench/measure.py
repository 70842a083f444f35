"""The rounds: every scenario on every contestant in turn, again and again, so that a noisy minute falls on all."""

import json
import random
import time
import urllib.error
import urllib.request
from collections.abc import Iterable, Sequence
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
    # PocketBase's owner rule answers a stranger with an empty page.
    "refused": ("401,200", "0,1"),
}
SCENARIOS = tuple(EXPECTED)
MIXED_TOLERANCE = 0.05


@dataclass(frozen=True)
class Case:
    """One scenario at one number of connections."""

    scenario: str
    connections: int

    def __str__(self) -> str:
        return f"{self.scenario} ({self.connections} connections)"


@dataclass(frozen=True)
class Run:
    """One contestant in one round. CPU in microseconds per request; the database's is PostgreSQL's."""

    contestant: str
    case: Case
    round: int
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


def measure(
    contestants: Sequence[Contestant],
    cases: Iterable[Case],
    *,
    folder: Path,
    rounds: int,
    seconds: float,
    database_pid: int,
    runs: Runs,
) -> None:
    """Add `rounds` of every case to `runs`, after a warm-up of a round that is not kept."""
    cases = list(cases)
    for current in range(rounds + 1):
        for case in cases:
            for contestant in contestants:
                run = one_run(contestant, case, current, folder, seconds if current else 1.0, database_pid)
                if current:
                    runs.all.append(run)
        if current:
            print(f"round {current} of {rounds} done", flush=True)


def one_run(contestant: Contestant, case: Case, current: int, folder: Path, seconds: float, database_pid: int) -> Run:
    statuses, counts = EXPECTED[case.scenario]
    file = plan(contestant, case.scenario, folder)
    before = cpu_seconds(contestant.server.pid), cpu_seconds(database_pid)
    done = load(
        contestant.server.url, file, statuses=statuses, counts=counts, connections=case.connections, seconds=seconds
    )
    after = cpu_seconds(contestant.server.pid), cpu_seconds(database_pid)
    if case.scenario == "mixed" and abs(done.lists / done.requests - MIXED["list"] / 100) > MIXED_TOLERANCE:
        raise SystemExit(f"{contestant.name}: {done.lists} of {done.requests} mixed answers are lists")
    api_us, database_us = ((end - start) / done.requests * 1e6 for start, end in zip(before, after, strict=True))
    return Run(contestant.name, case, current, done, api_us, database_us)


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


def settle() -> None:
    """Let what the last load left behind (checkpoints, compilers) come to an end."""
    time.sleep(1)
