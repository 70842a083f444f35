"""The attacks of one user that others must not notice.

To add one: write a function that takes an Attacker and returns when the attack is over, and put it into ATTACKS under
a name that says what is done. `attacker.flood(Request(method, path, body, headers), at_once=100)` sends one request
again and again for the length of a run; `attacker.send(request)` sends one. Every operation of the OpenAPI document is
attacked besides, without being listed here (documented.py).
"""

import asyncio
import itertools
import json
from typing import Final

from tests.fair_share.documented import Request
from tests.fair_share.harness import Attack, Attacker

JSON: Final = ("Content-Type", "application/json")


def task(title: str = "x") -> bytes:
    return json.dumps({"title": title}).encode()


async def keyed_writes(attacker: Attacker) -> None:
    """More than MAX_REQUESTS, each with a key of its own: they wait for each other."""
    numbers = itertools.count()
    path = f"/api/{attacker.user_id}/tasks"
    await asyncio.gather(
        *(
            attacker.send(Request("POST", path, task(), (JSON, ("Idempotency-Key", f"k{next(numbers)}"))))
            for _ in range(1_100)
        )
    )


async def plain_writes(attacker: Attacker) -> None:
    """All of one list: each needs the row of the one before."""
    await attacker.flood(Request("POST", f"/api/{attacker.user_id}/tasks", task(), (JSON,)), at_once=200)


async def reads(attacker: Attacker) -> None:
    """Lists, more at a time than there are connections."""
    await attacker.flood(Request("GET", f"/api/{attacker.user_id}/tags"), at_once=200)


ATTACKS: Final[dict[str, Attack]] = {
    "1,100 writes with keys": keyed_writes,
    "200 writes at a time": plain_writes,
    "200 reads at a time": reads,
}
