"""The bystander, in a process of its own: another user's list and /health, asked until standard input ends.

`python -m tests.fair_share.probe PORT USER TOKEN` prints its first answer's line, then how long the slowest took.
"""

import http.client
import json
import select
import sys
import time
from collections import Counter
from typing import Final

PAUSE_SECONDS: Final = 0.02
TIMEOUT_SECONDS: Final = 60.0


class Asked:
    """How one path was answered."""

    def __init__(self, port: int, path: str, headers: dict[str, str]) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=TIMEOUT_SECONDS)
        self._path = path
        self._headers = headers
        self.answers: Counter[str] = Counter()
        self.slowest = 0.0

    def ask(self) -> None:
        started = time.perf_counter()
        try:
            self._connection.request("GET", self._path, headers=self._headers)
            answer = self._connection.getresponse()
            answer.read()
            self.answers[str(answer.status)] += 1
        except (OSError, http.client.HTTPException) as error:
            self.answers[type(error).__name__] += 1
            self._connection.close()
        self.slowest = max(self.slowest, time.perf_counter() - started)


def main(port: int, user_id: str, token: str) -> None:
    """Ask both in turn, so that one that hangs shows in the other's time only as what it is: a process that stands."""
    listing = Asked(port, f"/api/{user_id}/tasks", {"Authorization": f"Bearer {token}"})
    health = Asked(port, "/health", {})
    listing.ask()
    health.ask()
    listing.slowest = health.slowest = 0.0  # connecting, and the first statement on a connection
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    while not select.select([sys.stdin], [], [], PAUSE_SECONDS)[0]:
        listing.ask()
        health.ask()
    told = {
        "slowest": listing.slowest,
        "slowest_health": health.slowest,
        "answers": listing.answers + health.answers,
    }
    sys.stdout.write(json.dumps(told))


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2], sys.argv[3])
