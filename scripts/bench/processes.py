"""Servers as child processes: started, waited for, accounted for and ended; and how a load is put on them."""

import contextlib
import os
import socket
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import psutil

START_SECONDS: Final = 30.0
STOP_SECONDS: Final = 10.0
POLL_SECONDS: Final = 0.005
LOAD = Path(__file__).with_name("load.lua")


class Server:
    """A server that runs for the length of a `with`. Its output goes to a file, as a log does."""

    def __init__(self, command: list[str], url: str, *, environment: Mapping[str, str], folder: Path) -> None:
        self.url = url
        self._command = command
        self._environment = {**os.environ, **environment}
        self._folder = folder

    def __enter__(self) -> Self:
        self._output = tempfile.TemporaryFile()
        self.started = time.perf_counter()
        self._process = subprocess.Popen(  # noqa: S603 - fixed commands
            self._command, cwd=self._folder, env=self._environment, stdout=self._output, stderr=self._output
        )
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self._process.terminate()
        try:
            self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._output.close()

    @property
    def pid(self) -> int:
        return self._process.pid

    def wait(self, path: str, token: str = "") -> float:
        """Seconds from the start of the process to its first 200 for `path`."""
        direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        request = urllib.request.Request(self.url + path, headers=headers)  # noqa: S310 - loopback
        while time.perf_counter() - self.started < START_SECONDS:
            with contextlib.suppress(urllib.error.URLError, ConnectionError, TimeoutError):
                direct.open(request, timeout=5).close()
                return time.perf_counter() - self.started
            if self._process.poll() is not None:
                break
            time.sleep(POLL_SECONDS)
        self._output.seek(0)
        raise SystemExit(f"{' '.join(self._command)} does not serve:\n{self._output.read().decode()[-2000:]}")


@dataclass(frozen=True)
class Load:
    """What wrk saw: requests per second, latencies in milliseconds, how many answers were lists."""

    requests: int
    rate: float
    p50: float
    p99: float
    lists: int


def load(url: str, plan: Path, *, statuses: str, counts: str, connections: int, seconds: int) -> Load:
    """Put the requests of `plan` on a server. Raises SystemExit if any answer is not what it should be."""
    command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "-s", str(LOAD), url, "--", str(plan)]
    output = run([*command, statuses, counts])
    result = next(line for line in output.splitlines() if line.startswith("RESULT"))
    _, requests, duration, p50, p99, lists, wrong, failed, example = result.split("\t")
    if int(wrong) or int(failed) or not int(requests):
        raise SystemExit(f"{url}, {plan.name}: {wrong} wrong answers and {failed} errors of {requests}: {example}")
    return Load(int(requests), int(requests) / int(duration) * 1e6, int(p50) / 1e3, int(p99) / 1e3, int(lists))


def run(command: list[str]) -> str:
    """The output of a command that must succeed."""
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)  # noqa: S603 - fixed
    if done.returncode:
        raise SystemExit(f"{' '.join(command)} failed:\n{done.stdout[-1000:]}{done.stderr[-1000:]}")
    return done.stdout


def tree(pid: int) -> list[psutil.Process]:
    process = psutil.Process(pid)
    return [process, *process.children(recursive=True)]


def cpu_seconds(pid: int) -> float:
    """What a process and its children have used up, also those that have ended: a server process of PostgreSQL may."""
    total = 0.0
    for process in tree(pid):
        with contextlib.suppress(psutil.NoSuchProcess):
            times = process.cpu_times()
            total += times.user + times.system + times.children_user + times.children_system
    return total


def memory_mb(pid: int) -> float:
    """Resident memory of a process and its children, in MB (10**6 bytes)."""
    return sum(process.memory_info().rss for process in tree(pid)) / 1e6


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
