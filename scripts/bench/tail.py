"""Where the slowest requests spend their time: `./scripts/bench.sh --tail`.

traced.py measures in the API's process, PostgreSQL's log says how long it worked on each message, and wrk how long the
client waited.
"""

import bisect
import json
import re
import time
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean
from typing import Any, Final

from scripts.bench import contestants
from scripts.bench.measure import EXPECTED, plan
from scripts.bench.processes import Load, load

SLOWEST: Final = 0.01
SHOWN: Final = 10
# Connections are made and statements prepared before (seconds).
WARM_UP_SECONDS: Final = 1
LOG_DURATION: Final = "&options=-c%20log_duration%3Don"
OPTIONS: Final = " ".join(("--http", "scripts.bench.traced:TracedProtocol", *contestants.AS_DEPLOYED[2:]))
SCENARIO: Final = "mixed"
# With `log_duration`, PostgreSQL writes one line for each message.
LOGGED: Final = re.compile(r"\[(?P<pid>\d+)\] LOG:  duration: (?P<ms>[\d.]+) ms$", re.MULTILINE)

# The parts of a request, which make up its time; then what lies within them.
PARTS: Final = {
    "queued": "in the event loop's queue, before it begins",
    "pool": "waiting for a pool connection",
    "postgresql": "in PostgreSQL",
    "answer": "PostgreSQL's answer (or its process) in a queue",
    "own": "computing, and turns of others meanwhile",
}
WITHIN: Final = {
    "late": "of all that: the event loop was late",
    "starved": "of all that: the machine gave the API no core",
    "collections": "of all that: garbage collection",
}


@dataclass(frozen=True)
class Explained:
    """One request's time and its parts, in milliseconds."""

    what: str
    total: float
    parts: Mapping[str, float]


class Spans:
    """Spans of time that do not overlap, in order."""

    def __init__(self, spans: Iterable[Sequence[float]]) -> None:
        self._spans = sorted((begin, end) for begin, end in spans)
        self._ends = [end for _, end in self._spans]

    def within(self, begin: float, end: float) -> float:
        """How much of the time between the two they cover."""
        total = 0.0
        for first, last in self._spans[bisect.bisect_right(self._ends, begin) :]:
            if first >= end:
                break
            total += min(last, end) - max(first, begin)
        return total


def durations(log: str) -> dict[int, list[float]]:
    """Milliseconds of every message, in their order, by the process that answered it."""
    found: dict[int, list[float]] = defaultdict(list)
    for line in LOGGED.finditer(log):
        found[int(line["pid"])].append(float(line["ms"]))
    return found


def explain(found: Mapping[str, Any], log: str, begin: float) -> list[Explained]:
    """What traced.py wrote, with what PostgreSQL's log says of it; the slowest at the end.

    Without what was read before `begin`, a moment of `time.perf_counter`, which has one clock for all processes.
    """
    logged = durations(log)
    within = {name: Spans(found[name]) for name in WITHIN}
    # PostgreSQL has logged what the driver asked before the first statement, too: its lines are counted from the end.
    last: dict[int, int] = defaultdict(int)
    for request in found["requests"]:
        for pid, number, _ in request["messages"]:
            last[pid] = max(last[pid], number)
    explained = [
        _explained(request, sum(logged[pid][number - last[pid] - 1] for pid, number, _ in request["messages"]), within)
        for request in found["requests"]
        if request["received"] >= begin
    ]
    return sorted(explained, key=lambda request: request.total)


def _explained(request: Mapping[str, Any], postgresql: float, within: Mapping[str, Spans]) -> Explained:
    """`postgresql` is in milliseconds."""
    received, ended = request["received"], request["ended"]
    total, pool, queued = (ms * 1e3 for ms in (ended - received, request["pool"], request["started"] - received))
    waited = sum(seconds for *_, seconds in request["messages"]) * 1e3
    parts = {
        "queued": queued,
        "pool": pool,
        "postgresql": postgresql,
        "answer": waited - postgresql,
        "own": total - queued - pool - waited,
    }
    return Explained(
        request["what"],
        total,
        parts | {name: spans.within(received, ended) * 1e3 for name, spans in within.items()},
    )


def quantile(explained: Sequence[Explained], share: float) -> float:
    return explained[min(int(len(explained) * share), len(explained) - 1)].total


def report(explained: Sequence[Explained], client: Load, connections: int) -> str:
    """The tables for one number of connections; `explained` in the order of their times."""
    slowest = explained[-max(int(len(explained) * SLOWEST), 1) :]
    everything, tail = mean(one.total for one in explained), mean(one.total for one in slowest)
    median, p99 = quantile(explained, 0.5), quantile(explained, 1 - SLOWEST)
    lines = [
        f"## {connections} connections: {client.rate:,.0f} requests/s\n",
        "| ms | p50 | p99 |\n| --- | --- | --- |",
        f"| what the client waited | {client.p50:.2f} | {client.p99:.2f} |",
        f"| in the API, from the read of the request to its answer | {median:.2f} | {p99:.2f} |",
        f"| the rest: in sockets, until it was read | {client.p50 - median:.2f} | {client.p99 - p99:.2f} |\n",
        f"| ms, means | all {len(explained):,} | the slowest {len(slowest):,} | of these |\n| --- | --- | --- | --- |",
    ]
    for name, title in (PARTS | WITHIN).items():
        usual, slow = (mean(one.parts[name] for one in group) for group in (explained, slowest))
        lines.append(f"| {title} | {usual:.2f} | {slow:.2f} | {slow / tail:.0%} |")
    lines += [
        f"| **together** | {everything:.2f} | {tail:.2f} | |\n",
        "| the slowest | ms | " + " | ".join(PARTS | WITHIN) + " |",
    ]
    lines.append("| --- |" + " --- |" * (1 + len(PARTS | WITHIN)))
    for one in reversed(slowest[-SHOWN:]):
        lines.append(f"| {one.what} | {one.total:.2f} | {' | '.join(f'{ms:.2f}' for ms in one.parts.values())} |")
    return "\n".join([*lines, ""])


def measure(url: str, folder: Path, seconds: int, connections: int) -> str:
    """Serve the database at this URL, put the mixed load on it, and report; `folder` has the embedded server's data."""
    written, log = folder / f"tail-{connections}.json", folder / "data/postgres/log"
    logged = log.stat().st_size
    contestant = contestants.project(
        f"{url}{LOG_DURATION}", "tail", "traced", "scripts.bench.traced:app", OPTIONS, TAIL_FILE=str(written)
    )
    with contestant.start() as server:
        first = contestant.request("list", 1, 1)
        server.wait(first.path, first.token)
        statuses, counts = EXPECTED[SCENARIO]
        requests = plan(contestant, SCENARIO, folder)
        for duration in (WARM_UP_SECONDS, seconds):
            begin = time.perf_counter()
            client = load(
                server.url, requests, statuses=statuses, counts=counts, connections=connections, seconds=duration
            )
    with log.open() as lines:
        lines.seek(logged)
        explained = explain(json.loads(written.read_text()), lines.read(), begin)
    return report(explained, client, connections)
