"""Bodies about a user's data as a whole."""

from pydantic import BaseModel, Field


class Erased(BaseModel):
    """What there was."""

    tasks: int = Field(description="How many tasks were removed.", ge=0, examples=[3])
