"""The tables. Every one belongs to users: `user_id` leads its primary key, and row-level security guards it.

Written for Alembic and for the statements in `repositories/`; no object of these classes is made on a request's way.
"""

from datetime import datetime
from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    DateTime,
    ForeignKeyConstraint,
    Index,
    SmallInteger,
    String,
    Text,
    false,
    func,
)
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.types import TypeEngine
from sqlmodel import Field, SQLModel

from backend.app.domain.limits import LIST_NAME_MAX_CHARACTERS
from backend.app.models.base import BYTEWISE, SCHEMA, metadata
from backend.app.models.records import CompletedOccurrence, DeletedCompletion, IdempotencyKey, Reminder

__all__ = [
    "DOMAINS",
    "NO_COUNTS",
    "SCHEMA",
    "TOMBSTONE",
    "CompletedOccurrence",
    "Content",
    "DeletedCompletion",
    "DeletedList",
    "DeletedTask",
    "IdempotencyKey",
    "ListContent",
    "NamedList",
    "Reminder",
    "Task",
    "TaskList",
    "metadata",
    "purged_contents",
]

# The columns whose bounds are a domain's (migration 0008). Statements take them for what the domain is made of.
DOMAINS = {
    ("tasks", "id"): "task_id",
    ("tasks", "title"): "task_title",
    ("tasks", "description"): "task_description",
    ("task_lists", "task_count"): "task_count",
}

# What a new list counts.
NO_COUNTS = {"trash_count": 0, "tombstone_count": 0, "key_count": 0, "key_bytes": 0}


class TaskList(SQLModel, table=True):
    """One row per user: the counter that numbers their tasks and every change to them.

    Each write bumps `revision` under this row's lock, so a user's revisions become visible in their order. Deletions
    after `horizon` are all still known; null stands for the current revision, until a write of this version sets it.
    `last_list_id` numbers the user's lists (`NamedList`), null where there never was one.

    The counts say how many tasks are in the trash, how many purged ones have left a tombstone, and how many idempotency
    keys and bytes of answers are kept. Null is "not counted yet": the next write that needs to know counts.
    """

    __tablename__ = "task_lists"
    __table_args__ = (
        CheckConstraint("user_id <> ''", name="user_id"),
        # A list's next version finds room on its page, and no index is told of it.
        {"postgresql_with": {"fillfactor": 60}},
    )

    user_id: str = Field(sa_type=Text, primary_key=True)
    last_task_id: int = Field(sa_type=BigInteger, nullable=False)
    task_count: int = Field(sa_type=BigInteger, nullable=False)
    revision: int = Field(sa_type=BigInteger, nullable=False)
    horizon: int | None = Field(default=None, sa_type=BigInteger)
    trash_count: int | None = Field(default=None, sa_type=BigInteger)
    tombstone_count: int | None = Field(default=None, sa_type=BigInteger)
    key_count: int | None = Field(default=None, sa_type=BigInteger)
    key_bytes: int | None = Field(default=None, sa_type=BigInteger)
    last_list_id: int | None = Field(default=None, sa_type=BigInteger)


