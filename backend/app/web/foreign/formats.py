"""Which files of other apps an import takes, and how each is read."""

import hashlib
from collections.abc import Awaitable
from dataclasses import dataclass
from typing import Final, Protocol

from backend.app.schemas.transfer import ForeignArchive
from backend.app.web.foreign.calendar import read_calendar
from backend.app.web.foreign.google import is_google, read_google
from backend.app.web.foreign.todoist import read_todoist
from backend.app.web.headers import is_media_type
from backend.app.web.turns import Steps


class ReadFile(Protocol):
    """Reads a file in steps. Raises ValidationFailed or MalformedJSON for what is no such file."""

    def __call__(self, text: bytes, steps: Steps, *, max_subtasks: int) -> Awaitable[ForeignArchive]: ...


BY_MEDIA_TYPE: Final[dict[str, ReadFile]] = {"text/calendar": read_calendar, "text/csv": read_todoist}


@dataclass(frozen=True, slots=True)
class OtherApps:
    """Annotates a body in whose place a file of another app may be sent; `setting` bounds its size."""

    setting: str

    def reader(self, content_type: str, body: bytes | bytearray) -> ReadFile | None:
        """How the file is read; None for a body of our own."""
        for media_type, read in BY_MEDIA_TYPE.items():
            if is_media_type(content_type, (media_type,)):
                return read
        return read_google if is_google(body) else None


@dataclass(frozen=True, slots=True)
class ForeignDocument:
    """A file that was read; `contents` is what makes two of them the same, for a write with an Idempotency-Key."""

    archive: ForeignArchive
    contents: list[str]

    @classmethod
    async def read(cls, read: ReadFile, body: bytearray, steps: Steps, *, max_subtasks: int) -> "ForeignDocument":
        """Raises as `read` does."""
        text = bytes(body)
        await steps.next_step()
        archive = await read(text, steps, max_subtasks=max_subtasks)
        return cls(archive, [hashlib.sha256(text).hexdigest()])
