"""Files that cost most of what an import takes: their kinds, and what is in them."""

_RULE = f"RRULE:FREQ=YEARLY;BYMONTH=3;BYMONTHDAY={','.join(map(str, range(1, 31)))};BYDAY=MO,TU,WE,TH,FR,SA,SU"
_OBSERVANCE = f"BEGIN:STANDARD\nDTSTART:16010101T000000\n{_RULE}\nTZOFFSETTO:+0100\nEND:STANDARD\n"
ZONE = f"BEGIN:VTIMEZONE\nTZID:x\n{_OBSERVANCE * 6}END:VTIMEZONE\n"
_ALARM = "BEGIN:VALARM\nTRIGGER;TZID=x:20261224T235959\nEND:VALARM\n"
IN_ZONE = f"BEGIN:VTODO\nSUMMARY:x\nDTSTART;TZID=x:20261223T000000\nDUE;TZID=x:20271224T235959\n{_ALARM * 5}END:VTODO\n"
RDATES = f"RDATE:{','.join(['20260101T000000'] * 100)}"

HEAVY = {
    "folded lines": ("calendar", "BEGIN:VCALENDAR\nX:\n" + " x\n" * 15_000),
    "empty lines": ("calendar", "BEGIN:VCALENDAR\n" + "\n" * 60_000),
    "components": ("calendar", "BEGIN:VCALENDAR\n" + "BEGIN:X\nEND:X\n" * 18_000),
    "categories": (
        "calendar",
        "BEGIN:VCALENDAR\nBEGIN:VTODO\nSUMMARY:x\n" + "CATEGORIES:" + "a," * 120_000 + "\nEND:VTODO",
    ),
    "parameters": ("calendar", "BEGIN:VCALENDAR\nBEGIN:VTODO\nSUMMARY" + ";A=b" * 60_000 + ":x"),
    "a long chain": (
        "calendar",
        "BEGIN:VCALENDAR\n"
        + "".join(f"BEGIN:VTODO\nUID:{n}\nRELATED-TO:{n + 1}\nSUMMARY:x\nEND:VTODO\n" for n in range(1_500)),
    ),
    "soft line breaks": ("calendar", "BEGIN:VCALENDAR\nX;ENCODING=QUOTED-PRINTABLE:=\n" + "=\n" * 60_000),
    "ends that are missing": ("calendar", "BEGIN:VCALENDAR\nBEGIN:VTODO\nSUMMARY:x\n" * 3_000),
    "zones": ("calendar", f"BEGIN:VCALENDAR\n{ZONE}{IN_ZONE * 300}"),
    "dates of a zone": ("calendar", "BEGIN:VCALENDAR\nBEGIN:VTIMEZONE\nBEGIN:STANDARD\n" + f"{RDATES}\n" * 200),
    "empty rows": ("todoist", "TYPE,CONTENT\n" + "\n" * 60_000),
    "columns": ("todoist", "TYPE,CONTENT" + "," * 60_000 + "\n" + ("task,x" + "," * 60_000 + "\n") * 4),
    "comments": ("todoist", "TYPE,CONTENT\ntask,x\n" + "note,y\n" * 15_000),
    "sections": ("todoist", "TYPE,CONTENT\n" + "section,\n" * 20_000),
    "labels": ("todoist", "TYPE,CONTENT\n" + ("task," + "@a " * 20_000 + "x\n") * 5),
    "numbers in a list": (
        "google",
        '{"kind": "tasks#taskLists", "items": [{"title": "x", "items": [' + "0," * 240_000 + "0]}]}",
    ),
    "numbers": ("google", '{"kind": "tasks#taskLists", "items": [' + "0," * 120_000 + "0]}"),
    "lists": ("google", '{"kind": "tasks#taskLists", "items": [' + f'{{"x": "{"x" * 12}"}},' * 40_000 + "0]}"),
    "members": ("google", '{"kind": "tasks#taskLists", ' + ",".join(f'"{n}":1' for n in range(20_000)) + "}"),
}
