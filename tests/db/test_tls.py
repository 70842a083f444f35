"""What a pasted URL asks of the way to PostgreSQL (`sslmode`, `channel_binding`) is asked: a real server with TLS."""

import subprocess
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlencode

import pytest

from backend.app import problems
from backend.app.db import embedded
from backend.app.db.database import Database
from backend.app.db.session import OwnerSession
from backend.app.db.statement import OWNER, Statement
from tests.support.applications import database_for
from tests.support.postgres import Server
from tests.support.programs import free_port
from tests.support.servers import debian_postgres
from tests.support.tokens import new_user
from tests.support.wire import wire_to

PASSWORD = "correct horse/battery"
WAY = f"SELECT ssl, version FROM pg_stat_ssl WHERE pid = pg_backend_pid() AND %({OWNER})s IS NOT NULL"
LARGE = Statement("large", f"SELECT repeat(%(text)s, 8000000) AS text, %({OWNER})s", ("text", "owner"))


class TlsServer(Server):
    """A server that takes nobody on its port without TLS, and on whose certificate stands `localhost`."""

    def __init__(self, folder: Path, port: int, certificate: Path) -> None:
        super().__init__(f"postgresql://postgres@/postgres?host={folder}&port={port}")
        self.port = port
        self.certificate = certificate

    def pasted(self, user: str = "tasks_login", host: str = "localhost", **options: str) -> str:
        """The URL as a provider shows it."""
        password = "".join(f"%{byte:02X}" for byte in PASSWORD.encode())
        return f"postgresql://{user}:{password}@{host}:{self.port}/tls?{urlencode(options)}"


@pytest.fixture(scope="module")
def tls(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TlsServer]:
    folder, port = tmp_path_factory.mktemp("certificate"), free_port()
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"),
            *("-days", "2", "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"),
            *("-keyout", str(folder / "server.key"), "-out", str(folder / "server.crt")),
        ],
        check=True, capture_output=True,
    )  # fmt: skip
    with debian_postgres(f"port={port}", certificate=folder) as (data, _):
        server = TlsServer(data, port, folder / "server.crt")
        server.execute("CREATE DATABASE tls")
        embedded.bring_up_to_date(server.database_url("tls"))
        server.execute(f"CREATE ROLE tasks_login LOGIN PASSWORD '{PASSWORD}' IN ROLE {server.role(database='tls')}")
        server.close_to_strangers("tls")
        yield server


async def way_of(database: Database) -> tuple[bool, str]:
    """Whether the connection is encrypted, and how."""
    [[encrypted, version]] = await database._execute(WAY, {OWNER: "anybody"})  # noqa: SLF001 - the API asks nothing of it
    return encrypted, version


@pytest.mark.parametrize(
    "options",
    [{"sslmode": "require"}, {"sslmode": "require", "channel_binding": "require"}],
    ids=["require", "as Neon shows it"],
)
async def test_a_pasted_url_leads_through_tls(tls: TlsServer, options: dict[str, str]) -> None:
    """Encrypted, with the password of the URL, bound to the server's certificate where that is asked for."""
    async with database_for(tls.pasted(**options)) as database:
        await database.verify_isolation()

        assert await way_of(database) == (True, "TLSv1.3")


async def test_what_is_larger_than_a_record_of_tls_arrives_whole(tls: TlsServer) -> None:
    """What lies decrypted in the library already is no news of the socket, and is read all the same."""
    async with database_for(tls.pasted(sslmode="require"), pool_size=1) as database:
        session = OwnerSession(database, new_user())
        for _ in range(3):
            [row] = await session.run(LARGE, text="x")
            assert len(row["text"]) == 8_000_000


async def test_the_servers_certificate_is_looked_at(tls: TlsServer) -> None:
    """verify-full takes the server under the name in its certificate, and under no other."""
    verified = {"sslmode": "verify-full", "sslrootcert": str(tls.certificate)}
    async with database_for(tls.pasted(**verified)) as database:
        await database.verify_isolation()

    async with database_for(tls.pasted(host="127.0.0.1", **verified)) as database:
        with pytest.raises(problems.DatabaseUnavailable):
            await database.verify_isolation()


@pytest.mark.parametrize(
    ("asked", "reason"),
    [
        ("sslmode=require", "server does not support SSL"),
        ("sslmode=disable&channel_binding=require", "channel binding required"),
    ],
)
async def test_a_server_that_cannot_do_it_is_not_talked_to(
    database_url: str, caplog: pytest.LogCaptureFixture, asked: str, reason: str
) -> None:
    """One without TLS, or that does not prove that it knows the password, is away to us; the log says why."""
    async with wire_to(database_url) as (_, url), database_for(url.replace("sslmode=disable", asked)) as database:
        with pytest.raises(problems.DatabaseUnavailable):
            await database.verify_isolation()

    assert reason in " ".join(str(getattr(record, "fields", "")) for record in caplog.records)


async def test_a_wrong_password_is_told_to_the_log_without_it(tls: TlsServer, caplog: pytest.LogCaptureFixture) -> None:
    """And to nobody else."""
    tls.execute("CREATE ROLE stranger LOGIN PASSWORD 'another'")
    async with database_for(tls.pasted(user="stranger", sslmode="require")) as database:
        with pytest.raises(problems.DatabaseUnavailable):
            await database.verify_isolation()

    logged = " ".join(str(getattr(record, "fields", "")) for record in caplog.records)
    assert "password authentication failed" in logged
    assert PASSWORD not in logged
