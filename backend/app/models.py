"""The tables. Every one belongs to users: `user_id` leads its primary key, and row-level security guards it.

Written for Alembic and for the statements in `repositories/`; no object of these classes is made on a request's way.
"""

from datetime import datetime

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    DateTime,
    ForeignKey,
    Index,
    MetaData,
    SmallInteger,
    Text,
    false,
    func,
)
from sqlmodel import Field, SQLModel

TITLE_MAX_CHARACTERS = 200
DESCRIPTION_MAX_CHARACTERS = 1000

metadata: MetaData = SQLModel.metadata
metadata.naming_convention = {
    "pk": "pk_%(table_name)s",
    "fk": "fk_%(table_name)s_%(column_0_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
}


class TaskList(SQLModel, table=True):
    """One row per user: the counter that numbers their tasks and every change to them.

    Each write bumps `revision` under this row's lock, so a user's revisions become visible in their order.
    """

    __tablename__ = "task_lists"
    __table_args__ = (
        CheckConstraint("user_id <> ''", name="user_id"),
        CheckConstraint("task_count >= 0", name="task_count"),
    )

    user_id: str = Field(sa_type=Text, primary_key=True)
    last_task_id: int = Field(sa_type=BigInteger, nullable=False)
    task_count: int = Field(sa_type=BigInteger, nullable=False)
    revision: int = Field(sa_type=BigInteger, nullable=False)


class IdempotencyKey(SQLModel, table=True):
    """A key that a user sent with a write, and the answer to it: written together, so both are there or neither.

    `status`, `headers` (JSON) and `body` are null only inside the transaction that makes the row.
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


class Task(SQLModel, table=True):
    """One task. Ids count per user from 1, so another user's task cannot even be named."""

    __tablename__ = "tasks"
    __table_args__ = (
        CheckConstraint("id > 0", name="id"),
        CheckConstraint(f"char_length(title) BETWEEN 1 AND {TITLE_MAX_CHARACTERS}", name="title"),
        CheckConstraint(f"char_length(description) <= {DESCRIPTION_MAX_CHARACTERS}", name="description"),
        Index("ix_tasks_user_id_completed_id", "user_id", "completed", "id"),
    )

    user_id: str = Field(sa_type=Text, primary_key=True, sa_column_args=[ForeignKey("task_lists.user_id")])
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
