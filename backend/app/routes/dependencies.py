"""What handlers are given beside what they read of the request: the caller's repositories and links."""

from functools import lru_cache
from typing import Annotated, Any
from urllib.parse import quote, urlencode

from fastapi import Depends, Request

from backend.app.repositories.account import AccountRepository
from backend.app.repositories.apply import ApplyRepository
from backend.app.repositories.batch import BatchRepository
from backend.app.repositories.changes import ChangeQueries
from backend.app.repositories.claim import ClaimRepository
from backend.app.repositories.completion_export import CompletionExport
from backend.app.repositories.completion_undo import CompletionUndo
from backend.app.repositories.completions import CompletionQueries
from backend.app.repositories.emptying import EmptyingRepository
from backend.app.repositories.imports import ImportRepository
from backend.app.repositories.list_trash import ListTrash
from backend.app.repositories.lists import ListQueries, ListRepository
from backend.app.repositories.queries import TaskQueries
from backend.app.repositories.task_moves import MoveRepository
from backend.app.repositories.tasks import TaskRepository
from backend.app.schemas.completions import CompletionQuery
from backend.app.schemas.queries import TaskPageQuery
from backend.app.web import pagination
from backend.app.web.owner_session import Session
from backend.app.web.response_cache import CachedResponses
from backend.app.web.services import services_of


def current_user(request: Request) -> str:
    """The caller's id, as the token has it."""
    user_id: str = request.state.principal.user_id
    return user_id


def task_repository(request: Request, session: Session) -> TaskRepository:
    return TaskRepository(session, **_limits(request))


def batch_repository(request: Request, session: Session) -> BatchRepository:
    return BatchRepository(session, **_limits(request))


def apply_repository(request: Request, session: Session) -> ApplyRepository:
    settings = services_of(request.scope).settings
    return ApplyRepository(
        session,
        max_applied=settings.max_apply_tasks,
        max_subtasks=settings.max_subtasks,
        max_trash=settings.max_tasks_per_user,
        max_completions=settings.max_completions,
    )


def completion_queries(session: Session) -> CompletionQueries:
    return CompletionQueries(session)


def completion_export(session: Session) -> CompletionExport:
    return CompletionExport(session)


def completion_undo(request: Request, session: Session) -> CompletionUndo:
    settings = services_of(request.scope).settings
    return CompletionUndo(session, max_subtasks=settings.max_subtasks, max_completions=settings.max_completions)


def emptying_repository(request: Request, session: Session) -> EmptyingRepository:
    settings = services_of(request.scope).settings
    return EmptyingRepository(session, max_lists=settings.max_lists, max_tombstones=settings.max_tasks_per_user)


def import_repository(request: Request, session: Session) -> ImportRepository:
    max_lists = services_of(request.scope).settings.max_lists
    return ImportRepository(session, **_limits(request), max_lists=max_lists)


def task_queries(session: Session) -> TaskQueries:
    return TaskQueries(session)


def change_queries(session: Session) -> ChangeQueries:
    return ChangeQueries(session)


def move_repository(session: Session) -> MoveRepository:
    return MoveRepository(session)


def list_queries(session: Session) -> ListQueries:
    return ListQueries(session)


def list_repository(request: Request, session: Session) -> ListRepository:
    return ListRepository(session, max_lists=services_of(request.scope).settings.max_lists)


def list_trash(request: Request, session: Session) -> ListTrash:
    settings = services_of(request.scope).settings
    return ListTrash(session, max_lists=settings.max_lists, max_tasks=settings.max_tasks_per_user)


def account_repository(session: Session) -> AccountRepository:
    return AccountRepository(session)


def claim_repository(request: Request, session: Session) -> ClaimRepository:
    settings = services_of(request.scope).settings
    return ClaimRepository(
        session,
        max_tasks=settings.max_tasks_per_user,
        max_lists=settings.max_lists,
        max_completions=settings.max_completions,
    )


def _limits(request: Request) -> dict[str, int]:
    settings = services_of(request.scope).settings
    return {
        "max_tasks": settings.max_tasks_per_user,
        "max_subtasks": settings.max_subtasks,
        "max_completions": settings.max_completions,
    }


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

    def list(self, made: dict[str, Any]) -> str:
        return f"{self._own}/lists/{made['id']}"

    def page(self, query: TaskPageQuery, position: tuple[Any, ...]) -> str:
        parameters = {"status": query.status.value, "limit": query.limit}
        parameters |= query.model_dump(mode="json", exclude={"cursor"}, exclude_defaults=True)
        parameters["cursor"] = pagination.encode(query.fingerprint, position)
        return f"{self._tasks}?{urlencode(parameters, doseq=True)}"

    def completions(self, query: CompletionQuery, position: tuple[Any, ...]) -> str:
        parameters: dict[str, Any] = {"limit": query.limit}
        parameters |= query.model_dump(mode="json", exclude={"cursor"}, exclude_defaults=True)
        parameters["cursor"] = pagination.encode(query.fingerprint, position)
        return f"{self._own}/completions?{urlencode(parameters)}"


@lru_cache(maxsize=2048)
def _own_path(root_path: str, user_id: str) -> str:
    return f"{quote(root_path)}/api/{quote(user_id, safe='')}"


CurrentUser = Annotated[str, Depends(current_user)]
Tasks = Annotated[TaskRepository, Depends(task_repository)]
Queries = Annotated[TaskQueries, Depends(task_queries)]
Batches = Annotated[BatchRepository, Depends(batch_repository)]
Applications = Annotated[ApplyRepository, Depends(apply_repository)]
Emptying = Annotated[EmptyingRepository, Depends(emptying_repository)]
Imports = Annotated[ImportRepository, Depends(import_repository)]
Changes = Annotated[ChangeQueries, Depends(change_queries)]
Moves = Annotated[MoveRepository, Depends(move_repository)]
Lists = Annotated[ListQueries, Depends(list_queries)]
ListWrites = Annotated[ListRepository, Depends(list_repository)]
TrashOfLists = Annotated[ListTrash, Depends(list_trash)]
Completions = Annotated[CompletionQueries, Depends(completion_queries)]
ExportedCompletions = Annotated[CompletionExport, Depends(completion_export)]
Undo = Annotated[CompletionUndo, Depends(completion_undo)]
Claims = Annotated[ClaimRepository, Depends(claim_repository)]
Account = Annotated[AccountRepository, Depends(account_repository)]
Cached = Annotated[CachedResponses, Depends(CachedResponses)]
CallerLinks = Annotated[Links, Depends(Links)]
