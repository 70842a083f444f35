"""`deploy/compose.yaml` held against itself and the files that it mounts; its database runs for real."""

import asyncio
import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import psycopg2
import pytest
import yaml
from alembic import command

from backend.app.config import PROJECT_ROOT, Settings
from backend.app.db import embedded
from tests.deploy.proxy import DEPLOY, Process
from tests.support.postgres import Server
from tests.support.programs import SECRET, free_port, until
from tests.support.tokens import new_user, token

TEXT = (DEPLOY / "compose.yaml").read_text()
COMPOSE: dict[str, Any] = yaml.safe_load(TEXT)
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
VARIABLE = re.compile(r"\$\{(\w+)(:?[-?][^}]*)?\}")
# What may be empty, for another one is there instead, or has a default.
OPTIONAL = {"BETTER_AUTH_URL", "BETTER_AUTH_SECRET", "TASKS_TAG"}
PASSWORDS = {"TASKS_OWNER_PASSWORD": "owner0123456789", "TASKS_APP_PASSWORD": "app0123456789"}


def environment(service: str) -> dict[str, str]:
    found: dict[str, str] = SERVICES[service].get("environment", {})
    return found


def documented() -> list[str]:
    return re.findall(r"^(?:# )?([A-Z_]+)=", (DEPLOY / ".env.example").read_text(), re.MULTILINE)


def test_every_variable_is_documented_and_no_secret_has_a_default() -> None:
    """What has to be set is refused with a sentence when it is not; the example sets nothing."""
    used = dict(VARIABLE.findall(TEXT))
    example = (DEPLOY / ".env.example").read_text()

    assert sorted(used) == sorted(documented())
    assert {name for name, how in used.items() if not how.startswith(":?")} == OPTIONAL
    assert all(
        "deploy/.env.example" in how
        for name, how in VARIABLE.findall(TEXT)
        if name not in {"TASKS_TAG", "BETTER_AUTH_URL"}
    )
    assert not re.search(r"^[A-Z_]+=.+", example, re.MULTILINE)


def test_settings_are_ones_that_there_are() -> None:
    """A misspelt one would be silently left out."""
    known = {name.upper() for name in Settings.model_fields} | {"FORWARDED_ALLOW_IPS"}

    assert {name for service in ("api-1", "api-2", "migrate") for name in environment(service)} <= known
    assert environment("api-1") == environment("api-2")


def test_images_are_pinned() -> None:
    """By a tag that is not the newest of whatever there is."""
    images = {service["image"] for service in SERVICES.values()}

    assert "tasks-api:${TASKS_TAG:-current}" in images
    for image in images:
        assert re.search(r":(?!latest)[\w${}:.-]+$", image), image


def test_every_container_is_confined() -> None:
    """Nothing written but where it says, no privilege gained, and few kept."""
    for name, service in SERVICES.items():
        assert service["read_only"] is True, name
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert set(service.get("cap_add", [])) <= {
            "CHOWN",
            "DAC_OVERRIDE",
            "FOWNER",
            "NET_BIND_SERVICE",
            "SETGID",
            "SETUID",
        }
        assert not service.get("privileged")
    assert {name for name, service in SERVICES.items() if "ports" in service} == {"nginx"}
    assert {name for name, network in COMPOSE["networks"].items() if network.get("internal")} == {"database", "front"}


def test_addresses_agree() -> None:
    """nginx asks the API's two processes, and they believe nginx and nobody else about whom a request is from."""
    address = {name: SERVICES[name]["networks"]["front"]["ipv4_address"] for name in ("nginx", "api-1", "api-2")}
    upstream = (DEPLOY / "nginx/upstream.compose.conf").read_text()
    [port] = set(re.findall(r"--port .*:-(\d+)}", (DEPLOY / "start.sh").read_text()))

    assert environment("api-1")["FORWARDED_ALLOW_IPS"] == address["nginx"]
    assert re.findall(r"^server ([\d.:]+) ", upstream, re.MULTILINE) == [
        f"{address[name]}:{port}" for name in ("api-1", "api-2")
    ]


