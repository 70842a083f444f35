"""The attacks of one user that others must not notice.

To add one: write a function that takes an Attacker and returns when the attack is over, and put it into ATTACKS under
a name that says what is done. `attacker.flood(Request(method, path, body, headers), at_once=100)` sends one request
again and again for the length of a run; `attacker.send(request)` sends one. Every operation of the OpenAPI document is
attacked besides, without being listed here (documented.py).
"""

import asyncio
import base64
import contextlib
import datetime
import itertools
import json
import zoneinfo
from typing import Final

from tests.fair_share.documented import Request
from tests.fair_share.harness import Attack, Attacker

JSON: Final = ("Content-Type", "application/json")


def task(title: str = "x") -> bytes:
    return json.dumps({"title": title}).encode()


def archive(tasks: int, title: str = "x" * 150) -> bytes:
    """What an import takes, with so many tasks."""
    moment = "2026-01-01T00:00:00Z"
    members = [
        {"id": number, "title": title, "tags": ["a", f"t{number}"], "created_at": moment, "updated_at": moment}
        for number in range(1, tasks + 1)
    ]
    return json.dumps({"format": "tasks-backend", "version": 1, "tasks": members}).encode()


async def import_that_has_the_list(attacker: Attacker) -> asyncio.Task[None]:
    """An import of 20,000 tasks, which has come to the database: other writes of the user's wait for it."""
    importing = asyncio.create_task(
        attacker.send_plainly(Request("POST", f"/api/{attacker.user_id}/import?ids=keep", archive(20_000), (JSON,)))
    )
    await attacker.until_at_database()
    return importing


async def writes_beside_an_import(attacker: Attacker) -> None:
    """As many as would have all connections, if each waited on one for the list."""
    importing = await import_that_has_the_list(attacker)
    writing = Request("POST", f"/api/{attacker.user_id}/tasks", task(), (JSON,))
    await asyncio.gather(*(attacker.send_plainly(writing) for _ in range(53)), importing)


async def keyed_writes(attacker: Attacker) -> None:
    """More than MAX_REQUESTS, each with a key of its own, while an import has the list."""
    importing = await import_that_has_the_list(attacker)
    numbers = itertools.count()
    path = f"/api/{attacker.user_id}/tasks"
    await asyncio.gather(
        *(
            attacker.send_plainly(Request("POST", path, task(), (JSON, ("Idempotency-Key", f"k{next(numbers)}"))))
            for _ in range(1_100)
        ),
        importing,
    )


async def plain_writes(attacker: Attacker) -> None:
    """All of one list: each needs the row of the one before."""
    await attacker.flood(Request("POST", f"/api/{attacker.user_id}/tasks", task(), (JSON,)), at_once=200)


async def reads(attacker: Attacker) -> None:
    """The tags of 20,000 tasks, more at a time than there are connections."""
    await attacker.send(Request("POST", f"/api/{attacker.user_id}/import?ids=keep", archive(20_000), (JSON,)))
    await attacker.flood(Request("GET", f"/api/{attacker.user_id}/tags"), at_once=200)


async def slow_reads(attacker: Attacker) -> None:
    """The tags of 40,000 tasks, some at a time."""
    path = f"/api/{attacker.user_id}/import?ids=keep"
    await attacker.send(Request("POST", path, archive(40_000, "x"), (JSON,)))
    await attacker.flood(Request("GET", f"/api/{attacker.user_id}/tags"), at_once=60)


async def empty_objects(attacker: Attacker) -> None:
    """Imports of 100,000 tasks without a member."""
    body = b'{"format":"tasks-backend","version":1,"tasks":[' + b",".join([b"{}"] * 100_000) + b"]}"
    await attacker.flood(Request("POST", f"/api/{attacker.user_id}/import", body, (JSON,)), at_once=10)


async def spaced_empty_objects(attacker: Attacker) -> None:
    """The same with blanks between them, so that they are not too many for their size."""
    body = b'{"format":"tasks-backend","version":1,"tasks":[' + b",".join([b"{}".ljust(20)] * 100_000) + b"]}"
    await attacker.flood(Request("POST", f"/api/{attacker.user_id}/import", body, (JSON,)), at_once=10)


async def long_history(attacker: Attacker) -> None:
    """Imports of 100,000 completions of one task, of which a tenth is kept."""
    begun = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
    completions = [
        {"task_id": 1, "completed_at": f"{begun + datetime.timedelta(seconds=number):%Y-%m-%dT%H:%M:%SZ}", "title": "x"}
        for number in range(100_000)
    ]
    file = {**json.loads(archive(1)), "completions": completions}
    body = json.dumps(file, separators=(",", ":")).encode()
    await attacker.flood(Request("POST", f"/api/{attacker.user_id}/import?ids=new", body, (JSON,)), at_once=10)


