"""What handlers are given beside what they read of the request: the caller's repositories and links."""

from functools import lru_cache
from typing import Annotated, Any
from urllib.parse import quote, urlencode

from fastapi import Depends, Request

from backend.app.repositories.queries import TaskQueries
from backend.app.repositories.tasks import TaskRepository
from backend.app.schemas.queries import TaskPageQuery
from backend.app.web import pagination
from backend.app.web.route import owner_session
from backend.app.web.services import services_of


def current_user(request: Request) -> str:
    """The caller's id, as the token has it."""
    user_id: str = request.state.principal.user_id
    return user_id


def task_repository(request: Request) -> TaskRepository:
    settings = services_of(request.scope).settings
    return TaskRepository(
        owner_session(request), max_tasks=settings.max_tasks_per_user, max_subtasks=settings.max_subtasks
    )


def task_queries(request: Request) -> TaskQueries:
    return TaskQueries(owner_session(request))


class Links:
    """Relative references (RFC 3986, section 4.2) to the caller's tasks, as seen from outside."""

    def __init__(self, request: Request) -> None:
        scope = request.scope
        self._own = _own_path(scope.get("root_path", ""), scope["state"]["principal"].user_id)
        self._tasks = f"{self._own}/tasks"

    @property
    def tags(self) -> str:
        return f"{self._own}/tags"

    def changes(self, since: int) -> str:
        return f"{self._own}/changes?since={since}"

    def task(self, task: dict[str, Any]) -> str:
        return f"{self._tasks}/{task['id']}"

    def page(self, query: TaskPageQuery, place: tuple[Any, ...]) -> str:
        told = {"status": query.status.value, "limit": query.limit}
        told |= query.model_dump(mode="json", exclude={"cursor"}, exclude_defaults=True)
        told["cursor"] = pagination.encode(query.fingerprint, place)
        return f"{self._tasks}?{urlencode(told, doseq=True)}"


@lru_cache(maxsize=2048)
def _own_path(root_path: str, user_id: str) -> str:
    return f"{quote(root_path)}/api/{quote(user_id, safe='')}"


CurrentUser = Annotated[str, Depends(current_user)]
Tasks = Annotated[TaskRepository, Depends(task_repository)]
Finder = Annotated[TaskQueries, Depends(task_queries)]
CallerLinks = Annotated[Links, Depends(Links)]
