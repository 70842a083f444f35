"""The usual way: the same API as tutorials write it: `def` routes, a Session dependency, the ORM and response_model.

It checks what the project checks, and no test of isolation guards it.
"""

import logging
import os
import time
from collections.abc import Awaitable, Callable, Iterator
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

import jwt
from fastapi import Depends, FastAPI, HTTPException, Query, Request, Response
from fastapi.middleware.cors import CORSMiddleware
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, StringConstraints
from sqlalchemy import ARRAY, BigInteger, DateTime, Text
from sqlmodel import Field, Session, SQLModel, col, create_engine, select
from starlette.middleware.base import BaseHTTPMiddleware

SECRET = os.environ["BETTER_AUTH_SECRET"]
engine = create_engine(os.environ["DATABASE_URL"].replace("postgresql://", "postgresql+psycopg2://"), pool_size=10)
log = logging.getLogger("uvicorn.error")


class Task(SQLModel, table=True):
    __tablename__ = "tasks"

    id: int | None = Field(default=None, sa_type=BigInteger, primary_key=True)
    user_id: str = Field(index=True)
    title: str
    description: str | None = None
    completed: bool = False
    completed_at: datetime | None = Field(default=None, sa_type=DateTime(timezone=True))
    priority: str | None = None
    due_date: str | None = None
    time_zone: str | None = None
    recurrence: str | None = None
    recurrence_from: str | None = None
    tags: list[str] = Field(default_factory=list, sa_type=ARRAY(Text))
    reminders: list[str] = Field(default_factory=list, sa_type=ARRAY(Text))
    remind_at: datetime | None = Field(default=None, sa_type=DateTime(timezone=True))
    parent_id: int | None = Field(default=None, sa_type=BigInteger)
    start_date: str | None = None
    list_id: int | None = Field(default=None, sa_type=BigInteger)
    position: str | None = None
    revision: int = Field(default=1, sa_type=BigInteger)
    created_at: datetime = Field(default_factory=lambda: datetime.now(UTC), sa_type=DateTime(timezone=True))
    updated_at: datetime = Field(default_factory=lambda: datetime.now(UTC), sa_type=DateTime(timezone=True))


class TaskWrite(BaseModel):
    model_config = ConfigDict(extra="forbid")

    title: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200)]
    description: Annotated[str, StringConstraints(max_length=1000)] | None = None
    priority: Literal["low", "medium", "high"] | None = None
    due_date: str | None = None
    tags: list[Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=50)]] = []


class TaskRead(BaseModel):
    id: int
    user_id: str
    title: str
    description: str | None
    completed: bool
    completed_at: datetime | None
    priority: str | None
    due_date: str | None
    time_zone: str | None
    recurrence: str | None
    recurrence_from: str | None
    tags: list[str]
    reminders: list[str]
    remind_at: datetime | None
    parent_id: int | None
    start_date: str | None
    list_id: int | None
    position: str | None
    revision: int
    created_at: datetime
    updated_at: datetime


Next = Callable[[Request], Awaitable[Response]]


class Authentication(BaseHTTPMiddleware):
    async def dispatch(self, request: Request, call_next: Next) -> Response:
        token = request.headers.get("authorization", "").removeprefix("Bearer ")
        try:
            claims = jwt.decode(token, SECRET, algorithms=["HS256"], options={"require": ["exp", "sub"]}, leeway=30)
        except jwt.InvalidTokenError:
            return JSONResponse({"detail": "Not authenticated"}, 401, {"WWW-Authenticate": "Bearer"})
        request.state.user_id = claims["sub"]
        return await call_next(request)


class Logging(BaseHTTPMiddleware):
    async def dispatch(self, request: Request, call_next: Next) -> Response:
        started = time.perf_counter()
        response = await call_next(request)
        took = (time.perf_counter() - started) * 1000
        log.info("%s %s %d %.2f ms", request.method, request.url.path, response.status_code, took)
        return response


def session() -> Iterator[Session]:
    with Session(engine) as session:
        yield session


def own(user_id: str, request: Request) -> str:
    if user_id != request.state.user_id:
        raise HTTPException(403)
    return user_id


Database = Annotated[Session, Depends(session)]
Owner = Annotated[str, Depends(own)]

app = FastAPI()
app.add_middleware(Authentication)
app.add_middleware(Logging)
app.add_middleware(CORSMiddleware, allow_origins=["http://localhost:3000"], allow_credentials=True)


def found(task_id: int, owner: str, database: Session) -> Task:
    task = database.exec(select(Task).where(Task.id == task_id, Task.user_id == owner)).first()
    if task is None:
        raise HTTPException(404)
    return task


def saved(task: Task, database: Session) -> Task:
    database.add(task)
    database.commit()
    database.refresh(task)
    return task


@app.get("/api/{user_id}/tasks", response_model=list[TaskRead])
def list_tasks(owner: Owner, database: Database, limit: Annotated[int, Query(ge=1, le=500)] = 100) -> Any:
    statement = select(Task).where(Task.user_id == owner).order_by(col(Task.id).desc()).limit(limit)
    return database.exec(statement).all()


@app.post("/api/{user_id}/tasks", response_model=TaskRead, status_code=201)
def create_task(owner: Owner, body: TaskWrite, database: Database) -> Any:
    return saved(Task(user_id=owner, **body.model_dump()), database)


@app.get("/api/{user_id}/tasks/{task_id}", response_model=TaskRead)
def get_task(owner: Owner, task_id: int, database: Database) -> Any:
    return found(task_id, owner, database)


@app.put("/api/{user_id}/tasks/{task_id}", response_model=TaskRead)
def update_task(owner: Owner, task_id: int, body: TaskWrite, database: Database) -> Any:
    task = found(task_id, owner, database)
    for name, value in body.model_dump().items():
        setattr(task, name, value)
    task.revision, task.updated_at = task.revision + 1, datetime.now(UTC)
    return saved(task, database)


@app.patch("/api/{user_id}/tasks/{task_id}/complete", response_model=TaskRead)
def complete_task(owner: Owner, task_id: int, database: Database) -> Any:
    task = found(task_id, owner, database)
    task.completed = not task.completed
    task.completed_at = datetime.now(UTC) if task.completed else None
    task.revision, task.updated_at = task.revision + 1, datetime.now(UTC)
    return saved(task, database)
