"""Tasks as iCalendar (RFC 5545): what a VTODO says of a task, and in which time zone.

A calendar means what the API means: its occurrences fall on the same local days, at the same wall time.
"""

import itertools
import re
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta, timezone, tzinfo
from typing import Any, Final, TypeVar

from backend.app.domain import due_dates, recurrence, reminders
from backend.app.domain.due_dates import Due
from backend.app.domain.occurrences import occurrences, with_defaults
from backend.app.domain.rules import WEEKDAYS, Rule, read_rule
from backend.app.web.vtimezone import FIRST_YEAR, fixed_vtimezone, vtimezone

Read = TypeVar("Read")
# RFC 5545, section 3.8.1.9: 1 to 4 are high, 5 is medium, 6 to 9 are low.
PRIORITIES: Final = {"high": 1, "medium": 5, "low": 9}
# RFC 5545, section 3.1: a line has at most 75 octets, without its end.
LINE_MAX_OCTETS: Final = 75
# A rule that ends after more occurrences keeps its COUNT, also where its first day is none of its own.
COUNTED_MAX: Final = 366
SHORTEST_MONTH_DAYS: Final = 28
UTC_NAMES: Final = frozenset(
    {"UTC", "UCT", "Universal", "Zulu", "Etc/UTC", "Etc/UCT", "Etc/Universal", "Etc/Zulu", "GMT", "Etc/GMT"}
)
# The IANA zones Etc/GMT+12 to Etc/GMT-14, which every calendar knows, have whole hours only; their signs are POSIX'.
_HOURS_WEST_MAX, _HOURS_EAST_MAX = 12, 14
_HOUR: Final = timedelta(hours=1)
_SECOND: Final = timedelta(seconds=1)
_LAST_UTC: Final = "99991231T235959Z"

# What some reader takes for the end of a line, and the other characters that TEXT must not have (section 3.3.11).
_LINE_ENDS: Final = re.compile("\r\n|[\r\n\x0b\x0c\x85\u2028\u2029]")
_CONTROLS: Final = re.compile("[\x00-\x08\x0e-\x1f\x7f-\x9f]")
_ESCAPED: Final = str.maketrans({"\\": "\\\\", ";": "\\;", ",": "\\,", "\n": "\\n"})
_CONTINUES: Final = 0b1100_0000, 0b1000_0000


@dataclass(frozen=True, slots=True)
class _Point:
    """When a task is due, as a calendar has it: a wall time in a zone (`zone` has its name), in UTC, or a day."""

    wall: datetime
    where: tzinfo
    day: bool = False
    zone: str | None = None

    def line(self, name: str, later: timedelta = timedelta()) -> str:
        text = _basic(self.wall + later)
        if self.day:
            return f"{name};VALUE=DATE:{text[:8]}"
        return f"{name}:{text}Z" if self.zone is None else f"{name};TZID={self.zone}:{text}"

    def may_precede(self, due: "_Point") -> bool:
        """Whether it may be the DTSTART beside this DUE: of the same type, and earlier (section 3.8.2.3)."""
        if self.day or due.day:
            return self.day and due.day and self.wall < due.wall
        return self.wall.replace(tzinfo=self.where) < due.wall.replace(tzinfo=due.where)

    def until(self, last: datetime) -> str:
        """UNTIL in the type of DTSTART (section 3.3.10): a day, or a moment in UTC."""
        if self.day:
            return _basic(last)[:8]
        try:
            # Of an hour that comes twice, or not at all, the later: it includes the wall time.
            return f"{_basic(max(last.replace(tzinfo=self.where, fold=fold).astimezone(UTC) for fold in (0, 1)))}Z"
        except OverflowError:
            return _LAST_UTC


def todo(task: Mapping[str, Any]) -> tuple[str | None, bytes]:
    """A task's VTODO, and the name of the zone that has to be defined before it. For any row, whatever is in it."""
    schedule, zone = _schedule(task)
    lines = ["BEGIN:VTODO", f"UID:{_uid(task['user_id'], task['id'])}"]
    lines += [f"DTSTAMP:{_utc(task['updated_at'])}", f"CREATED:{_utc(task['created_at'])}"]
    lines += [f"LAST-MODIFIED:{_utc(task['updated_at'])}", f"SUMMARY:{_escaped(task['title'])}"]
    lines.append(f"STATUS:{'COMPLETED' if task['completed'] else 'NEEDS-ACTION'}")
    if task["description"] is not None:
        lines.append(f"DESCRIPTION:{_escaped(task['description'])}")
    if task["completed_at"] is not None:
        lines.append(f"COMPLETED:{_utc(task['completed_at'])}")
    if task["priority"] is not None:
        lines.append(f"PRIORITY:{PRIORITIES[task['priority']]}")
    if task["tags"]:
        lines.append(f"CATEGORIES:{','.join(map(_escaped, task['tags']))}")
    if task["parent_id"] is not None:
        lines.append(f"RELATED-TO:{_uid(task['user_id'], task['parent_id'])}")
    alarms = _alarms(task, repeats=any(line.startswith("RRULE") for line in schedule))
    return zone, b"".join(map(_folded, [*lines, *schedule, *alarms, "END:VTODO"]))