async def numbers_as_tags(attacker: Attacker) -> None:
    """A list of 32,000 members, none of which is a text."""
    body = b'{"title":"x","tags":[' + b"1," * 32_000 + b"1]}"
    await attacker.flood(Request("POST", f"/api/{attacker.user_id}/tasks", body, (JSON,)), at_once=20)


async def many_tags_asked_for(attacker: Attacker) -> None:
    """A list of tasks that have 2,500 tags: as many at a time as a user may have under way."""
    tags = "&".join(["tag=%C3%A9"] * 2_500)
    await attacker.flood(Request("GET", f"/api/{attacker.user_id}/tasks?{tags}"), at_once=95)


async def long_keys(attacker: Attacker) -> None:
    """Tasks of characters that stand for eighteen each, by which they must be found."""
    task = {"title": "\ufdfa" * 200, "description": "\ufdfa" * 1_000}
    body = json.dumps(task, ensure_ascii=False).encode()
    await attacker.flood(Request("POST", f"/api/{attacker.user_id}/tasks", body, (JSON,)), at_once=60)


async def imports_of_long_keys(attacker: Attacker) -> None:
    """Imports of texts that are compared by their accents."""
    moment = "2026-01-01T00:00:00Z"
    texts = {"title": "\u0344" * 200, "description": "\u0344" * 1_000, "created_at": moment, "updated_at": moment}
    file = {"format": "tasks-backend", "version": 1, "tasks": [{"id": number, **texts} for number in range(1, 501)]}
    body = json.dumps(file, ensure_ascii=False).encode()
    await attacker.flood(Request("POST", f"/api/{attacker.user_id}/import?ids=new", body, (JSON,)), at_once=5)


async def impossible_rules(attacker: Attacker) -> None:
    """Rules of which no day ever comes, a hundred in each batch."""
    rule = "FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30;BYSETPOS=" + ",".join(str(number) for number in range(1, 32))
    task = {"title": "x", "due_date": "2027-01-01", "recurrence": rule}
    body = json.dumps({"operations": [{"op": "create", "task": task}] * 100}).encode()
    await attacker.flood(Request("POST", f"/api/{attacker.user_id}/batch", body, (JSON,)), at_once=20)


async def calendar_of_many_zones(attacker: Attacker) -> None:
    """500 tasks that repeat, each in a zone of its own, exported as a calendar."""
    zones = sorted(zone for zone in zoneinfo.available_timezones() if "/" in zone)[:500]
    for start in range(0, len(zones), 100):
        operations = [
            {
                "op": "create",
                "task": {"title": "x", "due_date": "2027-01-01", "time_zone": zone, "recurrence": "FREQ=DAILY"},
            }
            for zone in zones[start : start + 100]
        ]
        body = json.dumps({"operations": operations}).encode()
        await attacker.send(Request("POST", f"/api/{attacker.user_id}/batch", body, (JSON,)))
    export = Request("GET", f"/api/{attacker.user_id}/export", headers=(("Accept", "text/calendar"),))
    await attacker.flood(export, at_once=10)


async def trash(attacker: Attacker) -> None:
    """Tasks that are made and deleted in the same batch."""
    operations = [
        operation
        for number in range(50)
        for operation in (
            {"op": "create", "ref": f"r{number}", "task": {"title": "x" * 200, "description": "d" * 1_000}},
            {"op": "delete", "ref": f"r{number}"},
        )
    ]
    body = json.dumps({"operations": operations}).encode()
    await attacker.flood(Request("POST", f"/api/{attacker.user_id}/batch", body, (JSON,)), at_once=20)


async def applied_to_many(attacker: Attacker) -> None:
    """All of 1,000 tasks that repeat and are two thousand years late, completed and made late again and again."""
    task = {"title": "x", "due_date": "0001-01-01", "recurrence": "FREQ=WEEKLY;INTERVAL=305"}
    body = json.dumps({"operations": [{"op": "create", "task": task}] * 100}).encode()
    for _ in range(10):
        await attacker.send(Request("POST", f"/api/{attacker.user_id}/batch", body, (JSON,)))
    complete = {"where": {}, "op": "complete", "skip_missed": True, "expect": 1_000}
    apply = Request("POST", f"/api/{attacker.user_id}/tasks/apply", json.dumps(complete).encode(), (JSON,))
    await attacker.flood(apply, at_once=20)


async def kept_answers(attacker: Attacker) -> None:
    """Batches whose answers are kept, each under a key of its own."""
    body = json.dumps({"operations": [{"op": "create", "task": {"title": "x" * 200}}] * 100}).encode()
    path = f"/api/{attacker.user_id}/batch"
    for number in range(40):
        await attacker.send(Request("POST", path, body, (JSON, ("Idempotency-Key", f"k{number}"))))


