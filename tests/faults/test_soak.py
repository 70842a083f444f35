"""Hours of use in minutes: everything at once, as fast as it is answered, and nothing grows."""

import asyncio
import contextlib
import math
import statistics
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import pytest

from tests.faults.faults import DIRECT, Fault, Stage
from tests.faults.run import Row, play, staged
from tests.faults.stage import Postgres

BEGUN = psutil.Process().create_time()
# For what is before and after the load; and the least that says anything.
BESIDE_SECONDS, LEAST_SECONDS = 30.0, 10.0
SAMPLE_SECONDS = 0.5
POOL_SIZE = 10
# Eight writers, a reader, listeners, those who hang up, the prober: what they may have open at one time.
CLIENTS_MAX = 40
P99_SECONDS = 0.5
# Of the memory between the second third of the time and the last.
GROWTH_MAX = 0.04


@dataclass
class Samples:
    """What the API's process and the database had, moment by moment."""

    memory: list[int] = field(default_factory=list)
    descriptors: list[int] = field(default_factory=list)
    connections: list[int] = field(default_factory=list)

    def faults(self) -> list[str]:
        found = []
        third = len(self.memory) // 3
        before, after = statistics.median(self.memory[third : 2 * third]), statistics.median(self.memory[2 * third :])
        if after > before * (1 + GROWTH_MAX):
            found.append(f"memory grew from {before / 1e6:.1f} to {after / 1e6:.1f} MB")
        if max(self.connections) > POOL_SIZE:
            found.append(f"{max(self.connections)} connections to the database, with a pool of {POOL_SIZE}")
        if max(self.descriptors) > self.descriptors[0] + POOL_SIZE + CLIENTS_MAX:
            found.append(f"{max(self.descriptors)} descriptors, {self.descriptors[0]} at the start")
        return found

    def __str__(self) -> str:
        third = len(self.memory) // 3
        thirds = [statistics.median(self.memory[part * third : (part + 1) * third]) / 1e6 for part in range(3)]
        return (
            f"memory {' -> '.join(f'{mb:.1f}' for mb in thirds)} MB (medians of the thirds), at most "
            f"{max(self.connections)} database connections and {max(self.descriptors)} descriptors"
        )


@contextlib.asynccontextmanager
async def _sent(stage: Stage, request: bytes) -> AsyncIterator[asyncio.StreamReader]:
    reader, writer = await asyncio.open_connection("127.0.0.1", stage.api.port)
    try:
        writer.write(request)
        await writer.drain()
        yield reader
    finally:
        writer.transport.abort()
        with contextlib.suppress(OSError):
            await writer.wait_closed()


async def _listen(stage: Stage) -> None:
    """Opens the stream of events, waits for the first one, and leaves."""
    user = stage.users[0]
    while True:
        async with _sent(stage, _request(f"/api/{user}/events", stage.sign(user))) as answer:
            await answer.readuntil(b"data:")


async def _hang_up(stage: Stage) -> None:
    """Goes away before the answer, and in the middle of the request."""
    user = stage.users[1]
    whole = _request(f"/api/{user}/tasks", stage.sign(user))
    while True:
        for request in (whole, whole[: len(whole) // 2]):
            async with _sent(stage, request):
                await asyncio.sleep(0.02)


def _request(path: str, token: str) -> bytes:
    return f"GET {path} HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {token}\r\n\r\n".encode()


def soaking(seconds: float, samples: Samples) -> Fault:
    async def strike(stage: Stage) -> int:
        process = psutil.Process(stage.api.process.pid)
        others = [asyncio.ensure_future(work(stage)) for work in (_listen, _listen, _hang_up)]
        for _ in range(math.ceil(seconds / SAMPLE_SECONDS)):
            await asyncio.sleep(SAMPLE_SECONDS)
            samples.memory.append(process.memory_info().rss)
            samples.descriptors.append(process.num_fds())
            samples.connections.append(len(await asyncio.to_thread(stage.server.backends, stage.database)))
            assert not any(other.done() for other in others)
        for other in others:
            other.cancel()
        await asyncio.gather(*others, return_exceptions=True)
        return 1

    return Fault(f"load for {seconds:.0f} s", strike, felt=False)


@pytest.mark.soak
async def test_nothing_grows_under_load(  # noqa: PLR0917 - fixtures
    own_server: Postgres,
    project: Path,
    tmp_path: Path,
    rows: list[Row],
    notes: list[str],
    pytestconfig: pytest.Config,
) -> None:
    """Neither memory nor connections nor the time that an answer takes."""
    left = pytestconfig.getoption("--within") - (time.time() - BEGUN) - BESIDE_SECONDS
    seconds, samples = max(min(pytestconfig.getoption("--soak"), left), LEAST_SECONDS), Samples()
    fault = soaking(seconds, samples)

    async with staged(fault, DIRECT, own_server, None, project, tmp_path) as stage:
        row = await play(fault, stage, DIRECT)
        rows.append(row)

    times = sorted(row.tally.seconds)
    median, p99 = (times[int(len(times) * share)] for share in (0.5, 0.99))
    rate = len(times) / seconds
    notes.append(f"{row.fault}: {rate:.0f} requests/s, median {median * 1e3:.0f} ms, p99 {p99 * 1e3:.0f} ms, {samples}")
    assert row.faults + samples.faults() == []
    assert row.tally.statuses.keys() <= {"200", "201", "204"}
    assert p99 < P99_SECONDS