def test_services_wait_for_what_they_need() -> None:
    """The migration for the database, the API for the migration, nginx for the API; and all that is named is there."""
    needed = {name: {other: how["condition"] for other, how in service.get("depends_on", {}).items()}
              for name, service in SERVICES.items()}  # fmt: skip

    assert needed["migrate"] == {"postgres": "service_healthy"}
    assert needed["api-1"]["migrate"] == "service_completed_successfully"
    assert needed["nginx"] == {"api-1": "service_healthy", "api-2": "service_healthy"}
    assert {other for others in needed.values() for other in others} <= set(SERVICES)
    assert SERVICES["migrate"]["restart"] == "no"


def test_what_is_mounted_is_there() -> None:
    """A file that is missing would be made as a folder."""
    mounted = [volume.split(":")[0] for service in SERVICES.values() for volume in service.get("volumes", [])]
    files = [name for name in mounted if name.startswith("./")]

    assert [name for name in files if not (DEPLOY / name).is_file()] == []
    assert len(files) == 4
    assert os.access(DEPLOY / "postgres-init.sh", os.X_OK)
    assert (DEPLOY / "../deploy/Dockerfile").resolve() == (
        DEPLOY / SERVICES["api-1"]["build"]["context"] / SERVICES["api-1"]["build"]["dockerfile"]
    ).resolve()
    assert (PROJECT_ROOT / "requirements.lock").is_file()


def test_what_nginx_keeps_in_memory_has_a_size() -> None:
    """Bodies on their way are on a tmpfs, which is memory; and its list of origins is the API's."""
    [origins] = re.findall(r'default "(.+)"', COMPOSE["configs"]["nginx_cors"]["content"])

    assert all(re.fullmatch(r"/[\w/]+:size=\d+m", place) for place in SERVICES["nginx"]["tmpfs"])
    assert origins == environment("api-1")["CORS_ORIGINS"]
    assert {"source": "nginx_cors", "target": "/etc/nginx/cors.conf"} in SERVICES["nginx"]["configs"]


def test_the_migration_goes_past_the_pooler() -> None:
    """As the tables' owner; the API goes through it, as somebody who owns nothing."""
    pooler = (DEPLOY / "pgbouncer.ini").read_text()
    [port] = re.findall(r"^listen_port = (\d+)$", pooler, re.MULTILINE)

    assert environment("migrate")["DATABASE_URL"].startswith("postgresql://tasks_owner:${TASKS_OWNER_PASSWORD")
    assert environment("migrate")["DATABASE_URL"].endswith("@postgres:5432/tasks")
    assert environment("api-1")["DATABASE_URL"].startswith("postgresql://tasks_app:${TASKS_APP_PASSWORD")
    assert environment("api-1")["DATABASE_URL"].endswith(f"@pgbouncer:{port}/tasks")
    assert re.search(r"^pool_mode = transaction$", pooler, re.MULTILINE)
    assert environment("api-1")["DATABASE_PREPARE"] == "off"


