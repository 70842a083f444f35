"""What was measured: as text for a terminal, and as docs/bench.md with its chart docs/bench.svg."""

import os
import platform
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Final
from xml.sax.saxutils import escape

import psutil

from scripts.bench.measure import SCENARIOS, Case, Runs

PROJECT, BARE, WALLED = "project", "fastify", "fastify-walled"
LIST, MIXED, MANY = Case("list", 16), Case("mixed", 16), Case("mixed", 64)
OPERATIONS: Final = ("list", "get", "create", "update", "toggle", "mixed")
WRITES: Final = ("create", "update", "toggle")
# How many times a peer's rate is wanted, at least: by peer, then by operation.
WANTED: Final[dict[str, dict[str, float]]] = {
    "usual": dict.fromkeys(OPERATIONS, 12.0),
    BARE: {"list": 2.0, "get": 1.1, "create": 0.85, "update": 0.85, "toggle": 0.85, "mixed": 1.3},
    WALLED: dict.fromkeys(OPERATIONS, 1.5),
    "pocketbase": dict.fromkeys(OPERATIONS, 1.3),
}
# What answers that are remembered make faster, and so is measured without them too, against bare Fastify.
WANTED_ANEW: Final = {"list": 1.2, "get": 1.0, "mixed": 1.0}
# PostgreSQL's CPU for a write, at most so many times what bare Fastify's table takes.
DATABASE_CPU_WANTED: Final = 1.8
GROWTH = {"page 1,000 ÷ page 1, time": 1.2, "2 M rows ÷ 200 k rows, time": 1.1}

TABLE_BEGINS, TABLE_ENDS = "<!-- written by scripts/bench.sh -->", "<!-- end -->"

ABOUT = """# The project beside its peers

Written by `./scripts/bench.sh`, which anyone can run. All do the same work: the same checks of tokens, the same
columns, the same page, one worker, one log line a request; every answer's status and number of tasks is checked. Only
ratios between neighbours of one run say much, because the machine and its noise are shared.

As it comes, the project sends an answer again while PostgreSQL says, for each request, that nothing was written since
(`RESPONSE_CACHE_BYTES`); the others read and make every answer anew. So there are rows of the project "all read anew"
too: the load asks for the same lists of 200 users over and over, which not everybody's users do.

![Requests per second](bench.svg)
"""
ABOUT_DATABASE_CPU = f"""
## PostgreSQL's CPU for a write

Microseconds, in medians of the rounds, and in brackets how many times bare Fastify's in the same round: what row
security, the revision counter and the indexes cost, whoever asks.

| | {" | ".join(WRITES)} |
| --- |{" --- |" * len(WRITES)}"""
ABOUT_SCENARIOS = """
## Every scenario

Requests per second, latencies, and CPU microseconds per request of the API and of PostgreSQL are medians of the rounds.
`project ÷` is the median of the rounds' ratios, with the lowest and the highest.
"""


@dataclass(frozen=True)
class Start:
    """A contestant, with the seconds from exec to its first 200 and its memory in megabytes then."""

    name: str
    title: str
    seconds: float
    memory: float


@dataclass(frozen=True)
class Match:
    """A value of one contestant over another's."""

    one: str
    other: str
    case: Case
    value: str = "rate"


def database_cpu(contestant: str, write: str) -> Match:
    """PostgreSQL's CPU for a write of a contestant over what bare Fastify's takes."""
    return Match(contestant, BARE, Case(write, LIST.connections), "database_us")


@dataclass(frozen=True)
class Target:
    """What the project wants of a value: at least, or at most, `bound`."""

    what: str
    value: float
    bound: float
    at_least: bool

    @property
    def met(self) -> bool:
        return self.value >= self.bound if self.at_least else self.value <= self.bound

    def row(self) -> str:
        sign = "≥" if self.at_least else "≤"
        return f"| {self.what} | {sign} {self.bound:g} | {self.value:.2f} | {'yes' if self.met else '**no**'} |"


