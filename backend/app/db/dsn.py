"""Database URLs: which of them lead through a pooler, and the addresses that a host name stands for."""

import asyncio
import re
import socket
from collections.abc import Iterator, Mapping
from itertools import chain
from typing import Any, Final
from urllib.parse import parse_qsl

import psycopg2
from psycopg2.extensions import parse_dsn

from backend.app.db import url_checks
from backend.app.problems import StartupError

# How the URL of a transaction pooler looks: Neon's, Supabase's and Prisma's hosts, and the ports of PgBouncer, Supabase
# and DigitalOcean.
_POOLER_HOST: Final = re.compile("pooler|pooled|bouncer")
_POOLER_PORTS: Final = frozenset({"6432", "6543", "25061"})


def parsed(url: str, setting: str = "DATABASE_URL") -> dict[str, str]:
    """The parameters of a database's URL, as libpq names them; `setting` is what it was set by.

    Raises StartupError with what is not understood and what to do; the sentence never holds a value.
    """
    for fault in chain(_of_foreign_parameters(url), url_checks.faults(url)):
        raise StartupError(f"{setting}{fault}")
    try:
        return dict(parse_dsn(url))
    except psycopg2.Error:
        # Its message quotes the URL, and with it the password.
        raise StartupError(f"{setting} cannot be read. Paste it as your provider shows it.") from None


def checked(url: str, setting: str) -> str:
    """The URL as it is, for who hands it on whole. Raises StartupError, as `parsed` does."""
    parsed(url, setting)
    return url


def connected(url: str) -> Any:
    """An ordinary connection, for who has SQLAlchemy read no URL. Raises psycopg2.Error."""
    return psycopg2.connect(url)


def _of_foreign_parameters(url: str) -> Iterator[str]:
    names = [pair.partition("=")[0] for pair in url.rpartition("@")[2].partition("?")[2].split("&")]
    yield from url_checks.foreign({name: _is_parameter(name) for name in names if name and "amp;" not in name})


def _is_parameter(name: str) -> bool:
    # `ssl=true` alone is read as sslmode=require.
    try:
        parse_dsn(f"postgresql://?{name}=true")
    except psycopg2.Error:
        return False
    return True


def names_pooler(host: str, port: str) -> bool:
    """Whether these look like a transaction pooler's, which hands connections on between transactions."""
    return bool(_POOLER_HOST.search(host)) or not _POOLER_PORTS.isdisjoint(port.split(","))


def leads_through_pooler(url: str) -> bool:
    """Whether a database's URL names a pooler, as far as can be seen."""
    place, _, query = url.partition("://")[2].rpartition("@")[2].partition("?")
    host, _, port = place.partition("/")[0].rpartition(":")
    options = dict(parse_qsl(query))
    return names_pooler(options.get("host", host or port), options.get("port", port))


async def resolved(dsn: Mapping[str, str]) -> dict[str, str]:
    """The parameters with every host's addresses looked up on the loop: libpq's own look-up would block it."""
    host = dsn.get("host", "")
    if not host or host.startswith(("/", "@")) or "hostaddr" in dsn:
        return {**dsn, "client_encoding": "UTF8"}
    names = host.split(",")
    ports = dsn.get("port", "5432").split(",")
    ports = ports * len(names) if len(ports) == 1 else ports
    triples: list[tuple[str, str, str]] = []
    for name, port in zip(names, ports, strict=True):
        found = await asyncio.get_running_loop().getaddrinfo(name, int(port or 5432), type=socket.SOCK_STREAM)
        triples += [(name, str(address[0]), port) for *_, address in found]
    hosts, addresses, all_ports = (",".join(column) for column in zip(*triples, strict=True))
    return {**dsn, "host": hosts, "hostaddr": addresses, "port": all_ports, "client_encoding": "UTF8"}
