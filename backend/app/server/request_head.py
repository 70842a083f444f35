"""A request's head as the parser gives it: what is wrong with it, and what HTTP says that it means.

Knows no connection and no application.
"""

import re
from typing import Final

RawHeaders = list[tuple[bytes, bytes]]

# Blanks around a field's value are none of it (RFC 9110, section 5.5). The parser leaves those behind it.
BLANKS: Final = (b" ", b"\t")
# What offers another protocol on this connection (RFC 9110, section 7.8; RFC 7540, section 3.2.1).
_OFFERS: Final = frozenset({b"upgrade", b"http2-settings"})
# What says that a body follows (RFC 9112, section 6).
_FRAMING: Final = frozenset({b"content-length", b"transfer-encoding"})
# RFC 3986, sections 3.2.2 and 3.2.3: a name or an address, and a port; empty where the target has none.
_HOST = re.compile(rb"(\[[0-9A-Fa-f:.%A-Za-z~_-]+\]|[A-Za-z0-9._~!$&'()*+,;=%-]*)(:[0-9]*)?")
# How a request begins whose method the parser does not know (RFC 9112, section 3).
_UNKNOWN_METHOD = re.compile(rb"[A-Za-z0-9!#$%&'*+.^_`|~-]+ [/*h]\S* HTTP/1\.[01]\r?\n")


def without_trailing_blanks(headers: RawHeaders) -> RawHeaders | None:
    """The fields without blanks behind their values; None where there are no such blanks."""
    if not any(value.endswith(BLANKS) for _, value in headers):
        return None
    return [(name, value.rstrip(b" \t")) for name, value in headers]


def expects_continue(headers: RawHeaders) -> bool:
    """Whether the client waits with its body for a 100 (RFC 9110, section 10.1.1)."""
    return any(name == b"expect" and value.lower() == b"100-continue" for name, value in headers)


def can_be_read_in_two_ways(version: str, target: bytes, headers: RawHeaders) -> bool:
    """Whether a proxy may take the request for another one than we do (RFC 9112, sections 2.3, 3.2 and 6.1)."""
    if version not in ("1.0", "1.1") or b"#" in target:
        return True
    names = [name for name, _ in headers]
    hosts = names.count(b"host")
    if hosts != 1:
        if hosts or version == "1.1":
            return True
    elif not _HOST.fullmatch(headers[names.index(b"host")][1]):
        return True
    if b"transfer-encoding" not in names:
        return False
    codings = [value.lower() for name, value in headers if name == b"transfer-encoding"]
    return version == "1.0" or b"content-length" in names or codings != [b"chunked"]


def without_offers(method: bytes, target: bytes, version: str, headers: RawHeaders) -> bytes:
    """The head as it would be if the client had not offered another protocol."""
    fields = b"".join([b"%s: %s\r\n" % field for field in headers if field[0] not in _OFFERS])
    return b"%s %s HTTP/%s\r\n%s\r\n" % (method, target, version.encode(), fields)


def begins_websocket(method: bytes, version: str, headers: RawHeaders) -> bool:
    """Whether the request may be a WebSocket's handshake: a GET of HTTP/1.1 (RFC 6455, section 4.1) without a body."""
    return method == b"GET" and version != "1.0" and _FRAMING.isdisjoint(name for name, _ in headers)


def has_unknown_method(data: bytes) -> bool:
    """Whether what the parser cannot read is a request with a method that nobody has registered."""
    return _UNKNOWN_METHOD.match(data) is not None
