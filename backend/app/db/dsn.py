"""Database URLs: which of them lead through a pooler, and the addresses that a host name stands for."""

import asyncio
import re
import socket
from collections.abc import Mapping
from urllib.parse import parse_qsl

# How the URL of a transaction pooler looks: Neon's and Supabase's hosts, and the port that PgBouncer comes with.
_POOLER_HOST, _POOLER_PORT = re.compile("pooler|bouncer"), "6432"


def names_pooler(host: str, port: str) -> bool:
    """Whether these look like a transaction pooler's, which hands connections on between transactions."""
    return bool(_POOLER_HOST.search(host)) or port == _POOLER_PORT


def leads_through_pooler(url: str) -> bool:
    """Whether a database's URL names a pooler, as far as can be seen."""
    place, _, query = url.partition("://")[2].partition("?")
    host, _, port = place.rpartition("@")[2].partition("/")[0].rpartition(":")
    options = dict(parse_qsl(query))
    return names_pooler(options.get("host", host or port), options.get("port", port))


async def _resolved(dsn: Mapping[str, str]) -> dict[str, str]:
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
