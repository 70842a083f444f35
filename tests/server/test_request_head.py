"""What a request's head means, as truth tables."""

import pytest

from backend.app.server.request_head import (
    begins_websocket,
    can_be_read_in_two_ways,
    expects_continue,
    has_unknown_method,
    without_offers,
    without_trailing_blanks,
)

HOSTS = [
    ("", True),
    ("x", True),
    ("api.example.com:8000", True),
    ("my_api:8000", True),
    ("127.0.0.1", True),
    ("[::1]", True),
    ("[fe80::1%25eth0]:80", True),
    ("x:", True),
    ("a b", False),
    ("x/y", False),
    ("user@x", False),
    ("x:port", False),
    ("a,b", True),
    ("a, b", False),
    ("ü", False),
    ("[::1", False),
]


@pytest.mark.parametrize(("host", "readable"), HOSTS)
def test_a_host_that_is_none_is_refused(host: str, readable: bool) -> None:
    """RFC 9112, section 3.2: a proxy may have sent the request elsewhere."""
    assert can_be_read_in_two_ways("1.1", b"/", [(b"host", host.encode())]) is not readable


@pytest.mark.parametrize(
    ("value", "read"),
    [(b"x", b"x"), (b"x ", b"x"), (b"x \t ", b"x"), (b" ", b""), (b"", b""), (b"x y ", b"x y")],
)
def test_blanks_behind_a_value_are_none_of_it(value: bytes, read: bytes) -> None:
    """RFC 9110, section 5.5; the fields around it stay."""
    found = without_trailing_blanks([(b"a", b"1"), (b"b", value)])

    assert found == (None if value == read else [(b"a", b"1"), (b"b", read)])


@pytest.mark.parametrize(
    ("headers", "waits"),
    [
        ([(b"expect", b"100-continue")], True),
        ([(b"expect", b"100-Continue")], True),
        ([(b"expect", b"200-ok")], False),
        ([(b"x", b"100-continue")], False),
        ([], False),
    ],
)
def test_who_waits_for_a_100(headers: list[tuple[bytes, bytes]], waits: bool) -> None:
    """RFC 9110, section 10.1.1."""
    assert expects_continue(headers) is waits


@pytest.mark.parametrize(
    ("method", "version", "name", "begins"),
    [
        (b"GET", "1.1", b"host", True),
        (b"GET", "1.0", b"host", False),
        (b"POST", "1.1", b"host", False),
        (b"GET", "1.1", b"content-length", False),
        (b"GET", "1.1", b"transfer-encoding", False),
    ],
)
def test_what_begins_a_websocket(method: bytes, version: str, name: bytes, begins: bool) -> None:
    """Only what the library of WebSockets answers: it would wait forever for the rest of another request."""
    assert begins_websocket(method, version, [(name, b"1")]) is begins


def test_a_head_without_what_it_offers() -> None:
    """All other fields stay as they came, also those that come twice."""
    headers = [(b"host", b"x"), (b"upgrade", b"h2c"), (b"http2-settings", b"AAMAAABk"), (b"a", b"1"), (b"a", b"2")]

    assert (
        without_offers(b"POST", b"/?q=1", "1.1", headers) == b"POST /?q=1 HTTP/1.1\r\nhost: x\r\na: 1\r\na: 2\r\n\r\n"
    )


@pytest.mark.parametrize(
    ("data", "unknown"),
    [
        (b"FOO / HTTP/1.1\r\n", True),
        (b"get /health HTTP/1.1\r\n", True),
        (b"Patch http://x/ HTTP/1.1\r\n", True),
        (b"FOO * HTTP/1.0\n", True),
        (b"FOO / HTTP/3\r\n", False),
        (b"FOO\r\n", False),
        (b"not HTTP\r\n\r\n", False),
        (b"\x16\x03\x01\x02\x00\x01\x00", False),
        (b"", False),
    ],
)
def test_an_unknown_method_is_no_garbage(data: bytes, unknown: bool) -> None:
    """RFC 9110, section 9.1: 501 is for a request that could be read, and not for TLS on the wrong port."""
    assert has_unknown_method(data) is unknown
