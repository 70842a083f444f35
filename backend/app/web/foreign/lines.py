"""The text of a file and its lines, as other apps on any system write them."""

from collections.abc import Iterator

from backend.app import problems


def decoded(content: bytes) -> str:
    """UTF-8, with or without a byte order mark. Raises ValidationFailed."""
    try:
        return bytes(content).decode("utf-8-sig").replace("\r\n", "\n").replace("\r", "\n")
    except UnicodeDecodeError as error:
        line = bytes(content[: error.start]).count(b"\n") + 1
        detail = f"must be UTF-8, and is not on line {line}"
        raise problems.ValidationFailed([{"pointer": "#", "detail": detail}]) from None


def lines_of(text: str) -> Iterator[tuple[int, str]]:
    """The lines with their numbers from 1. Only a line feed ends one: others are letters to these formats."""
    start, number = 0, 1
    while start < len(text):
        end = text.find("\n", start)
        end = len(text) if end < 0 else end
        yield number, text[start:end]
        start, number = end + 1, number + 1
