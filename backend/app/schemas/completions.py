"""What a user has completed: what may be asked for, and what is answered."""

import hashlib
from functools import cached_property
from typing import Annotated

from pydantic import BaseModel, BeforeValidator, Field

from backend.app.domain.limits import ID_MAX
from backend.app.schemas.body import Timestamp, timestamp
from backend.app.schemas.queries import DayOrMoment, PageQuery, decimal


class CompletionQuery(PageQuery):
    """Which completions, and which page of them."""

    after: DayOrMoment | None = Field(
        default=None, description="Completed at or after this moment, or on or after this day (UTC)."
    )
    before: DayOrMoment | None = Field(
        default=None, description="Completed before this moment, or before this day (UTC)."
    )
    task_id: Annotated[int, Field(ge=1, le=ID_MAX), BeforeValidator(decimal)] | None = Field(
        default=None, description="Completions of this task."
    )

    @cached_property
    def fingerprint(self) -> str:
        """The same for all pages of one list, and for no other list."""
        filters = self.model_dump_json(exclude={"limit", "cursor"}).encode()
        return hashlib.sha256(b"completions" + filters).hexdigest()[:12]


class RecordedCompletion(BaseModel):
    """That a task was completed, and what it was then."""

    id: str = Field(
        description="The task's id and the moment in microseconds since 1970.", examples=["1-1767225600000000"]
    )
    task_id: int = Field(ge=1, examples=[1])
    title: str = Field(examples=["Buy milk"])
    completed_at: Timestamp = timestamp()
    due_date: str | None = Field(description="As it was before it was completed.", examples=["2026-12-24"])
    start_date: str | None = Field(description="As it was before.", examples=[None])
    recurrence: str | None = Field(
        description="What was left of the rule before; null where it does not repeat.", examples=["FREQ=WEEKLY"]
    )
    reminders: list[str] = Field(description="As they were before.", examples=[["-PT30M"]])
    moved_on: bool = Field(
        description="Whether the task repeats and stayed open for the next time. Otherwise this is the task as it is "
        "now, which was open before.",
        examples=[True],
    )
