"""Who is calling, and what a user id may be. Knows no tokens and no requests."""

import math
from dataclasses import dataclass, field

from starlette.authentication import BaseUser

USER_ID_MAX_CHARACTERS = 255
# Where the log finds in the state whose tasks the caller has claimed.
CLAIMED_USER_ID = "claimed_user_id"


@dataclass(frozen=True, slots=True)
class Principal(BaseUser):
    """The caller. `user_id` comes from a verified token and from nowhere else, good until `expires_at`.

    A BaseUser, because Starlette hands it out as `request.user`.
    """

    user_id: str
    expires_at: float = field(default=math.inf, compare=False)
    # Better Auth's anonymous plugin has made this user, who has not signed up yet.
    is_anonymous: bool = field(default=False, compare=False)

    @property
    def is_authenticated(self) -> bool:
        return True

    @property
    def display_name(self) -> str:
        return self.user_id

    @property
    def identity(self) -> str:
        return self.user_id


def is_valid_user_id(text: str) -> bool:
    """Whether a path can have it as one segment, and a log line as it is: no slash, no control character."""
    return (
        1 <= len(text) <= USER_ID_MAX_CHARACTERS
        and text == text.strip()
        and not any(c == "/" or c < " " or "\x7f" <= c <= "\x9f" or "\ud800" <= c <= "\udfff" for c in text)
    )
