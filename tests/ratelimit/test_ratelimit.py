"""How requests are counted: a window that moves, in this process and in a real Redis."""

import asyncio
import contextlib
import shutil
import socket
import subprocess
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from backend.app.ratelimit import redis as shared_window
from backend.app.ratelimit import window
from backend.app.ratelimit.limit import Limit, RateLimitResult, parse_limit
from backend.app.ratelimit.limiter import RateLimit, network_of
from backend.app.ratelimit.window import Window
from tests.support.programs import end, free_port, until


class Clock:
    """A time that passes when it is told to."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(window, "time", clock)
    return clock


@pytest.mark.parametrize(
    ("text", "limit"),
    [
        ("1200/minute", Limit(1200, 60)),
        ("1/second", Limit(1, 1)),
        ("100/10 seconds", Limit(100, 10)),
        ("100 per 2 hours", Limit(100, 7200)),
        ("5 / day", Limit(5, 86400)),
        ("999999999/99999days", Limit(999_999_999, 8_639_913_600)),
    ],
)
def test_a_limit_is_read(text: str, limit: Limit) -> None:
    """As people write it."""
    assert parse_limit(text) == limit


@pytest.mark.parametrize(
    "text",
    ["", "many", "0/minute", "1/0 minutes", "-1/minute", "1.5/minute", "1/month", "1/minute;9/day", "1/minute\n"],
)
def test_what_is_no_limit_is_refused(text: str) -> None:
    """With a sentence that says how one looks."""
    with pytest.raises(ValueError, match="such as 1200/minute"):
        parse_limit(text)


def test_a_window_moves(clock: Clock) -> None:
    """A place is free again as soon as the request that had it is older than the window, and not before."""
    window = Window(parse_limit("3/10 seconds"), 200_000)
    taken = []
    for moment in (0, 4, 5, 9, 9.9, 10, 13.9, 14, 14, 15, 60):
        clock.now = 1000.0 + moment
        taken.append(window.hit("u1"))

    assert taken == [
        *(
            RateLimitResult(True, 2, 10),
            RateLimitResult(True, 1, 6),
            RateLimitResult(True, 0, 5),
            RateLimitResult(False, 0, 1),
        ),
        *(
            RateLimitResult(False, 0, 1),
            RateLimitResult(True, 0, 4),
            RateLimitResult(False, 0, 1),
            RateLimitResult(True, 0, 1),
        ),
        *(RateLimitResult(False, 0, 1), RateLimitResult(True, 0, 5), RateLimitResult(True, 2, 10)),
    ]


def test_names_have_windows_of_their_own(clock: Clock) -> None:
    """What one has used up is not the other's."""
    window = Window(parse_limit("1/minute"), 200_000)

    assert [window.hit(name).allowed for name in ("a", "b", "a", "b", "c")] == [True, True, False, False, True]


def test_who_is_quiet_is_forgotten(clock: Clock) -> None:
    """A hundred thousand names leave nothing behind; who asks is remembered."""
    window = Window(parse_limit("5/minute"), 200_000)
    for number in range(100_000):
        window.hit(str(number))
    clock.now += 30
    window.hit("99999")
    clock.now += 31

    window.hit("new")

    assert len(window) == 2
    assert window.hit("99999").remaining == 3


def test_there_are_never_more_names_than_there_may_be(clock: Clock) -> None:
    """Of a million addresses the last are remembered, and the one that was quiet for longest goes first."""
    window = Window(parse_limit("2/minute"), max_names=1_000)
    for number in range(1_000_000):
        window.hit(str(number))

    assert len(window) == 1_000
    assert window.hit("999999").remaining == 0  # the second
    assert window.hit("0").remaining == 1  # forgotten


def test_who_is_refused_has_no_more_requests_than_the_limit(clock: Clock) -> None:
    """Refused requests do not count: a user is not shut out by asking on."""
    window = Window(parse_limit("2/10 seconds"), 200_000)
    for _ in range(50):
        clock.now += 1
        window.hit("u1")
    clock.now += 10

    assert window.hit("u1") == RateLimitResult(True, 1, 10)


@pytest.mark.parametrize(
    ("address", "counted"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2:ffff::", "2001:db8:1:2::/64"),
        ("2001:db8:1:3::", "2001:db8:1:3::/64"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("testclient", "testclient"),
    ],
)
def test_an_address_is_counted_as_its_network(address: str, counted: str) -> None:
    """One IPv6 network is one customer's."""
    assert network_of(address) == counted


class Redis:
    """A Redis of the test's own; it may be stopped and started."""

    def __init__(self, program: str, folder: Path) -> None:
        self.port = free_port()
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self._command = [
            *(program, "--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--dir", str(folder)),
            *("--daemonize", "no"),
        ]
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self._process = subprocess.Popen(self._command, stdout=subprocess.DEVNULL)
        until(self._answers)

    def stop(self) -> None:
        if self._process is not None:
            end(self._process)
        self._process = None

    def _answers(self) -> bool:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1) as asked:
            asked.sendall(b"PING\r\n")
            return asked.recv(7) == b"+PONG\r\n"
        return False


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[Redis]:
    program = shutil.which("redis-server")
    if program is None:
        pytest.skip("no redis-server (Debian: apt-get install redis-server)")
    redis = Redis(program, tmp_path)
    redis.start()
    yield redis
    redis.stop()


@pytest.fixture
async def processes(redis: Redis) -> AsyncIterator[tuple[RateLimit, RateLimit]]:
    """The same limit in two processes."""
    both = (RateLimit("5/minute", redis.url, max_names=100), RateLimit("5/minute", redis.url, max_names=100))
    yield both
    for limit in both:
        await limit.close()


async def test_processes_count_together_in_redis(processes: tuple[RateLimit, RateLimit]) -> None:
    """Twenty requests at once, ten in each: five have a place."""
    standings = await asyncio.gather(*(limit.hit("user:u1") for limit in processes for _ in range(10)))

    assert sum(standing.allowed for standing in standings) == 5
    after = await processes[0].hit("user:u1")
    assert (after.allowed, after.remaining) == (False, 0)
    assert 1 <= after.resets_in <= 60
    assert (await processes[1].hit("user:u2")).remaining == 4


async def test_without_redis_each_process_counts_for_itself(
    redis: Redis, processes: tuple[RateLimit, RateLimit], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody waits for it more than once in a while, nobody is without a limit; when it is back it counts again."""
    limit, _ = processes
    await limit.hit("user:u1")
    redis.stop()

    standings = [await limit.hit("user:u1") for _ in range(7)]

    assert [standing.allowed for standing in standings] == [True] * 5 + [False] * 2
    redis.start()
    monkeypatch.setattr(shared_window, "PAUSE_SECONDS", 0.0)
    limit._redis._away_until = 0.0  # type: ignore[union-attr] # noqa: SLF001 - the pause is over
    assert (await limit.hit("user:u1")).remaining == 4


async def test_a_redis_that_hangs_holds_nobody_up() -> None:
    """It is asked once, for a quarter of a second, and then left alone."""
    asked = 0

    async def hang(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal asked
        asked += 1
        await reader.read()
        writer.close()

    async with await asyncio.start_server(hang, "127.0.0.1", 0) as silent:
        port = silent.sockets[0].getsockname()[1]
        limit = RateLimit("5/minute", f"redis://127.0.0.1:{port}/0", max_names=100)
        async with asyncio.timeout(10 * shared_window.TIMEOUT_SECONDS):
            standings = [await limit.hit("user:u1") for _ in range(3)]
        await limit.close()

    assert [standing.remaining for standing in standings] == [4, 3, 2]
    assert asked <= 2