class Content(SQLModel):
    """What a task holds, living or deleted.

    Some columns are made from others when they are written, for what the database has to compare: `title_key` sorts
    and is searched, `description_key` is searched, `tag_keys` match regardless of case, `due_at` is the moment of
    `due_date` (infinity without one), `start_at` that of `start_date`. A task is `compound` once it repeats, has
    subtasks or has reminders: to write it then changes more than its own row.

    `list_id` is null in the inbox. `position` is the place that somebody moved the task to, and empty where nobody did
    (`domain/positions.py`).
    """

    user_id: str = Field(sa_type=Text, primary_key=True, foreign_key="task_lists.user_id")
    id: int = Field(sa_type=BigInteger, primary_key=True, sa_column_kwargs={"autoincrement": False})
    title: str = Field(sa_type=Text, nullable=False)
    description: str | None = Field(default=None, sa_type=Text)
    completed: bool = Field(sa_type=Boolean, nullable=False, sa_column_kwargs={"server_default": false()})
    revision: int = Field(sa_type=BigInteger, nullable=False)
    created_at: datetime = Field(
        sa_type=DateTime(timezone=True),
        nullable=False,
        sa_column_kwargs={"server_default": func.now()},
    )
    updated_at: datetime = Field(
        sa_type=DateTime(timezone=True),
        nullable=False,
        sa_column_kwargs={"server_default": func.now()},
    )
    completed_at: datetime | None = Field(default=None, sa_type=DateTime(timezone=True))
    priority: int = Field(sa_type=SmallInteger, nullable=False, sa_column_kwargs={"server_default": "0"})
    due_date: str | None = Field(default=None, sa_type=Text)
    time_zone: str | None = Field(default=None, sa_type=Text)
    recurrence: str | None = Field(default=None, sa_type=Text)
    after_completion: bool = Field(sa_type=Boolean, nullable=False, sa_column_kwargs={"server_default": false()})
    tags: list[str] = Field(sa_type=ARRAY(Text), nullable=False, sa_column_kwargs={"server_default": "{}"})
    parent_id: int | None = Field(default=None, sa_type=BigInteger)
    compound: bool = Field(sa_type=Boolean, nullable=False, sa_column_kwargs={"server_default": false()})
    description_key: str | None = Field(default=None, sa_type=BYTEWISE)
    title_key: str = Field(sa_type=BYTEWISE, nullable=False, sa_column_kwargs={"server_default": "''"})
    due_at: datetime = Field(
        sa_type=DateTime(timezone=True), nullable=False, sa_column_kwargs={"server_default": "infinity"}
    )
    tag_keys: list[str] = Field(sa_type=ARRAY(Text), nullable=False, sa_column_kwargs={"server_default": "{}"})
    start_date: str | None = Field(default=None, sa_type=Text)
    start_at: datetime | None = Field(default=None, sa_type=DateTime(timezone=True))
    reminders: list[str] | None = Field(default=None, sa_type=ARRAY(Text))
    on_schedule: bool = Field(sa_type=Boolean, nullable=False, sa_column_kwargs={"server_default": false()})
    list_id: int | None = Field(default=None, sa_type=BigInteger)
    position: str = Field(sa_type=BYTEWISE, nullable=False, sa_column_kwargs={"server_default": "''"})


# What stays of a deleted task when its contents are purged: the fact that it was there, and when.
TOMBSTONE = frozenset({"user_id", "id", "revision", "created_at", "updated_at"})
_EMPTY: dict[type[TypeEngine[Any]], Any] = {
    Text: "",
    Boolean: False,
    SmallInteger: 0,
    ARRAY: [],
    DateTime: "infinity",
}


def purged_contents() -> dict[str, Any]:
    """The values that a purge writes in place of a task's contents, for every column that is no part of its tombstone.

    A column that `Content` gains later is among them without being listed here.
    """
    columns = [column for column in DeletedTask.__table__.columns if column.name in Content.model_fields]  # type: ignore[attr-defined] # SQLModel makes it
    return {
        column.name: None if column.nullable else _EMPTY[type(column.type)]
        for column in columns
        if column.name not in TOMBSTONE
    }


class Task(Content, table=True):
    """One task. Ids count per user from 1, so another user's task cannot even be named."""

    __tablename__ = "tasks"
    __table_args__ = (
        # Every write costs an entry in each index that holds its row: a plain task is in three, by whether it is open.
        Index("ix_tasks_open_user_id_id", "user_id", "id", postgresql_where="NOT completed"),
        Index(
            "ix_tasks_user_id_completed_at_id",
            "user_id",
            "completed_at",
            "id",
            postgresql_where="completed_at IS NOT NULL",
        ),
        Index("ix_tasks_user_id_revision", "user_id", "revision"),
        Index(
            "ix_tasks_user_id_parent_id_id",
            "user_id",
            "parent_id",
            "id",
            postgresql_where="parent_id IS NOT NULL",
        ),
        # Only of tasks that are in a list, or were moved: no other write touches these.
        Index(
            "ix_tasks_user_id_list_id_position_id",
            "user_id",
            "list_id",
            "position",
            "id",
            postgresql_where="list_id IS NOT NULL",
        ),
        Index("ix_tasks_user_id_position_id", "user_id", "position", "id", postgresql_where="position <> ''"),
        ForeignKeyConstraint(["user_id", "list_id"], ["lists.user_id", "lists.id"], name="fk_tasks_user_id_list_id"),
    )


