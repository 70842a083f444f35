"""One fault from beginning to end: traffic, the fault, traffic, and what is found afterwards."""

import asyncio
import contextlib
import time
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from tests.faults.actors import Reader, Tally, Writer
from tests.faults.faults import DIRECT, Fault, Stage
from tests.faults.journal import Findings, Found, audit
from tests.faults.stage import LOGIN, Api, Bouncer, Postgres, Prober, wire_before
from tests.support.key_server import key_server

USERS = ("anna", "bert", "carl", "dora")
WRITERS_PER_USER = 2
BEFORE_SECONDS = 0.7
# Of an answer: something was in its way.
FELT_SECONDS = 2.0
# What must hold.
RECOVERED_SECONDS = 5.0
LIVENESS_MS = 100.0
# How long after the fault's end writers go on at least, and at most where they are not answered.
AFTER_SECONDS, PATIENCE_SECONDS = 1.5, 25.0


@dataclass
class Row:
    """What the table says of a fault."""

    fault: str
    way: str
    tally: Tally
    findings: Findings
    slowest_ms: float
    recovered: float | None
    """Seconds until everybody had been answered well again; None if somebody never was."""

    @property
    def faults(self) -> list[str]:
        """Why the row is not clean."""
        found = self.findings.lost + self.findings.duplicated + self.findings.wrong
        if self.recovered is None or self.recovered > RECOVERED_SECONDS:
            found.append(f"working again after {self.recovered} s, more than {RECOVERED_SECONDS}")
        if self.slowest_ms > LIVENESS_MS:
            found.append(f"/health took {self.slowest_ms} ms, more than {LIVENESS_MS}")
        return found

    def cells(self) -> list[str]:
        found = self.findings
        recovered = "never" if self.recovered is None else f"{self.recovered:.1f}"
        name = self.fault if self.way == DIRECT else f"{self.fault}, through {self.way}"
        numbers = (
            self.tally.requests,
            self.tally.acknowledged,
            len(found.lost),
            len(found.duplicated),
            len(found.wrong),
        )
        return [name, *(f"{number:,}" for number in numbers), f"{self.slowest_ms:.0f}", recovered]


TITLES = "fault | requests | acknowledged | lost | duplicated | wrong answers | slowest /health ms | s to recover"


