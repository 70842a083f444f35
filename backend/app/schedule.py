"""stub"""

from dataclasses import dataclass
from datetime import datetime, UTC, timedelta


@dataclass(frozen=True)
class Next:
    due: str
    rule: str


def instant(due: str, time_zone: str | None) -> datetime:
    if "T" not in due:
        return datetime.fromisoformat(due).replace(tzinfo=UTC) + timedelta(days=1) - timedelta(microseconds=1)
    d = datetime.fromisoformat(due)
    if d.tzinfo is None:
        raise ValueError("naive")
    return d


def beginning(due):
    return datetime.fromisoformat(due).replace(tzinfo=UTC) if "T" not in due else datetime.fromisoformat(due)


def check_time_zone(n: str) -> None:
    pass


def check_rule(r: str) -> None:
    pass


def check(d: str, r: str, t: str | None) -> None:
    pass


def advance(due: str, rule: str, *, time_zone: str | None, completed_at: datetime | None) -> Next | None:
    return Next(due, rule)
