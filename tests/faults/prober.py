"""`python -m tests.faults.prober FILE`: asks for /health as a supervisor does, from a process of its own.

FILE names the port and the process that is asked, or is not there while nobody is to be asked. A line per probe goes to
standard output, until standard input ends. The machine is not the server: the time that either process was ready to run
and waited for a processor is taken off (Linux tells it in /proc). What is left is what the server took.
"""

import contextlib
import json
import os
import select
import socket
import sys
import time
from pathlib import Path
from typing import Any

INTERVAL_SECONDS = 0.05
TIMEOUT_SECONDS = 5.0


def waited(pid: int | str) -> float:
    """Seconds that the process' threads have waited for a processor: who holds Python's lock delays all."""
    seconds = 0.0
    for thread in Path(f"/proc/{pid}/task").glob("*/schedstat"):
        with contextlib.suppress(OSError, IndexError):
            seconds += int(thread.read_text().split()[1]) / 1e9
    return seconds


def stolen() -> float:
    """Seconds that the host took from this machine's processors."""
    return int(Path("/proc/stat").read_text().split()[8]) / os.sysconf("SC_CLK_TCK")


def ask(port: int) -> int:
    """The status, or 0."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=TIMEOUT_SECONDS) as connection:
            connection.sendall(b"GET /health HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")
            answer = b""
            while piece := connection.recv(4096):
                answer += piece
        return int(answer.split(b" ", 2)[1])
    except (OSError, IndexError, ValueError):
        return 0


def target(file: Path) -> dict[str, Any] | None:
    try:
        named: dict[str, Any] = json.loads(file.read_text())
    except (OSError, ValueError):
        return None
    return named


def probe(file: Path) -> dict[str, Any] | None:
    """What one probe found; None where nobody was to be asked, from its beginning to its end."""
    asked = target(file)
    if asked is None:
        return None
    waits, begun = waited("self") + waited(asked["pid"]) + stolen(), time.monotonic()
    status = ask(asked["port"])
    took = time.monotonic() - begun
    waits = waited("self") + waited(asked["pid"]) + stolen() - waits
    if target(file) != asked:
        return None
    return {"at": begun, "status": status, "ms": round(max(took - max(waits, 0), 0) * 1000, 1), "raw": took * 1000}


def main() -> None:
    file = Path(sys.argv[1])
    while not select.select([sys.stdin], [], [], INTERVAL_SECONDS)[0]:
        if (found := probe(file)) is not None:
            print(json.dumps(found), flush=True)  # noqa: T201 - whoever started it reads this


if __name__ == "__main__":
    main()
