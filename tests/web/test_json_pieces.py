"""A document in pieces is the document as orjson reads it, or refused as orjson refuses it."""

import time
from itertools import pairwise
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend.app import problems
from backend.app.web import json_pieces
from backend.app.web.json_pieces import BYTES_PER_CONTAINER, PIECE_MAX_BYTES, JSONPieces

# What a scanner of structure may trip over.
TEXTS = st.sampled_from(["", "a", '"', "\\", '\\"', "[", "{", "]}", "é\u2028", "a,b", '":[', "x" * 9])
SCALARS = st.none() | st.booleans() | st.integers(-9, 9) | TEXTS
VALUES = st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3))
MEMBERS = st.lists(st.tuples(st.sampled_from(["tasks", "x", 't"', "\\"]), st.lists(VALUES, max_size=5)), max_size=3)
# What is put somewhere into a document, so that most are no JSON any more.
SLIPS = st.sampled_from(["", "", "", ",", "]", "[", "}", "{", '"', "\\", " ", ":", "x", '"tasks":[1,{}],', "\n"])


def read(text: bytes) -> Any:
    """The document with its lists put back."""
    pieces, lists, names = JSONPieces(bytearray(text)), dict[int, list[Any]](), dict[int, str | None]()
    for items in pieces:
        if items is not None:
            lists.setdefault(items.number, []).extend(items.values)
            names[items.number] = items.name
    document = pieces.document
    if isinstance(document, list):
        numbers = iter(lists)
        return [lists[next(numbers)] if value == [] else value for value in document]
    if not isinstance(document, dict):
        return document
    by_name = {name: lists[number] for number, name in names.items()}
    return {name: by_name[name] if value == [] else value for name, value in document.items()}


def sent(members: list[tuple[str, list[Any]]], indent: bool) -> bytes:
    """An object that may have a name twice."""
    gap = b" \n" if indent else b""
    option = orjson.OPT_INDENT_2 if indent else 0
    inner = [orjson.dumps(name) + gap + b":" + gap + orjson.dumps(value, option=option) for name, value in members]
    return b"{" + b",".join(inner) + b"}"


@given(st.builds(sent, MEMBERS, st.booleans()) | VALUES.map(orjson.dumps), SLIPS, st.floats(0, 1), st.booleans())
def test_it_is_read_as_the_whole_is(text: bytes, slip: str, where: float, tiny: bool) -> None:
    """Whatever stands in texts, however it is spaced, whatever is twice, and wherever a piece ends."""
    place = int(where * len(text))
    text = text[:place] + slip.encode() + text[place:]
    with pytest.MonkeyPatch.context() as patch:
        if tiny:
            patch.setattr(json_pieces, "FIRST_WINDOW_BYTES", 4)
            patch.setattr(json_pieces, "WINDOW_BYTES", 32)
        try:
            expected = orjson.loads(text)
        except orjson.JSONDecodeError:
            with pytest.raises(problems.MalformedJSON):
                read(text)
        else:
            assert read(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        b'{"tasks": [{}, ]}',
        b'{"tasks": [, {}]}',
        b'{"tasks": [{}, {}, ]}',
        b'{"tasks": [{} , {} {}, {}]}',
        b'{"tasks": [{} {}]}',
        b'{"tasks": [{}',
        b'{"tasks": [',
        b'{"\\x": [1]}',
        b'{"tasks" [1]}',
        b'{"tasks": [1]]}',
        b"[[1]",
        b"",
    ],
)
@pytest.mark.parametrize("size", [4, json_pieces.FIRST_WINDOW_BYTES])
def test_what_is_no_json_is_refused(monkeypatch: pytest.MonkeyPatch, text: bytes, size: int) -> None:
    """Also where each piece alone could be read."""
    monkeypatch.setattr(json_pieces, "FIRST_WINDOW_BYTES", size)
    with pytest.raises(problems.MalformedJSON):
        read(text)


def listed(item: bytes, count: int) -> bytes:
    return b'{"tasks":[' + b",".join([item] * count) + b"]}"


LARGE = b'"' + b"x" * PIECE_MAX_BYTES + b'"'
HOSTILE = {
    "a text without an end": b'{"tasks":["' + b"x" * 2**22,
    "quotes": b'{"tasks":[' + b'"' * 2**22,
    "backslashes": b"\\" * 2**22,
    "open brackets": b'{"tasks":[' + b"[" * 2**22,
    "close brackets": b'{"tasks":[' + b"]" * 2**22,
    "empty texts": listed(b'""', 300_000),
    "an item of many texts": listed(b"[" + b",".join([b'""'] * 40_000) + b"]", 3),
    "an item that is too large": listed(LARGE, 1),
    "an object beside the list that is too large": b'{"tasks":[],"x":{"":' + LARGE + b"}}",
    "many small lists beside it": b"{" + b",".join([b'"":[]'] * 100_000) + b"}",
    "an object for each seven bytes": listed(b'{"":0}', 300_000),
    "lists in lists": listed(b"[[[[[[]]]]]]", 100_000),
    "numbers": listed(b"0", 1_000_000),
}


def longest_step(text: bytes) -> float:
    """Seconds of computing."""
    times = list[float]()

    def read_timed() -> None:
        times.append(time.thread_time())
        times.extend(time.thread_time() for _ in JSONPieces(bytearray(text)))

    with pytest.raises((problems.ValidationFailed, problems.MalformedJSON)):
        read_timed()
    return max(after - before for before, after in pairwise([*times, time.thread_time()]))


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE.keys())
def test_a_hostile_document_is_refused(text: bytes) -> None:
    """Whatever it consists of."""
    with pytest.raises((problems.ValidationFailed, problems.MalformedJSON)):
        list(JSONPieces(bytearray(text)))


@pytest.mark.no_cover  # which takes most of the time that is measured
@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE.keys())
def test_a_hostile_document_is_refused_in_short_steps(text: bytes) -> None:
    """Whatever it consists of; none takes much more than a step of turns.py has, also on a slow machine."""
    assert min(longest_step(text) for _ in range(3)) < 0.03


def test_what_stands_in_texts_is_not_counted() -> None:
    """A bound on objects and lists is one on what they take in memory."""
    text = orjson.dumps({"tasks": [{"title": "{[" * 500} for _ in range(2 * BYTES_PER_CONTAINER)]})

    assert read(text) == orjson.loads(text)