class DeletedTask(Content, table=True):
    """A task in the trash; after it was purged, the mere fact that it is gone, which clients have to hear of.

    `deleted_with` is the parent that took it along, `deleted_with_list` the list.
    """

    __tablename__ = "deleted_tasks"
    __table_args__ = (
        Index("ix_deleted_tasks_user_id_revision", "user_id", "revision"),
        Index(
            "ix_deleted_tasks_user_id_completed_at_id",
            "user_id",
            "completed_at",
            "id",
            postgresql_where="completed_at IS NOT NULL",
        ),
        Index("ix_deleted_tasks_user_id_id", "user_id", "id", postgresql_where="NOT purged"),
        Index("ix_deleted_tasks_kept_user_id_revision", "user_id", "revision", postgresql_where="NOT purged"),
        Index(
            "ix_deleted_tasks_user_id_deleted_with",
            "user_id",
            "deleted_with",
            postgresql_where="deleted_with IS NOT NULL",
        ),
        Index(
            "ix_deleted_tasks_user_id_deleted_with_list_id",
            "user_id",
            "deleted_with_list",
            "id",
            postgresql_where="deleted_with_list IS NOT NULL",
        ),
        Index("ix_deleted_tasks_user_id_position_id", "user_id", "position", "id", postgresql_where="position <> ''"),
    )

    deleted_at: datetime = Field(sa_type=DateTime(timezone=True), nullable=False)
    deleted_with: int | None = Field(default=None, sa_type=BigInteger)
    deleted_with_list: int | None = Field(default=None, sa_type=BigInteger)
    purged: bool = Field(sa_type=Boolean, nullable=False, sa_column_kwargs={"server_default": false()})


class ListContent(SQLModel):
    """What a list of the user's own holds, living or deleted."""

    user_id: str = Field(sa_type=Text, primary_key=True, foreign_key="task_lists.user_id")
    id: int = Field(sa_type=BigInteger, primary_key=True, sa_column_kwargs={"autoincrement": False})
    name: str = Field(max_length=LIST_NAME_MAX_CHARACTERS, sa_type=String(LIST_NAME_MAX_CHARACTERS), nullable=False)
    position: str = Field(sa_type=BYTEWISE, nullable=False)
    archived: bool = Field(sa_type=Boolean, nullable=False, sa_column_kwargs={"server_default": false()})
    revision: int = Field(sa_type=BigInteger, nullable=False)
    created_at: datetime = Field(
        sa_type=DateTime(timezone=True), nullable=False, sa_column_kwargs={"server_default": func.now()}
    )
    updated_at: datetime = Field(
        sa_type=DateTime(timezone=True), nullable=False, sa_column_kwargs={"server_default": func.now()}
    )


class NamedList(ListContent, table=True):
    """A list that a user made: tasks are in one, or in the inbox. Ids count per user from 1."""

    __tablename__ = "lists"
    __table_args__ = (Index("ix_lists_user_id_revision", "user_id", "revision"),)


class DeletedList(ListContent, table=True):
    """A list in the trash; after it was purged, the mere fact that it is gone."""

    __tablename__ = "deleted_lists"
    __table_args__ = (Index("ix_deleted_lists_user_id_revision", "user_id", "revision"),)

    deleted_at: datetime = Field(sa_type=DateTime(timezone=True), nullable=False)
    purged: bool = Field(sa_type=Boolean, nullable=False, sa_column_kwargs={"server_default": false()})
