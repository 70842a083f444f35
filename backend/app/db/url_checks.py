"""What is wrong with a database's URL as people paste it, by name and with what to do about it.

libpq's own messages quote the URL, and with it the password; no sentence here holds a value.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Final
from urllib.parse import quote, unquote

from backend.app.config.values import PORT_MAX

# Parameters that other programs' URLs carry (in lower case), and what stands for them here.
_UNPREPARED: Final = "remove it; DATABASE_PREPARE=off is the setting for it"
_POOL_SIZE: Final = "remove it and set DATABASE_POOL_SIZE"
_STATEMENT_TIMEOUT: Final = "remove it and set DATABASE_STATEMENT_TIMEOUT"
_SCHEMA: Final = "remove it; for a schema other than public write options=-csearch_path%3Dname"
FOREIGN_PARAMETERS: Final = {
    "pgbouncer": "remove it and set DATABASE_PREPARE=off",
    **dict.fromkeys(("prepared_statements", "statement_cache_size", "prepared_statement_cache_size"), _UNPREPARED),
    **dict.fromkeys(("prepare_threshold", "preparethreshold"), _UNPREPARED),
    **dict.fromkeys(("schema", "currentschema"), _SCHEMA),
    "search_path": "write options=-csearch_path%3Dname instead",
    **dict.fromkeys(("connection_limit", "pool_size", "max_overflow", "max_conns", "pool_max_conns"), _POOL_SIZE),
    "pool_timeout": "remove it and set DATABASE_POOL_TIMEOUT",
    **dict.fromkeys(("statement_timeout", "socket_timeout", "command_timeout", "timeout"), _STATEMENT_TIMEOUT),
    "connection_timeout": "write connect_timeout instead",
    "sslaccept": "write sslmode=verify-full or sslmode=require instead",
    "ssl": "write sslmode=require instead",
}
# Parameters of libpq that take one of a few values, of which it would tell with each connection only.
_CHOICES: Final = {
    "sslmode": ("disable", "allow", "prefer", "require", "verify-ca", "verify-full"),
    "channel_binding": ("disable", "prefer", "require"),
    "gssencmode": ("disable", "prefer", "require"),
    "sslnegotiation": ("postgres", "direct"),
    "load_balance_hosts": ("disable", "random"),
    "target_session_attrs": ("any", "read-write", "read-only", "primary", "standby", "prefer-standby"),
}
_NUMBERS: Final = frozenset({"connect_timeout", "keepalives_idle", "keepalives_interval", "tcp_user_timeout"})
# What a value of these cannot hold, and what was meant by it.
_STRAY_IN_VALUES: Final = {
    "?": "Write `&` instead",
    ";": "Write `&` instead",
    "#": "Remove what begins with it",
    "\\": "Remove it",
}
_NAME: Final = re.compile(r"[A-Za-z_]{1,40}")
_STRAY_PERCENT: Final = re.compile(r"%(?![0-9A-Fa-f]{2})")
_PLACEHOLDER: Final = re.compile(r"\[.*\]|<.*>|\*{3,}|\$\{.*\}|\{\{.*\}\}|\$[A-Z_]{2,}|(?i:your[-_ ]?password)")
# An `@` that is a part of a parameter's value, and not the end of a password: `?user=name@host`.
_NAMES_USER: Final = re.compile(r"^[^?@]*\?([a-z_]+=[^@&]*&)*[a-z_]+=[^&/]*@[^/]*$")
_NOT_IN_A_NAME: Final = re.compile(r"[/#;\s\"'`]")
_BLANK: Final = re.compile(r"\s")


def faults(url: str) -> Iterator[str]:
    """What is not understood of a URL that begins with a scheme, and what to do; nothing where all is well."""
    rest = url.partition("://")[2]
    authority, _, path = rest.partition("/")
    if "@" in path and ("@" not in authority or "@" in path.partition("?")[0]) and not _NAMES_USER.search(path):
        yield _stray("/")
    if authority.count("@") > 1:
        yield _stray("@")
    if _STRAY_PERCENT.search(rest):
        yield _stray("%")
    userinfo, at, _ = authority.rpartition("@")
    place, _, query = rest.removeprefix(userinfo + at).partition("?")
    yield from _of_login(userinfo)
    yield from _of_place(place)
    yield from _of_parameters(query)


def _stray(character: str) -> str:
    return (
        f" cannot be read: there is a `{character}` where none can be. In a user name or a password "
        f"write it as `{quote(character, safe='')}`."
    )


def _of_login(userinfo: str) -> Iterator[str]:
    for what, text in zip(("user", "password"), userinfo.split(":", 1), strict=False):
        if _PLACEHOLDER.fullmatch(text):
            yield (
                f": the {what} is a placeholder, such as [YOUR-PASSWORD]. Put the {what} itself in its place; where it "
                "really looks so, percent-encode its first character (`[` is `%5B`, `<` is `%3C`, `*` is `%2A`)."
            )


def _of_place(place: str) -> Iterator[str]:
    hosts, _, name = place.partition("/")
    if _BLANK.search(hosts):
        yield ": there is a blank in the host's name. Remove it."
    if _PLACEHOLDER.fullmatch(hosts.partition(":")[0]) and not hosts.startswith("["):
        yield ": the host is a placeholder. Put the host's name in its place."
    for host in hosts.split(","):
        name_end = host.rfind("]") + 1
        _, _, port = host[name_end:].partition(":")
        if ":" in port:
            yield ": there is more than one `:` in a host. Write an IPv6 address in brackets, such as [::1]:5432."
        elif port and not (port.isascii() and port.isdigit() and 0 < int(port) <= PORT_MAX):
            yield f": a port must be a number from 1 to {PORT_MAX}."
    if found := _NOT_IN_A_NAME.search(name):
        yield (
            f": there is a `{found[0]}` in the database's name. Remove what begins with it, or write it as "
            f"`{quote(found[0], safe='')}`."
        )


def _of_parameters(query: str) -> Iterator[str]:
    pairs = query.removesuffix("&").split("&") if query else []
    for pair in pairs:
        name, _, value = pair.partition("=")
        if not pair:
            yield ": there is an `&` too many between its parameters. Remove it."
        elif name.startswith("amp;"):
            yield ": it has `&amp;` between its parameters. Write `&` instead."
        else:
            yield from _of_value(name, unquote(value))
        if "=" in value:
            yield f": there is a `=` in the value of {shown(name)}. Write it as `%3D`."
    if "sslrootcert=system" in pairs and "sslmode=verify-full" not in pairs:
        yield ": sslrootcert=system needs sslmode=verify-full. Write both, or leave sslrootcert out."


def _of_value(name: str, value: str) -> Iterator[str]:
    if name in _CHOICES or name in _NUMBERS:
        for stray in (each for each in _STRAY_IN_VALUES if each in value):
            yield f": there is a `{stray}` in the value of {name}. {_STRAY_IN_VALUES[stray]}."
    if name in _CHOICES and value not in _CHOICES[name]:
        yield f": {name} must be one of {', '.join(_CHOICES[name])}."
    if name == "ssl" and value != "true":  # which libpq reads, and nothing else
        yield f": it has ssl with another value than true; {FOREIGN_PARAMETERS[name]}."
    if name in _NUMBERS and not (value.isascii() and value.isdigit()):
        yield f": {name} must be a number."


def shown(name: str) -> str:
    """A parameter's name, where it looks like one: anything else may be a part of a password."""
    return f"the parameter `{name}`" if _NAME.fullmatch(name) else "one of its parameters"


def foreign(names: Mapping[str, bool]) -> Iterator[str]:
    """What is wrong with parameters that libpq does not know; `names` says of each whether it does."""
    for name, is_known in names.items():
        if not is_known:
            advice = FOREIGN_PARAMETERS.get(name.lower(), "remove it")
            yield f": {shown(name)} means nothing to PostgreSQL's client library: {advice}."
