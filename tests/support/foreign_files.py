"""Small files of other apps, made by hand from public descriptions of their formats; and reading them."""

import asyncio
import json
from typing import Any

from backend.app.schemas.transfer import ForeignArchive
from backend.app.web.turns import Turns

CALENDAR = """\
BEGIN:VCALENDAR
VERSION:2.0
PRODID:-//Example//Tasks//EN
X-WR-CALNAME:Home
X-WR-TIMEZONE:Europe/Berlin
BEGIN:VTIMEZONE
TZID:Europe/Berlin
BEGIN:STANDARD
DTSTART:19701025T030000
TZOFFSETFROM:+0200
TZOFFSETTO:+0100
END:STANDARD
END:VTIMEZONE
BEGIN:VTODO
UID:parent
SUMMARY:Buy milk\\, bread and a very long list of other things that must be fol
 ded somewhere
DESCRIPTION:Two litres\\nof it\\; fresh
DUE;TZID=Europe/Berlin:20261224T180000
PRIORITY:1
CATEGORIES:Home,zwei\\, Wörter
CATEGORIES:home
STATUS:NEEDS-ACTION
CREATED:20260101T000000Z
LAST-MODIFIED:20260102T000000Z
BEGIN:VALARM
ACTION:DISPLAY
TRIGGER:-PT30M
END:VALARM
END:VTODO
BEGIN:VTODO
UID:child
RELATED-TO:parent
SUMMARY:The bread
STATUS:COMPLETED
COMPLETED:20260103T120000Z
LOCATION:Bakery
END:VTODO
BEGIN:VTODO
UID:grandchild
RELATED-TO;RELTYPE=PARENT:child
SUMMARY:With seeds
DUE;VALUE=DATE:20261225
RRULE:FREQ=WEEKLY;BYDAY=FR
END:VTODO
BEGIN:VTODO
UID:utc
SUMMARY:At a moment
DUE:20261224T170000Z
PRIORITY:5
END:VTODO
BEGIN:VTODO
UID:floating
SUMMARY:At a wall time
DUE:20260724T170000
PRIORITY:9
END:VTODO
BEGIN:VEVENT
UID:event
SUMMARY:No task
END:VEVENT
END:VCALENDAR
"""

TODOIST = "\ufeff" + "\r\n".join(
    [
        "TYPE,CONTENT,DESCRIPTION,PRIORITY,INDENT,AUTHOR,RESPONSIBLE,DATE,DATE_LANG,TIMEZONE,DURATION",
        "section,Kitchen,,,,,,,,,",
        "task,Buy milk @home @shop,Two litres,1,1,Ann (1),,2026-12-24,en,Europe/Berlin,",
        'task,"The ""good"" bread, sliced",,2,2,Ann (1),Ben (2),2026-12-24 18:00,en,Europe/Berlin,',
        "note,with seeds,,,,Ann (1),,,,,",
        "task,Deeper still,,3,3,Ann (1),,,,,",
        "task,Water the plants,,4,1,Ann (1),,every 2 weeks starting 2026-12-01,en,Europe/Berlin,",
        "task,Call,,4,1,Ann (1),,every! mon at 9:30 starting 2026-12-01,en,Europe/Berlin,30",
        "task,Someday,,4,1,Ann (1),,when it rains,en,,",
        ",,,,,,,,,,",
        "meta,view_style=list,,,,,,,,,",
    ]
)

GOOGLE = json.dumps(
    {
        "kind": "tasks#taskLists",
        "items": [
            {
                "kind": "tasks#tasks",
                "id": "list",
                "title": "My Tasks",
                "items": [
                    {
                        "id": "a",
                        "kind": "tasks#task",
                        "title": "Buy milk",
                        "notes": "Two litres",
                        "status": "needsAction",
                        "due": "2026-12-24T00:00:00Z",
                        "created": "2026-01-01T00:00:00Z",
                        "updated": "2026-01-02T00:00:00.123Z",
                        "selfLink": "https://example.com/a",
                        "links": [{"type": "email"}],
                    },
                    {
                        "id": "b",
                        "title": "Bread",
                        "status": "completed",
                        "completed": "2026-01-03T00:00:00Z",
                        "parent": "a",
                        "updated": "2026-01-03T00:00:00Z",
                    },
                    {"id": "c", "title": "", "status": "needsAction"},
                    {"id": "d", "title": "Gone", "deleted": True},
                ],
            },
            {"kind": "tasks#tasks", "title": "Garden", "items": [{"id": "e", "title": "Plant a tree"}]},
        ],
    },
    indent=1,
)


def read_file(reader: Any, text: str, max_subtasks: int = 200) -> ForeignArchive:
    """What a reader makes of a file."""
    return read_bytes(reader, text.encode(), max_subtasks)


def read_bytes(reader: Any, content: bytes, max_subtasks: int = 200) -> ForeignArchive:
    """As `read_file`, of a file that need not be UTF-8."""

    async def once() -> ForeignArchive:
        archive: ForeignArchive = await reader(content, Turns().of("somebody"), max_subtasks=max_subtasks)
        return archive

    return asyncio.run(once())


def details(archive: ForeignArchive) -> list[str]:
    """What it says of what is not taken over."""
    return [note.detail for note in archive.dropped]
