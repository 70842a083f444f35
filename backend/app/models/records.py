"""What is kept beside a user's tasks: answers to keyed writes, reminders, and what was completed."""

from datetime import datetime

from sqlalchemy import BigInteger, CheckConstraint, DateTime, Index, LargeBinary, SmallInteger, Text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlmodel import Field, SQLModel

from backend.app.models import base  # noqa: F401 - the names of constraints are settled before a table is made


class IdempotencyKey(SQLModel, table=True):
    """A key that a user sent with a write, and the answer to it: written together, so both are there or neither.

    `status` and `headers` (JSON) are null only inside the transaction that makes the row. A short body is in `body`, a
    long one compressed in `compressed_body` (zlib).
    """

    __tablename__ = "idempotency_keys"
    __table_args__ = (
        CheckConstraint("user_id <> ''", name="user_id"),
        Index("ix_idempotency_keys_user_id_created_at", "user_id", "created_at"),
    )

    user_id: str = Field(sa_type=Text, primary_key=True)
    key: str = Field(sa_type=Text, primary_key=True)
    fingerprint: str = Field(sa_type=Text, nullable=False)
    created_at: datetime = Field(sa_type=DateTime(timezone=True), nullable=False)
    status: int | None = Field(default=None, sa_type=SmallInteger)
    headers: str | None = Field(default=None, sa_type=Text)
    body: str | None = Field(default=None, sa_type=Text)
    compressed_body: bytes | None = Field(default=None, sa_type=LargeBinary)


class Reminder(SQLModel, table=True):
    """A moment at which a task reminds of itself, until it was delivered.

    `try_at` is when delivery is tried next, at first the moment itself; `tries` is how often it was.
    """

    __tablename__ = "reminders"
    __table_args__ = (
        Index("ix_reminders_user_id_try_at", "user_id", "try_at"),
        Index("ix_reminders_try_at_user_id", "try_at", "user_id"),
    )

    user_id: str = Field(sa_type=Text, primary_key=True, foreign_key="task_lists.user_id")
    task_id: int = Field(sa_type=BigInteger, primary_key=True, sa_column_kwargs={"autoincrement": False})
    remind_at: datetime = Field(sa_type=DateTime(timezone=True), primary_key=True)
    try_at: datetime = Field(sa_type=DateTime(timezone=True), nullable=False)
    tries: int = Field(sa_type=SmallInteger, nullable=False, sa_column_kwargs={"server_default": "0"})


class CompletedOccurrence(SQLModel, table=True):
    """An occurrence of a repeating task that was completed: what the task was before, to go back to.

    `revision` is what the task got with it: the task has changed since where it has another, and 0 where it was
    imported. `revision_before` is what it had before, where nothing else was written of it; null where nobody knows.
    Both are negative where they are those of another user's list, from which the task was claimed.
    `reopened` are the subtasks that were opened again for the next time.

    `sync_revision` is its own, by which clients that keep a copy hear of it; null where a program wrote it that gave it
    none.
    """

    __tablename__ = "completions"
    __table_args__ = (
        Index("ix_completions_user_id_completed_at_task_id", "user_id", "completed_at", "task_id"),
        Index("ix_completions_user_id_sync_revision", "user_id", "sync_revision"),
    )

    user_id: str = Field(sa_type=Text, primary_key=True, foreign_key="task_lists.user_id")
    task_id: int = Field(sa_type=BigInteger, primary_key=True, sa_column_kwargs={"autoincrement": False})
    completed_at: datetime = Field(sa_type=DateTime(timezone=True), primary_key=True)
    title: str = Field(sa_type=Text, nullable=False)
    due_date: str | None = Field(default=None, sa_type=Text)
    start_date: str | None = Field(default=None, sa_type=Text)
    recurrence: str | None = Field(default=None, sa_type=Text)
    reminders: list[str] | None = Field(default=None, sa_type=ARRAY(Text))
    reopened: list[int] | None = Field(default=None, sa_type=ARRAY(BigInteger))
    revision: int = Field(sa_type=BigInteger, nullable=False)
    revision_before: int | None = Field(default=None, sa_type=BigInteger)
    sync_revision: int | None = Field(default=None, sa_type=BigInteger)


class DeletedCompletion(SQLModel, table=True):
    """The mere fact that a completion was taken back, which clients have to hear of."""

    __tablename__ = "deleted_completions"
    __table_args__ = (Index("ix_deleted_completions_user_id_revision", "user_id", "revision"),)

    user_id: str = Field(sa_type=Text, primary_key=True, foreign_key="task_lists.user_id")
    task_id: int = Field(sa_type=BigInteger, primary_key=True, sa_column_kwargs={"autoincrement": False})
    completed_at: datetime = Field(sa_type=DateTime(timezone=True), primary_key=True)
    revision: int = Field(sa_type=BigInteger, nullable=False)
    deleted_at: datetime = Field(sa_type=DateTime(timezone=True), nullable=False)
