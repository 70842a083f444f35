"""The benchmark's bookkeeping: ratios, targets and the report. What it measures is shown by running it."""

import os
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from scripts.bench import interpreter
from scripts.bench.contestants import CALLERS, Contestant
from scripts.bench.measure import MIXED, SCENARIOS, Case, Run, Runs, plan
from scripts.bench.processes import Load, Server, cpu_seconds
from scripts.bench.report import TABLE_BEGINS, TABLE_ENDS, Report, Start, Target, renew_table

RATES = {
    "project": 3000.0,
    "fastify": 2000.0,
    "fastify-walled": 1500.0,
    "usual": 200.0,
    "pocketbase": 1000.0,
    "floor": 9000.0,
}
PAGE = f"before\n{TABLE_BEGINS}\nold\n{TABLE_ENDS}\nafter\n"
# What the sum of ten million numbers takes on the quickest machine, and more than a Python's start.
SUM_SECONDS_AT_LEAST = 0.05
DATABASE_US = {"project": 90.0, "fastify-walled": 75.0}
CASES = [*(Case(scenario, 16) for scenario in SCENARIOS), Case("mixed", 64)]


def runs_of(rates: dict[str, float], *, rounds: int = 3) -> Runs:
    """Every case at these rates, where every second round finds the machine half as fast for all."""
    runs = Runs()
    for number in range(rounds):
        for case in CASES:
            for name, rate in rates.items():
                slow = 1 + number % 2
                load = Load(1000, rate / slow, 1.0, 2.0 * slow, 0)
                runs.all.append(Run(name, case, load, 100.0 * slow, DATABASE_US.get(name, 50.0) * slow))
    return runs


@pytest.fixture
def report() -> Report:
    runs = runs_of(RATES)
    runs.all.append(Run("project-many", Case("page 1", 16), Load(1000, 10.0, 1.0, 2.0, 0), 1.0, 1.0))
    starts = [Start(name, f"the {name}", 0.5, 50.0) for name in (*RATES, "project-many")]
    return Report(runs, starts, {"pgbench": 5000.0, "page 1,000 ÷ page 1, time": 1.01}, 0.02)


def test_noise_that_falls_on_all_is_not_in_a_ratio(report: Report) -> None:
    """Neighbours of a round are compared, then the median is taken."""
    assert report.runs.ratios("project", "fastify", Case("list", 16)) == [1.5, 1.5, 1.5]
    assert report.runs.ratios("project", "nobody", Case("list", 16)) == []


def test_the_report_has_every_scenario_target_and_contestant(report: Report, tmp_path: Path) -> None:
    """And says which targets are missed; the chart is a picture with a bar for each."""
    (tmp_path / "performance.md").write_text(PAGE)
    report.write(tmp_path)
    text, chart = (tmp_path / "bench.md").read_text(), ET.parse(tmp_path / "bench.svg").getroot()  # noqa: S314 - ours

    assert all(f"### {case}" in text for case in CASES)
    assert "| list: requests/s ÷ the fastify | ≥ 2 | 1.50 | **no** |" in text
    assert "| list: requests/s ÷ the fastify-walled | ≥ 1.5 | 2.00 | yes |" in text
    assert "| mixed: requests/s ÷ the usual | ≥ 12 | 15.00 | yes |" in text
    assert "| toggle: CPU of PostgreSQL ÷ the fastify | ≤ 1.8 | 1.80 | yes |" in text
    assert "| the fastify-walled | 75 (1.50) | 75 (1.50) | 75 (1.50) |\n| the fastify | 50 | 50 | 50 |" in text
    assert "| refused: time ÷ the floor | ≤ 2 | 3.00 | **no** |" in text
    assert "pgbench" in text
    assert len(chart.findall("{http://www.w3.org/2000/svg}rect")) == 1 + 6 * 5 + 5


def test_the_pages_table_is_renewed_and_nothing_else_of_it(report: Report, tmp_path: Path) -> None:
    """It stands between two comments; a page without them is not touched."""
    page = tmp_path / "performance.md"
    page.write_text(PAGE)

    report.write(tmp_path)

    before, _, after = page.read_text().partition(report.summary())
    assert (before, after) == (f"before\n{TABLE_BEGINS}\n\n", f"\n\n{TABLE_ENDS}\nafter\n")
    assert "| toggle | 15.00 | 1.50 | 2.00 | 3.00 |" in report.summary()
    with pytest.raises(SystemExit, match="has no <!--"):
        renew_table(tmp_path / "bench.md", "a table")


def test_a_python_without_optimisations_is_named_on_top(report: Report) -> None:
    """The report begins with the sentence, and has none where the loop was quick enough."""
    warning = interpreter.warning(interpreter.UNOPTIMISED_FROM)
    slow = Report(report.runs, report.starts, report.extras, 0.0, warning)

    assert "built without optimisations" in warning
    assert slow.markdown().startswith(warning)
    assert interpreter.warning(interpreter.UNOPTIMISED_FROM - 0.01) == ""
    assert report.markdown().startswith("# ")


def test_a_python_is_measured_and_named(capfd: pytest.CaptureFixture[str]) -> None:
    """As bench.sh reads it: how slow it is, and which one."""
    subprocess.run([sys.executable, interpreter.__file__], check=True)

    measured, _, program = capfd.readouterr().out.strip().partition(" ")
    assert 0.1 < float(measured) < 10
    assert Path(program).name.startswith("python")


def test_cpu_of_processes_that_have_ended_is_counted() -> None:
    """A backend of PostgreSQL that ended during a run has worked for it."""
    work = "import subprocess, sys; subprocess.run([sys.executable, '-c', 'sum(range(10**7))']); print(); input()"
    before = cpu_seconds(os.getpid())
    with subprocess.Popen([sys.executable, "-c", work], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        parent.stdout.readline()
        used = cpu_seconds(parent.pid)
        parent.communicate(b"\n")

    assert used > SUM_SECONDS_AT_LEAST
    assert cpu_seconds(os.getpid()) - before >= used


@pytest.mark.parametrize(
    ("value", "bound", "at_least", "met"),
    [(1.3, 1.3, True, True), (1.29, 1.3, True, False), (1.0, 1.0, False, True), (1.01, 1.0, False, False)],
)
def test_a_target_is_met_at_its_bound(value: float, bound: float, at_least: bool, met: bool) -> None:
    """At least or at most, the bound itself counts."""
    assert Target("x", value, bound, at_least).met is met


def test_a_plan_asks_every_caller_in_the_shares_of_the_mix(tmp_path: Path) -> None:
    """70 lists, 15 gets, 5 creates and 10 toggles of a hundred, with the token of whose path it is."""
    contestant = Contestant("x", "x", never, [f"token{n}" for n in range(1, CALLERS + 2)])

    lines = [line.split("\t") for line in plan(contestant, "mixed", tmp_path).read_text().splitlines()]

    assert len(lines) == CALLERS * sum(MIXED.values())
    assert sum("limit=" in path for _, path, *_ in lines) == CALLERS * MIXED["list"]
    assert sum(method == "POST" for method, *_ in lines) == CALLERS * MIXED["create"]
    assert all(path.startswith(f"/api/user{int(token[5:]):04d}/") for _, path, token, _ in lines)


def never() -> Server:
    raise AssertionError