PSQL = shutil.which("psql")
PGBOUNCER = shutil.which("pgbouncer", path=f"{os.environ.get('PATH', '')}:/usr/sbin")


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A PostgreSQL of its own, for roles belong to all of one; `postgres-init.sh` has run on it, and the migration."""
    if PSQL is None:
        pytest.skip("psql is not installed (apt-get install postgresql)")
    with embedded.joined(tmp_path_factory.mktemp("compose") / "data") as url:
        server = Server(url)
        here = {**os.environ, **PASSWORDS, "PGHOST": url.rpartition("host=")[2]}
        subprocess.run([DEPLOY / "postgres-init.sh"], env=here, check=True)
        alembic = embedded.alembic_for(server.database_url("tasks", "tasks_owner"))
        alembic.attributes["role"] = environment("migrate")["DATABASE_ROLE"]
        command.upgrade(alembic, "head")
        yield server


def test_the_apis_user_owns_nothing_and_nobody_else_comes_in(database: Server) -> None:
    """It may be confined by wall 4 and nothing more; the owner is no superuser."""
    owners = database.execute("SELECT DISTINCT tableowner FROM pg_tables WHERE schemaname = 'public'", database="tasks")
    roles = database.execute(
        "SELECT rolname, rolsuper, rolbypassrls, rolcreatedb FROM pg_roles WHERE rolname LIKE 'tasks\\_%' ORDER BY 1"
    )
    may_purge = database.execute(
        "SELECT pg_has_role('tasks_owner', 'tasks_rows_purge', 'MEMBER'), "
        "pg_has_role('tasks_app', 'tasks_rows_purge', 'MEMBER')"
    )
    database.execute("CREATE ROLE somebody LOGIN")

    assert owners == [("tasks_owner",)]
    # Two of these are what older releases shared with every database of a server: they have no right in this one.
    shared, named = ("tasks_api", "tasks_purge"), ("tasks_app", "tasks_owner", "tasks_rows")
    programs = ("tasks_rows_purge", "tasks_rows_deliver")
    assert roles == [(name, False, False, False) for name in sorted({*shared, *named, *programs})]
    assert may_purge == [(True, False)]
    with pytest.raises(psycopg2.OperationalError, match="permission denied"):
        psycopg2.connect(database.database_url("tasks", "somebody"))


@pytest.fixture
def pooler(database: Server, tmp_path: Path) -> Iterator[str]:
    """PgBouncer with the shipped configuration and the users that compose gives it; the API's URL through it."""
    if PGBOUNCER is None:
        pytest.skip("pgbouncer is not installed (apt-get install pgbouncer)")
    port, folder = free_port(), Path(database.url.rpartition("host=")[2])
    text = (DEPLOY / "pgbouncer.ini").read_text()
    for shipped, here in {
        "host=postgres port=5432": f"host={folder} port=5432",
        "listen_addr = 0.0.0.0": "listen_addr = 127.0.0.1",
        "listen_port = 6432": f"listen_port = {port}",
        "/etc/pgbouncer/userlist.txt": f"{tmp_path}/userlist.txt",
        "default_pool_size = 40": "default_pool_size = 2",
    }.items():
        assert shipped in text
        text = text.replace(shipped, here)
    (tmp_path / "pgbouncer.ini").write_text(text)
    users = COMPOSE["configs"]["pgbouncer_users"]["content"]
    (tmp_path / "userlist.txt").write_text(VARIABLE.sub(lambda found: PASSWORDS[found[1]], users))
    options: dict[str, Any] = {}
    if os.geteuid() == 0:  # as which PgBouncer does not run
        options = {"user": "nobody"}
        for path in (tmp_path, *tmp_path.iterdir(), folder, *tmp_path.parents[:3]):
            path.chmod(path.stat().st_mode | 0o055)
    url = f"postgresql://tasks_app:{PASSWORDS['TASKS_APP_PASSWORD']}@127.0.0.1:{port}/tasks"
    with subprocess.Popen([PGBOUNCER, "-q", str(tmp_path / "pgbouncer.ini")], cwd="/", **options) as running:
        try:
            until(lambda: running.poll() is not None or reachable(url))
            assert running.poll() is None
            yield url
        finally:
            running.terminate()


def reachable(url: str) -> bool:
    try:
        psycopg2.connect(url, connect_timeout=2).close()
    except psycopg2.OperationalError:
        return False
    return True


async def test_the_api_is_served_through_the_shipped_pooler(pooler: str) -> None:
    """With its user's password, more requests at once than PgBouncer has connections, and each in their own rows."""
    api = Process({"DATABASE_URL": pooler, "DATABASE_PREPARE": environment("api-1")["DATABASE_PREPARE"]})
    await asyncio.to_thread(api.start)
    try:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{api.port}") as client:
            created = await asyncio.gather(*(create(client, new_user()) for _ in range(20)))
    finally:
        await asyncio.to_thread(api.end)

    assert created == [(201, 1)] * 20


async def create(client: httpx.AsyncClient, user: str) -> tuple[int, int]:
    """The status of a new user's first task, and how many tasks they see then."""
    headers = {"Authorization": f"Bearer {token(user, secret=SECRET)}"}
    created = await client.post(f"/api/{user}/tasks", json={"title": "x"}, headers=headers)
    found = await client.get(f"/api/{user}/tasks", headers=headers)
    return created.status_code, len(json.loads(found.text))
