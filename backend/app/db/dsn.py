"""Database URLs: which of them lead through a pooler, and the addresses that a host name stands for."""

import asyncio
import re
import socket
from collections.abc import Mapping
from typing import Final
from urllib.parse import parse_qsl, unquote

import psycopg2
from psycopg2.extensions import parse_dsn

from backend.app.problems import StartupError

# How the URL of a transaction pooler looks: Neon's and Supabase's hosts, and the port that PgBouncer comes with.
_POOLER_HOST, _POOLER_PORT = re.compile("pooler|bouncer"), "6432"


# Parameters that other programs' URLs carry, and what stands for them here.
_FOREIGN_PARAMETERS: Final = {
    "pgbouncer": "remove it and set DATABASE_PREPARE=off",
    "prepared_statements": "remove it; DATABASE_PREPARE=off is the setting for it",
    "statement_cache_size": "remove it; DATABASE_PREPARE=off is the setting for it",
    "schema": "remove it; for a schema other than public write options=-csearch_path%3Dname",
    "search_path": "write options=-csearch_path%3Dname instead",
    "connection_limit": "remove it and set DATABASE_POOL_SIZE",
    "pool_size": "remove it and set DATABASE_POOL_SIZE",
    "pool_timeout": "remove it and set DATABASE_POOL_TIMEOUT",
    "statement_timeout": "remove it and set DATABASE_STATEMENT_TIMEOUT",
    "socket_timeout": "remove it and set DATABASE_STATEMENT_TIMEOUT",
    "sslaccept": "write sslmode=verify-full or sslmode=require instead",
}
_SSL_MODES: Final = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")
_NAME: Final = re.compile(r"[A-Za-z_]{1,40}")
_STRAY_PERCENT: Final = re.compile(r"%(?![0-9A-Fa-f]{2})")


def parsed(url: str) -> dict[str, str]:
    """The parameters of a database's URL, as libpq names them.

    Raises StartupError with what is not understood and what to do; the sentence never holds a value.
    """
    _check_user_and_password(url)
    _check_parameters(url)
    try:
        return dict(parse_dsn(url))
    except psycopg2.Error:
        # Its message quotes the URL, and with it the password.
        raise StartupError("DATABASE_URL cannot be read. Paste it as your provider shows it.") from None


def _check_user_and_password(url: str) -> None:
    rest = url.partition("://")[2]
    authority, _, path = rest.partition("/")
    if "@" not in authority and "@" in path.partition("?")[0]:
        _refuse_character("/", "%2F")
    if authority.count("@") > 1:
        _refuse_character("@", "%40")
    if _STRAY_PERCENT.search(rest):
        _refuse_character("%", "%25")


def _refuse_character(character: str, escaped: str) -> None:
    raise StartupError(
        f"DATABASE_URL cannot be read: there is a `{character}` where none can be. In a user name or a password "
        f"write it as `{escaped}`."
    )


def _check_parameters(url: str) -> None:
    for pair in filter(None, url.rpartition("@")[2].partition("?")[2].split("&")):
        name, _, value = pair.partition("=")
        advice = _FOREIGN_PARAMETERS.get(name) or (None if _is_parameter(name) else "remove it")
        if advice is not None:
            shown = f"the parameter `{name}`" if _NAME.fullmatch(name) else "one of its parameters"
            raise StartupError(f"DATABASE_URL: {shown} means nothing to PostgreSQL's client library: {advice}.")
        if name == "sslmode" and unquote(value) not in _SSL_MODES:
            raise StartupError(f"DATABASE_URL: sslmode must be one of {', '.join(_SSL_MODES)}.")


def _is_parameter(name: str) -> bool:
    try:
        parse_dsn(f"postgresql://?{name}=true")
    except psycopg2.Error:
        return False
    return True


def names_pooler(host: str, port: str) -> bool:
    """Whether these look like a transaction pooler's, which hands connections on between transactions."""
    return bool(_POOLER_HOST.search(host)) or port == _POOLER_PORT


def leads_through_pooler(url: str) -> bool:
    """Whether a database's URL names a pooler, as far as can be seen."""
    place, _, query = url.partition("://")[2].partition("?")
    host, _, port = place.rpartition("@")[2].partition("/")[0].rpartition(":")
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
