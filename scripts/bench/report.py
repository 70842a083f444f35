"""What was measured, as text for a terminal and as docs/bench.md with its chart."""

from dataclasses import dataclass
from statistics import median

from scripts.bench.measure import Runs


@dataclass(frozen=True)
class Start:
    """Seconds from exec to the first 200, and megabytes of memory then."""

    name: str
    title: str
    seconds: float
    memory: float


def text(runs: Runs, starts: list[Start]) -> str:
    cases = list(dict.fromkeys(run.case for run in runs.all))
    lines = []
    for case in cases:
        lines.append(f"\n{case}")
        for start in starts:
            rate = runs.typical(start.name, case, "rate")
            if rate is None:
                continue
            ratios = runs.ratios("project", start.name, case)
            lines.append(
                f"  {start.name:14} {rate:8.0f}/s  p50 {runs.typical(start.name, case, 'p50'):6.2f}  "
                f"p99 {runs.typical(start.name, case, 'p99'):6.2f} ms  api {runs.typical(start.name, case, 'api_us'):6.0f}  "
                f"db {runs.typical(start.name, case, 'database_us'):6.0f} us  "
                f"project is {median(ratios):5.2f} ({min(ratios):.2f}-{max(ratios):.2f})"
            )
    lines += ["", *(f"{s.name:14} {s.seconds:.2f} s  {s.memory:.0f} MB" for s in starts)]
    return "\n".join(lines)
