"""Header fields as clients and proxies write them: read by HTTP's grammar."""

import pytest

from backend.app.web.headers import best_media_type, is_media_type, preferences
from backend.app.web.prefer import COUNT, MINIMAL, prefers

JSON = "application/json"

MEDIA_TYPES = [
    ("application/json", True),
    ("Application/JSON", True),
    ("application/json;", True),
    ("application/json ; ", True),
    ("application/json; charset=utf-8", True),
    ("application/json;charset=UTF-8", True),
    ('application/json; charset="utf-8"', True),
    ("application/json; charset=utf8", True),
    ("application/json; charset=us-ascii", True),
    ("application/json; Charset=UTF-8", True),
    ("application/json; version=1", True),
    ("application/json; charset=utf8; version=1", True),
    ('application/json; profile="https://example.com/a;b,c"; charset=utf-8', True),
    ("application/json;odata.metadata=minimal;IEEE754Compatible=true", True),
    ("application/json; charset=utf-16", False),
    ("application/json; charset=iso-8859-1", False),
    ("text/plain", False),
    ("text/plain; x=application/json", False),
    ("application/jsonp", False),
    ("application/json, text/plain", False),
    ("multipart/form-data; boundary=x", False),
    ("", False),
    (";", False),
    ("charset=utf-8", False),
]


@pytest.mark.parametrize(("field", "expected"), MEDIA_TYPES)
def test_content_types(field: str, expected: bool) -> None:
    """A parameter that says nothing about JSON is ignored; a charset that is not UTF-8 is not."""
    assert is_media_type(field, (JSON,)) is expected


PREFERENCES = [
    ("return=minimal", {"return": "minimal"}),
    ("return = minimal", {"return": "minimal"}),
    ('return="minimal"', {"return": "minimal"}),
    ("Return=minimal", {"return": "minimal"}),
    ("return=minimal, return=representation", {"return": "minimal"}),
    ("return=representation, return=minimal", {"return": "representation"}),
    ("respond-async, wait=10", {"respond-async": "", "wait": "10"}),
    ("count=exact; foo=bar, return=minimal", {"count": "exact", "return": "minimal"}),
    ("foo; return=minimal", {"foo": ""}),
    ('foo; x="return=minimal, count=exact"', {"foo": ""}),
    ('foo="a, return=minimal"', {"foo": "a, return=minimal"}),
    (" , count=exact , ", {"count": "exact"}),
    ("", {}),
]


@pytest.mark.parametrize(("field", "expected"), PREFERENCES)
def test_preferences(field: str, expected: dict[str, str]) -> None:
    """RFC 7240, section 2: names regardless of case, the first of several, no parameter of another."""
    assert {name: value for name, value in preferences(field).items() if name} == expected


@pytest.mark.parametrize(
    ("field", "preference", "expected"),
    [
        (None, MINIMAL, False),
        ("return=minimal", MINIMAL, True),
        ("return=representation, return=minimal", MINIMAL, False),
        ("foo; return=minimal", MINIMAL, False),
        ("count = exact", COUNT, True),
        ("count=estimated", COUNT, False),
        ("count", COUNT, False),
        ("count=exact" + " " * 300, COUNT, True),
    ],
)
def test_a_preference_is_heeded(field: str | None, preference: str, expected: bool) -> None:
    """Only as the preference itself, with its value."""
    assert prefers(field, preference) is expected


OFFERED = ("application/json", "text/csv", "text/calendar")
ACCEPT = [
    (None, "application/json"),
    ("", "application/json"),
    ("*/*", "application/json"),
    ("text/csv", "text/csv"),
    ("TEXT/CSV", "text/csv"),
    ("text/*", "text/csv"),
    ("text/csv; header=present", "text/csv"),
    ("text/csv; header=present; charset=utf-8", "text/csv"),
    ("text/csv; header=present; q=0.5, application/json; q=0.4", "text/csv"),
    ("text/csv; q=0.4; header=present, application/json; q=0.5", "application/json"),
    ('text/calendar; component="vtodo, vevent; q=0"; q=0.9, text/csv; q=0.8', "text/calendar"),
    ("text/*;q=0.9, text/csv;q=0, application/json;q=0.1", "text/calendar"),
    ("*/*;q=0.1, text/calendar", "text/calendar"),
    ("application/json;q=0, */*", "text/csv"),
    ("text/html, application/xhtml+xml, application/xml;q=0.9, */*;q=0.8", "application/json"),
    ("text/csv;q=0.5, text/calendar;q=0.5", "text/csv"),
    ("text/csv;q=0.001", "text/csv"),
    ("text/csv;q=0", None),
    ("text/csv;q=0.000", None),
    ("*/*;q=0", None),
    ("image/png", None),
    ("application/*;q=0, text/*;q=0", None),
]


@pytest.mark.parametrize(("field", "expected"), ACCEPT)
def test_the_best_media_type(field: str | None, expected: str | None) -> None:
    """RFC 9110, section 12.5.1: the closest range decides, q=0 refuses, a quoted comma separates nothing."""
    assert best_media_type(field, OFFERED) == expected
