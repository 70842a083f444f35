"""How much a task may hold."""

TITLE_MAX_CHARACTERS = 200
DESCRIPTION_MAX_CHARACTERS = 1000
TAGS_MAX = 20
TAG_MAX_CHARACTERS = 50
LIST_NAME_MAX_CHARACTERS = 100
# What PostgreSQL's bigint holds.
ID_MAX = 2**63 - 1
# What a JavaScript number holds exactly: ids and revisions that clients send back are no larger.
SAFE_INTEGER_MAX = 2**53 - 1
REMINDERS_MAX = 5