def zone_component(name: str) -> bytes:
    """The VTIMEZONE of a zone that `todo` named."""
    if name.startswith("UTC") and name not in UTC_NAMES:
        hours, minutes = int(name[4:6]), int(name[6:])
        offset = timedelta(hours=hours, minutes=minutes)
        return fixed_vtimezone(name, -offset if name[3] == "-" else offset)
    return vtimezone(name)


def _schedule(task: Mapping[str, Any]) -> tuple[list[str], str | None]:
    """The lines that say when a task can be begun and is due, and their zone."""
    time_zone = task["time_zone"]
    if time_zone is not None and not due_dates.is_zone(time_zone):  # the system's list of zones has become shorter
        time_zone = None
    begins, due = (_readable(due_dates.read, task[name]) for name in ("start_date", "due_date"))
    start = None if begins is None else _point(begins, time_zone, repeats=False)
    if due is None:
        lines = [] if task["due_date"] is None else [f"COMMENT:{_escaped('due_date: ' + task['due_date'])}"]
        return (lines, None) if start is None else ([*lines, start.line("DTSTART")], start.zone)
    rule = _readable(read_rule, task["recurrence"])
    if rule is not None and not _comes_again(task):
        rule = None
    point = _point(due, time_zone, repeats=rule is not None)
    if rule is None:
        if start is not None and start.may_precede(point):
            return [start.line("DTSTART"), point.line("DUE")], start.zone or point.zone
        return [point.line("DUE")], point.zone
    lines = [point.line("DTSTART"), _later(point), f"RRULE:{_rule_text(rule, point)}"]
    return lines, point.zone


def _readable(read: Callable[[str], Read], text: str | None) -> Read | None:
    """None also for a row from before such a text was refused."""
    try:
        return None if text is None else read(text)
    except ValueError:
        return None


def _alarms(task: Mapping[str, Any], *, repeats: bool) -> list[str]:
    """A VALARM for each reminder (section 3.6.6). What repeats has its due date as DTSTART, everything else as DUE."""
    lines = []
    for text in task["reminders"]:
        reminder = _readable(reminders.read, text)
        if reminder is None:
            continue
        if isinstance(reminder, datetime):
            trigger = f"TRIGGER;VALUE=DATE-TIME:{_basic(reminder)}Z"
        else:
            trigger = f"TRIGGER{'' if repeats else ';RELATED=END'}:{text}"
        lines += ["BEGIN:VALARM", "ACTION:DISPLAY", f"DESCRIPTION:{_escaped(task['title'])}", trigger, "END:VALARM"]
    return lines


def _comes_again(task: Mapping[str, Any]) -> bool:
    """Readers that expand a rule without occurrences would not show the task at all."""
    following = recurrence.advance(task["due_date"], task["recurrence"], time_zone=task["time_zone"], completed_at=None)
    return following is not None


def _point(due: Due, time_zone: str | None, *, repeats: bool) -> _Point:
    if due.offset is None:
        return _Point(due.wall, due_dates.local_zone(due, time_zone), day=True)
    wall = due.wall.replace(microsecond=0)
    in_utc = _Point(wall - due.offset, UTC)
    if time_zone is None:
        return _fixed(wall, due.offset) if repeats and due.offset else in_utc
    if time_zone in UTC_NAMES:
        return in_utc
    try:
        local = due_dates.local(due, time_zone).replace(microsecond=0)
    except ValueError:  # a row from before such dates were refused
        return in_utc
    where = due_dates.zone(time_zone)
    # Of an hour that comes twice a calendar means the first, which is another moment than the second.
    exact = local.year > FIRST_YEAR and local.replace(tzinfo=where).utcoffset() == local - in_utc.wall
    return _Point(local, where, zone=time_zone) if exact or (repeats and local.year > FIRST_YEAR) else in_utc


def _fixed(wall: datetime, offset: timedelta) -> _Point:
    """A wall time at an offset without a zone: rules mean its days, which are others than those in UTC."""
    hours, rest = divmod(offset, _HOUR)
    if not rest and -_HOURS_WEST_MAX <= hours <= _HOURS_EAST_MAX:
        name = f"Etc/GMT{-hours:+d}"
    else:
        minutes = abs(offset) // timedelta(minutes=1)
        name = f"UTC{'-' if offset < timedelta() else '+'}{minutes // 60:02}{minutes % 60:02}"
    return _Point(wall, timezone(offset), zone=name)