async def streams(attacker: Attacker) -> None:
    """More than a user may have."""
    await attacker.flood(Request("GET", f"/api/{attacker.user_id}/events"), at_once=200)


async def forged_cursors(attacker: Attacker) -> None:
    """Places that no page ever named."""
    forged = base64.urlsafe_b64encode(b'["2026-02-30T00:00:00Z",40000]').rstrip(b"=").decode()
    await attacker.flood(Request("GET", f"/api/{attacker.user_id}/tasks?cursor={forged}"), at_once=60)


async def made_up_kids(attacker: Attacker) -> None:
    """Tokens of keys that nobody has, from somebody who has none. Where there is a key server, it is asked for them."""
    header = base64.urlsafe_b64encode(b'{"alg":"EdDSA","typ":"JWT","kid":"made-up"}').rstrip(b"=").decode()
    refused = Request("GET", "/api/somebody/tasks", headers=(("Authorization", f"Bearer {header}.e30.AAAA"),))
    await attacker.flood(refused, at_once=200)


async def refused_bodies(attacker: Attacker) -> None:
    """Bodies of somebody without a token, of which a server has read a part before it refuses them."""
    headers = (("Authorization", "Bearer x"), JSON)
    await attacker.flood(Request("POST", "/api/somebody/import", b"[" * 250_000, headers), at_once=200)


async def pipelined(attacker: Attacker) -> None:
    """Requests without an end on one connection, whose answers are read by nobody."""
    reader, writer = await asyncio.open_connection("127.0.0.1", attacker.port)
    with contextlib.suppress(TimeoutError, OSError):
        async with asyncio.timeout(attacker.seconds):
            while True:
                writer.write(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n" * 1_000)
                await writer.drain()
    writer.transport.abort()
    attacker.answers["read" if reader.at_eof() else "unread"] += 1


async def unread_answers(attacker: Attacker) -> None:
    """60 connections that ask for a long answer and never read it."""
    long = {"title": "x" * 200, "description": "d" * 1_000}
    tasks = json.dumps({"operations": [{"op": "create", "task": long}] * 100})
    for _ in range(5):
        await attacker.send(Request("POST", f"/api/{attacker.user_id}/batch", tasks.encode(), (JSON,)))
    line = f"GET /api/{attacker.user_id}/tasks?limit=500 HTTP/1.1"
    asked = f"{line}\r\nHost: x\r\nAuthorization: {attacker.bearer}\r\n\r\n"
    await attacker.read_nothing(asked.encode() * 8, connections=60)


async def unread_pages(attacker: Attacker) -> None:
    """95 connections that ask for eight pages of the longest texts each, and read none of them."""
    letter = "\U0001f600"
    task = {"title": letter * 200, "description": letter * 1_000}
    body = json.dumps({"operations": [{"op": "create", "task": task}] * 100}, ensure_ascii=False).encode()
    for _ in range(5):
        await attacker.send(Request("POST", f"/api/{attacker.user_id}/batch", body, (JSON,)))
    path, head = f"/api/{attacker.user_id}/tasks", f"Host: x\r\nAuthorization: {attacker.bearer}\r\n\r\n"
    asked = [f"GET {path}?sort=title&limit={500 - number} HTTP/1.1\r\n{head}" for number in range(8)]
    await attacker.read_nothing("".join(asked).encode(), connections=95)


ATTACKS: Final[dict[str, Attack]] = {
    "1,100 writes with keys beside an import": keyed_writes,
    "an import and 53 writes": writes_beside_an_import,
    "200 writes at a time": plain_writes,
    "200 reads at a time": reads,
    "60 reads at a time, of 40,000 tasks": slow_reads,
    "imports of 100,000 empty objects": empty_objects,
    "imports of 100,000 empty objects with blanks": spaced_empty_objects,
    "imports of 100,000 completions": long_history,
    "tags that are 32,000 numbers": numbers_as_tags,
    "95 queries of 2,500 tags at a time": many_tags_asked_for,
    "tasks of 1,000 characters that stand for eighteen each": long_keys,
    "imports of 1,000 accents a task": imports_of_long_keys,
    "batches of 100 impossible rules": impossible_rules,
    "calendars of 500 zones": calendar_of_many_zones,
    "batches that fill the trash": trash,
    "writes that are applied to 1,000 late tasks": applied_to_many,
    "batches whose answers are kept": kept_answers,
    "200 event streams": streams,
    "forged cursors": forged_cursors,
    "tokens of made-up keys": made_up_kids,
    "bodies of 250 kB without a token": refused_bodies,
    "pipelined requests": pipelined,
    "60 connections that read nothing": unread_answers,
    "95 connections that read no page of the longest texts": unread_pages,
}
