"""Taking over what another user has."""

from typing import Annotated

from pydantic import BaseModel, Field

from backend.app.schemas.body import Body


class Claim(Body):
    """Whose tasks are taken over."""

    token: Annotated[
        str,
        Field(min_length=1, description="A token of the other user, as good as your own.", examples=["eyJhbGciOi..."]),
    ]


class Claimed(BaseModel):
    """What has moved."""

    tasks: int = Field(ge=0, description="Tasks that are yours now.", examples=[3])
    deleted_tasks: int = Field(ge=0, description="Tasks that are in your trash now.", examples=[0])