def _later(point: _Point) -> str:
    """DUE must be later than DTSTART, from which a rule counts (sections 3.8.2.3 and 3.8.2.4).

    A day lasts until it ends: as DUE, the next day would be taken for the day that is meant. A moment lasts for a
    second; one that comes again is not the calendar's last.
    """
    return "DURATION:P1D" if point.day else point.line("DUE", _SECOND)


def _rule_text(rule: Rule, point: _Point) -> str:
    rule = _said_plainly(rule, point.wall.date())
    parts = [f"FREQ={rule.frequency}"]
    if rule.interval > 1:
        parts.append(f"INTERVAL={rule.interval}")
    parts += _ending(rule, point)
    for name, numbers in (("BYMONTH", rule.months), ("BYMONTHDAY", rule.month_days)):
        if numbers:
            parts.append(f"{name}={','.join(map(str, numbers))}")
    if days := _by_day(rule):
        parts.append(f"BYDAY={','.join(days)}")
    if rule.positions:
        parts.append(f"BYSETPOS={','.join(map(str, rule.positions))}")
    if rule.week_start:
        parts.append(f"WKST={WEEKDAYS[rule.week_start]}")
    return ";".join(parts)


def _said_plainly(rule: Rule, first: date) -> Rule:
    """The same days in words that readers agree on.

    Some take the 29th of February for the 1st of March in other years where the rule has no day, and a day of the
    month alone for one of the first month.
    """
    if rule.frequency != "YEARLY" or rule.weekdays or rule.numbered or rule.positions:
        return rule
    full = with_defaults(rule, first)
    if rule.interval == 1 and len(full.months) != 1:
        return replace(full, frequency="MONTHLY")
    return full if max(full.month_days) > SHORTEST_MONTH_DAYS else rule


def _ending(rule: Rule, point: _Point) -> list[str]:
    last = rule.last_wall_time(point.where)
    if last is not None:
        return [f"UNTIL={point.until(last)}"]
    if rule.count is None:
        return []
    days = occurrences(rule, point.wall.date())
    counted = list(itertools.islice(days, rule.count if rule.count <= COUNTED_MAX else 1))
    if rule.count > COUNTED_MAX or counted[0] == point.wall.date():
        return [f"COUNT={rule.count}"]
    # Readers differ in whether a first day that the rule does not mean counts: all understand UNTIL alike.
    return [f"UNTIL={point.until(datetime.combine(counted[-1], point.wall.time()))}"]


def _by_day(rule: Rule) -> list[str]:
    """Weekdays with and without numbers together are read differently, so that each gets its numbers."""
    numbered = list(rule.numbered)
    if numbered and rule.weekdays:
        most = 5 if rule.frequency == "MONTHLY" or rule.months else 53
        numbered += [(number, day) for day in rule.weekdays for number in range(1, most + 1)]
    plain = [] if numbered else [WEEKDAYS[day] for day in rule.weekdays]
    return plain + [f"{number}{WEEKDAYS[day]}" for number, day in sorted(set(numbered))]


def _uid(user_id: str, task_id: int) -> str:
    """The same in every export, and nobody's id in clear."""
    return str(uuid.uuid5(uuid.NAMESPACE_URL, f"urn:tasks:{user_id}:{task_id}"))


def _utc(timestamp: str) -> str:
    """A timestamp of ours (2026-01-01T00:00:00.000000Z) in RFC 5545's basic format, without the fraction."""
    return f"{timestamp[:19].replace('-', '').replace(':', '')}Z"


def _basic(wall: datetime) -> str:
    return wall.isoformat(timespec="seconds")[:19].replace("-", "").replace(":", "")


def _escaped(text: str) -> str:
    """TEXT (section 3.3.11): all that ends a line somewhere is a line feed, and other controls are left out."""
    return _CONTROLS.sub("", _LINE_ENDS.sub("\n", text)).translate(_ESCAPED)


def _folded(line: str) -> bytes:
    """A content line (section 3.1), cut between characters."""
    octets = line.encode()
    if len(octets) <= LINE_MAX_OCTETS:
        return octets + b"\r\n"
    pieces, start, room = [], 0, LINE_MAX_OCTETS
    mask, continues = _CONTINUES
    while len(octets) - start > room:
        end = start + room
        while octets[end] & mask == continues:
            end -= 1
        pieces.append(octets[start:end])
        start, room = end, LINE_MAX_OCTETS - 1
    pieces.append(octets[start:])
    return b"\r\n ".join(pieces) + b"\r\n"
