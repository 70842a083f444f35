"""What all tables share: where they are, how their constraints are named, and how keys compare."""

from sqlalchemy import MetaData, Text
from sqlmodel import SQLModel

# Where the tables are. Statements name it, for nothing of theirs is looked for where others may put something.
SCHEMA = "public"

# Keys compare byte by byte: the same order on every server, whatever its locale.
BYTEWISE = Text(collation="C")

metadata: MetaData = SQLModel.metadata
metadata.naming_convention = {
    "pk": "pk_%(table_name)s",
    "fk": "fk_%(table_name)s_%(column_0_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
}
