"""`python -m scripts.bench`, which `scripts/bench.sh` runs after it has installed what is needed."""

import argparse
import contextlib
import shutil
import tempfile
import time
from pathlib import Path
from statistics import median

import psutil
import psycopg2

from backend.app.config import PROJECT_ROOT
from backend.app.db import embedded
from scripts.bench import contestants, interpreter, pocketbase, tail
from scripts.bench.contestants import Contestant
from scripts.bench.measure import SCENARIOS, Bench, Case, Runs, record_answers
from scripts.bench.processes import START_SECONDS, memory_mb
from scripts.bench.report import Report, Start

CONNECTIONS, MANY_CONNECTIONS = 16, 64
# The floor knows two answers, and PocketBase answers strangers slowly, on purpose.
NOT_ASKED = {
    "floor": set(SCENARIOS) - {"list", "refused"},
    "pocketbase": {"refused"},
    "project-anew": set(SCENARIOS) - {"list", "get", "mixed"},
}
ANEW = {"RESPONSE_CACHE_BYTES": "0"}


class Field:
    """Who takes part, each on a database of its own in one PostgreSQL."""

    def __init__(self, url: str, folder: Path, stack: contextlib.ExitStack) -> None:
        self.url, self.folder, self.stack = url, folder, stack
        self.running: dict[str, Contestant] = {}
        self.starts: list[Start] = []

    def enter(self, contestant: Contestant) -> None:
        contestant.server = self.stack.enter_context(contestant.start())
        first = contestant.request("list", 1, 1)
        seconds = contestant.server.wait(first.path, first.token)
        self.starts.append(Start(contestant.name, contestant.title, seconds, memory_mb(contestant.server.pid)))
        self.running[contestant.name] = contestant

    def fill(self, *, everybody: bool) -> None:
        """Start all, or only whoever matters while the project is made faster: itself, both Fastifys and the floor."""
        own = contestants.new_database(self.url, "project", ours=True)
        self.enter(contestants.project(own))
        record_answers(self.running["project"], self.folder / "answers.json")
        self.enter(contestants.project(own, "project-anew", "this project, all read anew", **ANEW))
        self.enter(contestants.floor(self.folder / "answers.json"))
        if shutil.which("npm"):
            contestants.node_modules()
            self.enter(contestants.fastify(contestants.new_database(self.url, "fastify", ours=False)))
            self.enter(contestants.fastify_walled(contestants.new_database(self.url, "walled", ours=True)))
        else:
            print("Node.js is not here: without Fastify.")
        if everybody:
            self.enter(contestants.usual(contestants.new_database(self.url, "usual", ours=False)))
            self.enter(pocketbase.pocketbase(self.folder / "pocketbase"))
            many = contestants.new_database(self.url, "many", ours=True, more=contestants.MANY_ROWS)
            self.enter(contestants.project(many, "project-many", "this project, 2 M rows, all read anew", **ANEW))
            self.behind_pgbouncer()

    def behind_pgbouncer(self) -> None:
        program = shutil.which("pgbouncer") or shutil.which("/usr/sbin/pgbouncer")
        if program is None:
            print("PgBouncer is not here: without the pooled scenario.")
            return
        server, url = contestants.pgbouncer(self.url, self.folder / "pgbouncer", program)
        self.stack.enter_context(server)
        wait_for(f"{url}/project")
        title = "this project, through PgBouncer"
        self.enter(contestants.project(f"{url}/project", "project-pooled", title, DATABASE_PREPARE="off"))
        if "fastify" in self.running:
            title = "Fastify + pg, through PgBouncer"
            self.enter(contestants.fastify(f"{url}/fastify", "fastify-pooled", title, PREPARE="off"))

    def matches(self, scenarios: list[str]) -> list[tuple[Case, list[Contestant]]]:
        """Which case is run by whom; neighbours are compared."""
        apart = ("project-many", "project-pooled", "fastify-pooled")
        peers = [c for c in self.running.values() if c.name not in apart]
        found = [
            (Case(scenario, CONNECTIONS), [c for c in peers if scenario not in NOT_ASKED.get(c.name, ())])
            for scenario in scenarios
        ]
        quick = [self.running[name] for name in ("project", "fastify", "fastify-walled") if name in self.running]
        if "mixed" in scenarios:
            found.append((Case("mixed", MANY_CONNECTIONS), quick))
        for names in (("project-pooled", "fastify-pooled"), ("project-many",)):
            others = [self.running[name] for name in names if name in self.running]
            found += [(Case("list", CONNECTIONS), others)] if others else []
        if many := self.running.get("project-many"):
            found += [(Case(f"page {number}", CONNECTIONS), [many]) for number in (1, 1000)]
        return found


def wait_for(url: str) -> None:
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            psycopg2.connect(url).close()
        except psycopg2.OperationalError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)
        else:
            return


def extras(runs: Runs) -> dict[str, float]:
    """How the work grows with the data, as ratios of times."""
    found: dict[str, float] = {}
    pairs = zip(
        runs.of("project-many", Case("page 1", 16)), runs.of("project-many", Case("page 1000", 16)), strict=True
    )
    if pages := [one.load.rate / thousand.load.rate for one, thousand in pairs]:
        found["page 1,000 ÷ page 1, time"] = median(pages)
    if sizes := runs.ratios("project-anew", "project-many", Case("list", CONNECTIONS)):
        found["2 M rows ÷ 200 k rows, time"] = median(sizes)
    return found


def main() -> None:
    """Measure, print, and write docs/bench.md, docs/bench.svg and the table of docs/performance.md."""
    parser = argparse.ArgumentParser(prog="./scripts/bench.sh", description="Measure the project beside its peers.")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=3, help="of each run (3)")
    parser.add_argument(
        "--quick", action="store_true", help="only the project, both Fastifys and the floor; writes nothing"
    )
    parser.add_argument("--scenarios", default=",".join(SCENARIOS), help="separated by commas")
    parser.add_argument(
        "--tail", action="store_true", help="only where this project's slowest requests spend their time"
    )
    options = parser.parse_args()
    unoptimised = interpreter.warning(interpreter.slowness())
    if unoptimised:
        print(unoptimised, flush=True)
    with tempfile.TemporaryDirectory(prefix="bench-") as name, contextlib.ExitStack() as stack:
        folder = Path(name)
        folder.chmod(0o755)
        url = stack.enter_context(embedded.joined(folder / "data"))
        pid = int((folder / "data/postgres/postmaster.pid").read_text().split()[0])
        if options.tail:
            database = contestants.new_database(url, "tail", ours=True)
            for connections in (CONNECTIONS, MANY_CONNECTIONS):
                print(tail.measure(database, folder, options.seconds, connections), flush=True)
            return
        field = Field(url, folder, stack)
        field.fill(everybody=not options.quick)
        before = psutil.cpu_times()
        runs = Bench(folder, pid, options.rounds, options.seconds).measure(field.matches(options.scenarios.split(",")))
        after = psutil.cpu_times()
        steal = (after.steal - before.steal) / (sum(after) - sum(before))
        numbers = extras(runs)
        numbers["pgbench"] = contestants.pgbench(f"{url.replace('/postgres?', '/project?')}", folder, options.seconds)
    report = Report(runs, field.starts, numbers, steal, unoptimised)
    print(report.markdown())
    if not options.quick:
        report.write(PROJECT_ROOT / "docs")


if __name__ == "__main__":
    main()
