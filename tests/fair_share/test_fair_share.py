"""However one user asks, another gets their answers, and soon."""

import asyncio
import contextlib
import datetime
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from backend.app.main import VERSION, create_app
from tests.fair_share.attacks import ATTACKS, made_up_kids
from tests.fair_share.documented import Request, heaviest_requests
from tests.fair_share.harness import Attacker, Result, Served, beside_probe
from tests.support.applications import settings_for
from tests.support.key_server import key_server
from tests.support.memory import MEBIBYTE, memory_parts
from tests.support.postgres import Server
from tests.support.programs import SECRET, clone, free_port, serving
from tests.support.tokens import new_user, token

# A quiet machine's promises are 0.25 and 0.1; the machines that run tests are shared with other tests.
SLOWEST_SECONDS: Final = float(os.environ.get("FAIR_SHARE_SLOWEST", "2.0"))
SLOWEST_HEALTH_SECONDS: Final = float(os.environ.get("FAIR_SHARE_SLOWEST_HEALTH", "1.5"))
SECONDS: Final = float(os.environ.get("FAIR_SHARE_SECONDS", "0.5"))
# Less than the defaults, so that the bound on memory is one; the largest import of the attacks has 6 MB.
SETTINGS: Final = {
    "max_import_bytes": 8 * MEBIBYTE,
    "max_body_memory_bytes": 32 * MEBIBYTE,
    "max_answer_memory_bytes": 32 * MEBIBYTE,
    "rate_limit_max_names": 5_000,
    "max_requests": 250,
}
BOUNDS: Final = settings_for("postgresql://nowhere/x", **SETTINGS)
MEMORY_MIB: Final = sum(memory_parts(BOUNDS).values()) / MEBIBYTE
AT_ONCE: Final = 60
# Operations that need a task in the trash; the others need one that lives.
FROM_THE_TRASH: Final = {"purge_task": "tasks/1", "restore_task": "tasks/1", "restore_list": "lists/1"}
# Operations that need a completion, which is the one of the second task.
OF_A_COMPLETION: Final = frozenset({"undo_completion"})
MOMENT: Final = "2026-01-01T00:00:00Z"
COMPLETED: Final = {"id": 1, "title": "x", "completed": True} | dict.fromkeys(
    ("completed_at", "created_at", "updated_at"), MOMENT
)
# Operations that take the token of an anonymous user, which no schema can tell.
OF_ANOTHER_TOKEN: Final = frozenset({"claim"})
# Operations whose answer does not end.
STREAMS: Final = frozenset({"listen"})
HEAD: Final = (
    "| attack | bystander's slowest ms | /health ms | memory MiB | connections | answers |\n"
    "| --- | ---: | ---: | ---: | ---: | --- |\n"
)
# Where set, the table is written there (scripts/attacks.sh).
TABLE: Final = os.environ.get("FAIR_SHARE_TABLE")

DOCUMENT: Final = create_app(settings_for("postgresql://nowhere/x", environment="development")).openapi()
OPERATIONS: Final = [name for name, _ in heaviest_requests(DOCUMENT, "x")]


@contextlib.contextmanager
def serving_under_attack(server: Server, database_url: str, folder: Path, **changes: str) -> Iterator[Served]:
    """One process as it is deployed, whose rate limit never comes first: the other bounds are looked at here."""
    port, name = free_port(), database_url.partition("?")[0].rpartition("/")[2]
    settings = {"DATABASE_URL": database_url, "RATE_LIMIT_PER_USER": "1000000/second", "LOG_LEVEL": "warning"}
    settings |= {setting.upper(): str(value) for setting, value in SETTINGS.items()}
    with serving(clone(folder), port, **{**settings, "ENVIRONMENT": "staging", **changes}) as process:
        yield Served(port, process.pid, SECRET, server.database_url(name))


