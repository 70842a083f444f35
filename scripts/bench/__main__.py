"""`python -m scripts.bench`, which `scripts/bench.sh` runs after it has installed what is needed."""

import argparse
import contextlib
import shutil
import tempfile
from pathlib import Path

from backend.app import embedded
from scripts.bench import contestants, report
from scripts.bench.contestants import Contestant
from scripts.bench.measure import SCENARIOS, Case, Runs, measure, record_answers
from scripts.bench.processes import memory_mb
from scripts.bench.report import Start

CONNECTIONS = 16
MANY_CONNECTIONS = 64
# What a contestant is not asked: the floor knows two answers, and PocketBase answers strangers slowly, on purpose.
NOT_ASKED = {"floor": set(SCENARIOS) - {"list", "refused"}, "pocketbase": {"refused"}}


def main() -> None:
    """Measure, print, and write docs/bench.md and docs/bench.svg."""
    parser = argparse.ArgumentParser(prog="./scripts/bench.sh", description=report.__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=4.0, help="of each run")
    parser.add_argument("--only", default="", help="contestants, separated by commas")
    parser.add_argument("--scenarios", default=",".join(SCENARIOS))
    parser.add_argument("--write", action="store_true", help="write docs/bench.md and docs/bench.svg")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bench-", dir="/tmp") as name:
        folder = Path(name)
        folder.chmod(0o755)
        with embedded.joined(folder / "data") as url, contextlib.ExitStack() as stack:
            runs, starts = compete(url, folder, stack, options)
            text = report.text(runs, starts)
            print(text)


def compete(
    url: str, folder: Path, stack: contextlib.ExitStack, options: argparse.Namespace
) -> tuple[Runs, list[Start]]:
    database_pid = int((folder / "data/postgres/postmaster.pid").read_text().split()[0])
    wanted = set(options.only.split(",")) if options.only else None
    starts: list[Start] = []
    running: list[Contestant] = []

    def enter(contestant: Contestant) -> Contestant:
        contestant.server = stack.enter_context(contestant.start())
        first = contestant.request("list", 1, 1)
        seconds = contestant.server.wait(first.path, first.token)
        starts.append(Start(contestant.name, contestant.title, seconds, memory_mb(contestant.server.pid)))
        running.append(contestant)
        return contestant

    project = enter(contestants.project(contestants.new_database(url, "project", ours=True)))
    record_answers(project, folder / "answers.json")
    if wanted is None or "usual" in wanted:
        enter(contestants.usual(contestants.new_database(url, "usual", ours=False)))
    if (wanted is None or "fastify" in wanted) and shutil.which("node"):
        contestants.node_modules()
        enter(contestants.fastify(contestants.new_database(url, "fastify", ours=False)))
    if wanted is None or "pocketbase" in wanted:
        enter(contestants.pocketbase(folder / "pocketbase"))
    if wanted is None or "floor" in wanted:
        enter(contestants.floor(folder / "answers.json"))
    runs = Runs()
    scenarios = options.scenarios.split(",")
    for scenario in scenarios:
        taking_part = [c for c in running if scenario not in NOT_ASKED.get(c.name, ())]
        measure(
            taking_part, [Case(scenario, CONNECTIONS)],
            folder=folder, rounds=options.rounds, seconds=options.seconds, database_pid=database_pid, runs=runs,
        )  # fmt: skip
    return runs, starts


if __name__ == "__main__":
    main()
