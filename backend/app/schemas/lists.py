"""Request and response bodies of the lists that a user makes."""

from enum import StrEnum
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints

from backend.app.domain.limits import ID_MAX, LIST_NAME_MAX_CHARACTERS
from backend.app.schemas.body import Body, Timestamp, absent, text_schema, timestamp, without_nul

ListName = Annotated[
    str,
    StringConstraints(strip_whitespace=True, min_length=1, max_length=LIST_NAME_MAX_CHARACTERS),
    AfterValidator(without_nul),
    text_schema(1, LIST_NAME_MAX_CHARACTERS, r"^[^\u0000]*[^\s\u0000][^\u0000]*$"),
    Field(description="What the list is called. Blanks around it are removed.", examples=["Groceries"]),
]
Archived = Annotated[bool, Field(description="Whether it is put away: for pages to hide, nothing else.")]


class ListStatus(StrEnum):
    ALL = "all"
    ACTIVE = "active"
    ARCHIVED = "archived"
    DELETED = "deleted"


class ListCreate(Body):
    """A new list, which comes after the others."""

    name: ListName
    archived: Archived = False


class ListPatch(Body):
    """A JSON merge patch (RFC 7396): what is absent stays."""

    name: ListName = absent()
    archived: Archived = absent()

    def changes(self) -> dict[str, Any]:
        return self.model_dump(exclude_unset=True)


class ListMove(Body):
    """Where a list is to stand."""

    after: Annotated[int, Field(ge=1, le=ID_MAX, examples=[1])] | None = Field(
        description="The list that it comes right after; null: in front of all.", examples=[None]
    )


class ListQuery(BaseModel):
    """Which lists."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    status: ListStatus = Field(
        default=ListStatus.ALL, description="`active` and `archived` are a part of all; `deleted` is the trash."
    )


class ListRemoval(BaseModel):
    """What becomes of a list's tasks."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    tasks: Literal["delete", "keep"] = Field(
        default="delete", description="`delete`: they go to the trash with the list. `keep`: they go to the inbox."
    )


class NamedList(BaseModel):
    """A list as it is stored."""

    id: int = Field(ge=1, description="Counts from 1 for every user.", examples=[1])
    user_id: str = Field(description="Whose list it is.", examples=["u1"])
    name: str = Field(examples=["Groceries"])
    position: str = Field(
        description="Where it stands among the others: compare as text, character by character.", examples=["a0"]
    )
    archived: bool = Field(examples=[False])
    revision: int = Field(
        description="Grows with every change of the user's lists and tasks; the ETag.", examples=[1767225600001]
    )
    created_at: Timestamp = timestamp()
    updated_at: Timestamp = timestamp()


class ListedList(NamedList):
    """A list among others."""

    deleted_at: Timestamp | None = Field(
        default=None, description="Only in the trash.", examples=["2026-01-01T00:00:00.000000Z"]
    )