@pytest.fixture(scope="module")
def served(server: Server, database_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with serving_under_attack(server, database_url, tmp_path_factory.mktemp("served")) as served:
        yield served


@pytest.fixture(scope="module")
def table() -> Iterator[list[str]]:
    """The rows of docs/fair-share.md."""
    rows: list[str] = []
    yield rows
    if TABLE is not None:
        with contextlib.suppress(FileNotFoundError):
            kept = Path(TABLE).read_text().partition("Measured on ")[0]
            today = f"{datetime.datetime.now(datetime.UTC):%Y-%m-%d}"
            told = f"Measured on {today} with version {VERSION}, each attack for {SECONDS:g} s.\n\n"
            Path(TABLE).write_text(kept + told + HEAD + "".join(rows))


def check(name: str, result: Result, table: list[str]) -> None:
    told = ", ".join(f"{answer}: {count:,}" for answer, count in sorted(result.answers.items()))
    slowest, health = result.slowest * 1000, result.slowest_health * 1000
    table.append(f"| {name} | {slowest:.0f} | {health:.0f} | {result.memory:.0f} | {result.connections} | {told} |\n")
    assert set(result.probed) == {"200"}, result
    assert result.slowest < SLOWEST_SECONDS, result
    assert result.slowest_health < SLOWEST_HEALTH_SECONDS, result
    assert result.memory < MEMORY_MIB, result
    assert result.connections <= BOUNDS.connections_per_user, result
    assert not {"500", "ReadError", "RemoteProtocolError"} & set(result.answers), result


@pytest.mark.parametrize("name", ATTACKS)
async def test_an_attack_is_not_noticed_by_others(name: str, served: Served, table: list[str]) -> None:
    """The bystander gets nothing but their answers, and none late."""
    check(name, await beside_probe(served, ATTACKS[name], seconds=SECONDS), table)


async def test_a_key_server_that_hangs_is_not_noticed_by_others(
    server: Server, database_url: str, tmp_path: Path, table: list[str]
) -> None:
    """Strangers wait for keys that nobody has, and who has a token of a known key is answered."""
    async with key_server() as keys, contextlib.AsyncExitStack() as stack:
        hanging = asyncio.Event()
        keys.answer = lambda _: hanging.wait()
        stack.callback(hanging.set)
        # http:// for keys is for development only.
        settings = {"BETTER_AUTH_URL": keys.url, "ENVIRONMENT": "development"}
        started = serving_under_attack(server, database_url, tmp_path, **settings)
        served = await asyncio.to_thread(started.__enter__)
        stack.push_async_callback(asyncio.to_thread, started.__exit__, None, None, None)
        result = await beside_probe(served, made_up_kids, seconds=SECONDS)

    check("tokens of made-up keys while the key server hangs", result, table)


@pytest.mark.parametrize("operation", OPERATIONS)
async def test_an_operation_at_its_limits_is_not_noticed_by_others(
    operation: str, served: Served, table: list[str]
) -> None:
    """Whatever the document allows, many times at once."""

    async def attack(attacker: Attacker) -> None:
        await attacker.prepare()
        if operation in FROM_THE_TRASH:
            await attacker.send(Request("DELETE", f"/api/{attacker.user_id}/{FROM_THE_TRASH[operation]}"))
        if operation in OF_A_COMPLETION:
            body = json.dumps({"format": "tasks-backend", "version": 1, "tasks": [COMPLETED]}).encode()
            path = f"/api/{attacker.user_id}/import?ids=new"
            await attacker.send(Request("POST", path, body, (("Content-Type", "application/json"),)))
        attacker.answers.clear()
        request = dict(heaviest_requests(DOCUMENT, attacker.user_id))[operation]
        if operation in OF_ANOTHER_TOKEN:
            other = token(new_user(), secret=served.secret, isAnonymous=True)
            request = request._replace(body=json.dumps({"token": other}).encode())
        if operation not in STREAMS:
            await attacker.send(request)
            # What is refused at once costs nothing.
            assert set(attacker.answers) <= {"200", "201", "204"}, attacker.answers
        await attacker.flood(request, at_once=AT_ONCE)

    result = await beside_probe(served, attack, seconds=SECONDS)

    check(f"`{operation}` at its limits", result, table)
    assert {"200", "201", "204"} & set(result.answers), result