class Report:
    """The session's measurements and what is said of them."""

    def __init__(
        self, runs: Runs, starts: Sequence[Start], extras: dict[str, float], steal: float, warning: str = ""
    ) -> None:
        """`extras` are single numbers by name; `steal` is the share of the time that other machines took.

        `warning` is said on top.
        """
        self.warning = warning
        self.runs, self.starts, self.extras, self.steal = runs, starts, extras, steal
        self.cases = list(dict.fromkeys(run.case for run in runs.all))

    def markdown(self) -> str:
        return "\n".join(
            [
                *([f"{self.warning}\n"] if self.warning else []),
                ABOUT,
                self._machine(),
                "## Targets\n\n| | wanted | measured | met |\n| --- | --- | --- | --- |",
                *(target.row() for target in self.targets()),
                ABOUT_DATABASE_CPU,
                *(self._database_cpu(name) for name in (PROJECT, WALLED, BARE)),
                ABOUT_SCENARIOS,
                *(self._scenario(case) for case in self.cases),
                "## Start and size\n\n| | first 200 after exec | memory then |\n| --- | --- | --- |",
                *(f"| {s.title} | {s.seconds:.2f} s | {s.memory:.0f} MB |" for s in self.starts),
                "",
            ]
        )

    def targets(self) -> list[Target]:
        own = next(start for start in self.starts if start.name == PROJECT)
        p99 = ((f"p99 of {case}", Match(PROJECT, BARE, case, "p99"), 1.0, False) for case in (MIXED, MANY))
        wanted = [
            *(
                (f"{name}: requests/s", Match(PROJECT, peer, Case(name, LIST.connections)), bound, True)
                for peer, bounds in WANTED.items()
                for name, bound in bounds.items()
            ),
            *(
                (f"{name}, all read anew: requests/s", Match("project-anew", BARE, Case(name, 16)), bound, True)
                for name, bound in WANTED_ANEW.items()
            ),
            *(
                (f"{name}: CPU of PostgreSQL", database_cpu(PROJECT, name), DATABASE_CPU_WANTED, False)
                for name in WRITES
            ),
            ("list behind PgBouncer: requests/s", Match("project-pooled", "fastify-pooled", LIST), 1.1, True),
            *p99,
            ("list: CPU of the API", Match(PROJECT, "floor", LIST, "api_us"), 5.0, False),
            ("refused: time", Match("floor", PROJECT, Case("refused", 16)), 2.0, False),
        ]
        found = [
            Target(f"{what} ÷ {self._title(match.other if what != 'refused: time' else 'floor')}", ratio, bound, more)
            for what, match, bound, more in wanted
            if (ratio := self._ratio(match)) is not None
        ]
        found += [
            Target(name, self.extras[name], bound, False) for name, bound in GROWTH.items() if name in self.extras
        ]
        found.append(Target("seconds from exec to the first 200", own.seconds, 1.0, False))
        found.append(Target("idle memory, MB", own.memory, 95.0, False))
        return found

    def _ratio(self, match: Match) -> float | None:
        ratios = self.runs.ratios(match.one, match.other, match.case, match.value)
        return median(ratios) if ratios else None

    def chart(self) -> str:
        """Bars of requests per second, a group for each scenario."""
        colours = {
            "usual": "#9ca3af",
            "pocketbase": "#60a5fa",
            BARE: "#34d399",
            WALLED: "#059669",
            "project-anew": "#fda4af",
            PROJECT: "#e11d48",
        }
        names = [name for name in colours if any(start.name == name for start in self.starts)]
        shown = [case for case in self.cases if case.connections == LIST.connections and case.scenario in SCENARIOS[:6]]
        rates = {(c, n): self.runs.typical(n, c, "rate") or 0 for c in shown for n in names}
        top = max([*rates.values(), 1.0])
        group, bar, left, height = 20 + 18 * len(names), 14, 70, 40
        lines = []
        for i, case in enumerate(shown):
            y = height + i * group
            lines.append(f'<text x="{left - 8}" y="{y + group / 2 - 4}" text-anchor="end">{case.scenario}</text>')
            for j, name in enumerate(names):
                width = rates[case, name] / top * 480
                lines.append(
                    f'<rect x="{left}" y="{y + j * 18}" width="{width:.1f}" height="{bar}" fill="{colours[name]}"/>'
                    f'<text x="{left + width + 5:.1f}" y="{y + j * 18 + 11}">{rates[case, name]:,.0f}</text>'
                )
        for j, name in enumerate(names):
            x = left + j * 150
            lines.append(f'<rect x="{x}" y="12" width="12" height="12" fill="{colours[name]}"/>')
            lines.append(f'<text x="{x + 17}" y="22">{escape(self._title(name))}</text>')
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" width="960" height="{height + len(shown) * group}" '
            'font-family="sans-serif" font-size="12"><rect width="100%" height="100%" fill="white"/>'
            "<title>Requests per second at 16 connections</title>" + "".join(lines) + "</svg>\n"
        )

    def _machine(self) -> str:
        floor = [run.load.rate for run in self.runs.of("floor", LIST)]
        noise = f" The floor's rate varied between {min(floor):,.0f} and {max(floor):,.0f}/s." if floor else ""
        return (
            f"{time.strftime('%Y-%m-%d')}; {os.cpu_count()} cores ({_processor()}), "
            f"{psutil.virtual_memory().total / 1e9:.0f} GB, {platform.system()} {platform.release()}; "
            f"Python {platform.python_version()} (of {sys.base_prefix}). API, PostgreSQL and "
            f"wrk share the machine; other machines took {self.steal:.1%} of its time.{noise}\n"
        )

    def _scenario(self, case: Case) -> str:
        rows = [
            f"### {case}\n",
            "| | requests/s | p50 ms | p99 ms | API µs | database µs | project ÷ |",
            "| --- | --- | --- | --- | --- | --- | --- |",
        ]
        for start in self.starts:
            if not self.runs.of(start.name, case):
                continue
            values = ("rate", "p50", "p99", "api_us", "database_us")
            rate, p50, p99, api, database = (self.runs.typical(start.name, case, value) or 0 for value in values)
            own = "project-pooled" if start.name.endswith("-pooled") else PROJECT
            ratios = self.runs.ratios(own, start.name, case)
            compared = ratios and start.name != own
            said = f"{median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})" if compared else ""
            shown = f"{max(database, 0):.0f}" if start.name not in ("floor", "pocketbase") else ""
            rows.append(f"| {start.title} | {rate:,.0f} | {p50:.2f} | {p99:.2f} | {api:.0f} | {shown} | {said} |")
        if case == LIST and "pgbench" in self.extras:
            rows.append(f"| pgbench -M prepared, the query alone | {self.extras['pgbench']:,.0f} | | | | | |")
        return "\n".join([*rows, ""])

    def _database_cpu(self, name: str) -> str:
        cells = []
        for write in WRITES:
            match = database_cpu(name, write)
            used, ratio = self.runs.typical(name, match.case, "database_us"), self._ratio(match)
            compared = f" ({ratio:.2f})" if ratio is not None and name != BARE else ""
            cells.append("" if used is None else f"{used:.0f}{compared}")
        return f"| {self._title(name)} | {' | '.join(cells)} |" if any(cells) else ""

    def summary(self) -> str:
        """The rates of the project over each peer's, which docs/performance.md shows."""
        peers = [name for name in WANTED if any(start.name == name for start in self.starts)]
        rows = [
            f"| requests/s of this project ÷ | {' | '.join(map(self._title, peers))} |",
            f"| --- |{' --- |' * len(peers)}",
        ]
        for name in OPERATIONS:
            ratios = [self._ratio(Match(PROJECT, peer, Case(name, LIST.connections))) for peer in peers]
            rows.append(f"| {name} | {' | '.join('' if ratio is None else f'{ratio:.2f}' for ratio in ratios)} |")
        return "\n".join(rows)

    def _title(self, name: str) -> str:
        return next((start.title for start in self.starts if start.name == name), name)

    def write(self, folder: Path) -> None:
        folder.mkdir(exist_ok=True)
        (folder / "bench.md").write_text(self.markdown())
        (folder / "bench.svg").write_text(self.chart())
        renew_table(folder / "performance.md", self.summary())


def renew_table(page: Path, table: str) -> None:
    """Put the table where the page has one between the two comments."""
    before, begins, rest = page.read_text().partition(TABLE_BEGINS)
    _, ends, after = rest.partition(TABLE_ENDS)
    if not begins or not ends:
        raise SystemExit(f"{page} has no {TABLE_BEGINS} ... {TABLE_ENDS}.")
    page.write_text(f"{before}{begins}\n\n{table}\n\n{ends}{after}")


def _processor() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())
