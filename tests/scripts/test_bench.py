"""The benchmark's bookkeeping: ratios, targets and the report. What it measures is shown by running it."""

import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from scripts.bench.contestants import CALLERS, Contestant
from scripts.bench.measure import MIXED, SCENARIOS, Case, Run, Runs, plan
from scripts.bench.processes import Load, Server
from scripts.bench.report import Report, Start, Target

RATES = {"project": 3000.0, "fastify": 2000.0, "usual": 200.0, "pocketbase": 1000.0, "floor": 9000.0}
CASES = [*(Case(scenario, 16) for scenario in SCENARIOS), Case("mixed", 64)]


def runs_of(rates: dict[str, float], *, rounds: int = 3) -> Runs:
    """Every case at these rates, where every second round finds the machine half as fast for all."""
    runs = Runs()
    for number in range(rounds):
        for case in CASES:
            for name, rate in rates.items():
                slow = 1 + number % 2
                load = Load(1000, rate / slow, 1.0, 2.0 * slow, 0)
                runs.all.append(Run(name, case, load, 100.0 * slow, 50.0))
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
    report.write(tmp_path)
    text, chart = (tmp_path / "bench.md").read_text(), ET.parse(tmp_path / "bench.svg").getroot()  # noqa: S314 - ours

    assert all(f"### {case}" in text for case in CASES)
    assert "| list: requests/s ÷ the fastify | ≥ 1.3 | 1.50 | yes |" in text
    assert "| mixed: requests/s ÷ the usual | ≥ 10 | 15.00 | yes |" in text
    assert "| refused: time ÷ the floor | ≤ 2 | 3.00 | **no** |" in text
    assert "pgbench" in text
    assert len(chart.findall("{http://www.w3.org/2000/svg}rect")) == 1 + 6 * 4 + 4


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