def table(rows: list[Row]) -> str:
    """In Markdown."""
    titles = TITLES.split(" | ")
    lines = [titles, ["---"] + ["---:"] * (len(titles) - 1), *(row.cells() for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


@contextlib.asynccontextmanager
async def staged(  # noqa: PLR0917 - all that there is
    fault: Fault, way: str, server: Postgres, bouncer: Bouncer | None, project: Path, folder: Path
) -> AsyncIterator[Stage]:
    """The API on a database of its own."""
    async with contextlib.AsyncExitStack() as stack:
        database = stack.enter_context(server.new_database())
        pooled = bouncer if way != DIRECT else None
        if pooled is not None:
            stack.callback(pooled.command, f"KILL {database}")
        url = server.database_url(database, user=LOGIN) if pooled is None else pooled.url(database)
        wire = None
        if fault.wired:
            socket = f"{server.url.partition('host=')[2]}/.s.PGSQL.5432" if pooled is None else pooled.socket
            wire, url = await stack.enter_async_context(wire_before(socket, database))
        keys = await stack.enter_async_context(key_server())
        settings = {"DATABASE_URL": url, **fault.settings}
        if pooled is not None:
            settings["DATABASE_PREPARE"] = "off"
        api = Api(project, folder, **settings)
        stack.callback(api.stop)
        await api.start()
        stage = Stage(server, database, api, USERS, folder, wire, pooled, keys)
        with stage.after:
            yield stage


async def play(fault: Fault, stage: Stage, way: str) -> Row:
    """The fault under traffic, and what is found. Raises AssertionError where it has not struck."""
    tally = Tally()

    def sign(user_id: str) -> str:
        return stage.sign(user_id)

    writers = [
        Writer(stage.api, user, sign, tally, name=f"{user}-{number}", answers_lost=fault.ends_api)
        for user in stage.users
        for number in range(WRITERS_PER_USER)
    ]
    reader = Reader(stage.api, "reader", sign, tally, answers_lost=fault.ends_api)
    actors = [*writers, reader]
    with contextlib.ExitStack() as stack:
        for actor in actors:
            stack.callback(actor.close)
        await reader.prepare()
        first = {
            user: await _first(writer) for user, writer in zip(stage.users, writers[::WRITERS_PER_USER], strict=True)
        }
        prober = Prober(stage.api, stage.folder)
        try:
            strikes, ended = await _under_traffic(fault, stage, writers, reader)
        finally:
            probes = prober.end()
        recovered = [actor.first_good(ended) for actor in actors]
        worst = None if None in recovered else max(moment for moment in recovered if moment is not None)
        findings = Findings(wrong=tally.wrong)
        for user in stage.users if worst is not None else ():  # else nothing can be looked at
            of_user = [writer for writer in writers if writer.user_id == user]
            found = await _found(of_user[0], stage, first[user])
            of_this = audit(user, [writer.journal for writer in of_user], found)
            findings.lost += of_this.lost
            findings.duplicated += of_this.duplicated
            findings.wrong += of_this.wrong
    assert strikes, f"{fault.name} has not struck"
    felt = tally.statuses["503"] or max(tally.seconds) > FELT_SECONDS
    assert felt or not fault.felt, f"{fault.name} has not been felt"
    assert probes, "nobody asked for liveness"
    findings.wrong += [f"/health was answered {probe}" for probe in probes if probe["status"] != 200]
    return Row(fault.name, way, tally, findings, max(probe["ms"] for probe in probes), worst)


async def _first(writer: Writer) -> int:
    """A user's first task, and its revision: what the journals tell of is counted from there."""
    task = (await writer.certain("POST", "/tasks", {"title": "first"})).json()
    writer.journal.tasks[task["id"]] = [("first", False, False)]
    return int(task["revision"])


async def _under_traffic(fault: Fault, stage: Stage, writers: list[Writer], reader: Reader) -> tuple[int, float]:
    """How often the fault has struck, and when it ended."""
    stop, ended = asyncio.Event(), float("inf")
    async with asyncio.TaskGroup() as group:
        for writer in writers:
            group.create_task(writer.run(stop, lambda: ended + PATIENCE_SECONDS))
        group.create_task(reader.run(stop))
        try:
            await asyncio.sleep(BEFORE_SECONDS)
            strikes = await fault.strike(stage)
            ended = time.monotonic()
            while time.monotonic() < ended + PATIENCE_SECONDS:
                await asyncio.sleep(AFTER_SECONDS)
                if all(actor.first_good(ended) is not None for actor in [*writers, reader]):
                    break
        finally:
            ended = min(ended, time.monotonic())
            stop.set()
    return strikes, ended


async def _found(writer: Writer, stage: Stage, first_revision: int) -> Found:
    living, revision = await _all(writer, "/tasks?limit=500")
    trash, _ = await _all(writer, "/tasks?status=deleted&limit=500")
    changes = await _changes(writer)
    shown = {task["id"]: task for task in living}
    assert changes == shown, "changes tell something else than the list"
    kept = f"SELECT key FROM idempotency_keys WHERE user_id = '{writer.user_id}' AND status IS NOT NULL"
    keys = Counter(key for (key,) in await stage.run(kept))
    return Found(living, trash, first_revision, revision, keys)


async def _all(writer: Writer, below: str) -> tuple[list[dict[str, Any]], int]:
    """All pages, and the list's revision where it has one."""
    found: list[dict[str, Any]] = []
    revision = 0
    while below:
        answer = await writer.certain("GET", below)
        found += answer.json()
        revision = int(answer.headers.get("etag", '"0"').strip('"'))
        link = answer.headers.get("link", "")
        parts = urlsplit(link.partition("<")[2].partition(">")[0])
        below = f"/tasks?{parts.query}" if link else ""
    return found, revision


async def _changes(writer: Writer) -> dict[int, Any]:
    """What a client that follows the changes from the beginning has in the end."""
    copy: dict[int, Any] = {}
    since, more = 0, True
    while more:
        page = (await writer.certain("GET", f"/changes?since={since}")).json()
        copy |= {task["id"]: task for task in page["tasks"]}
        for gone in page["deleted"]:
            copy.pop(gone, None)
        since, more = page["revision"], page["has_more"]
    return copy
