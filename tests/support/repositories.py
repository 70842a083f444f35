"""Repositories without the API around them."""

from backend.app.db.database import Database
from backend.app.db.session import OwnerSession
from backend.app.repositories.tasks import TaskRepository


def repository(database: Database, user_id: str) -> TaskRepository:
    return TaskRepository(OwnerSession(database, user_id), max_tasks=1000, max_subtasks=10, max_completions=100)
