"""Entity tags as clients and proxies write them, and conditions where there is no tag."""

import pytest

from backend.app import problems
from backend.app.web.conditional import check_without_tag, if_none_match_matches, precondition, require_match

TAG = '"17"'
# A field, and whether it names the tag: compared weakly, and strongly.
FIELDS = [
    ('"17"', True, True),
    ("*", True, True),
    (" * ", True, True),
    ('W/"17"', True, False),
    ('"1", "17"', True, True),
    ('"1","17"', True, True),
    ('"1",W/"17"', True, False),
    (' "17" ', True, True),
    ('"17-gzip"', True, True),
    ('"17--gzip"', True, True),
    ('"17;gzip"', True, True),
    ('"17-br"', True, True),
    ('"17-zstd"', True, True),
    ('W/"17-gzip"', True, False),
    ('"1-gzip", "17-gzip"', True, True),
    ('"17-gzipped"', False, False),
    ('"17-x"', False, False),
    ('"117"', False, False),
    ('w/"17"', False, False),
    ("17", False, False),
    ('x"17"', False, False),
    ('"17', False, False),
    ("'17'", False, False),
    ('"1, 17"', False, False),
    ('""', False, False),
    ("", False, False),
    ('"é"', False, False),
]


@pytest.mark.parametrize(("field", "weakly", "strongly"), FIELDS)
def test_which_tags_a_field_names(field: str, weakly: bool, strongly: bool) -> None:
    """RFC 9110, section 8.8.3; what a proxy that compresses has added to a tag is no part of it."""
    assert if_none_match_matches(field, TAG) is weakly
    found = precondition(field)
    assert (found is None or found.holds(17)) is strongly
    found = precondition(None, field)
    assert (found is None or found.holds(17)) is not weakly
    if strongly:
        require_match(field, TAG)
    else:
        with pytest.raises(problems.PreconditionFailed):
            require_match(field, TAG)


GO_ON, FAILED = 200, 412
CONDITIONS = [
    ("GET", None, None, GO_ON),
    ("GET", "*", None, GO_ON),
    ("GET", '"17"', None, FAILED),
    ("GET", "", None, FAILED),
    ("GET", None, '"17"', GO_ON),
    ("GET", None, "*", GO_ON),
    ("HEAD", None, " * ", GO_ON),
    ("GET", '"17"', "*", FAILED),
    ("DELETE", None, '"17"', GO_ON),
    ("DELETE", None, "*", FAILED),
    ("PUT", None, "*", FAILED),
    ("PATCH", "*", "*", FAILED),
    ("DELETE", 'W/"17"', None, FAILED),
    ("POST", None, "*", GO_ON),
    ("POST", '"17"', None, FAILED),
    ("POST", "*", None, GO_ON),
]


@pytest.mark.parametrize(("method", "if_match", "if_none_match", "status"), CONDITIONS)
def test_conditions_where_there_is_no_tag(
    method: str, if_match: str | None, if_none_match: str | None, status: int
) -> None:
    """RFC 9110, section 13.1: no tag can match, and whatever is there matches `*`."""
    if status == FAILED:
        with pytest.raises(problems.PreconditionFailed):
            check_without_tag(method, if_match, if_none_match)
    else:
        check_without_tag(method, if_match, if_none_match)
