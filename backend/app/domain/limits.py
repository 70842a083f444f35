"""How much a task may hold."""

TAGS_MAX = 20
TAG_MAX_CHARACTERS = 50
ID_MAX = 2**63 - 1
REMINDERS_MAX = 5
