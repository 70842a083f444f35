"""What a write requires of the task that it changes."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Precondition:
    """Which revisions of a task a write may change: If-Match and If-None-Match (RFC 9110, sections 13.1.1, 13.1.2).

    The revision must be in `any_of`, unless that is None, and must not be in `none_of`.
    """

    any_of: tuple[int, ...] | None = None
    none_of: tuple[int, ...] = ()

    def holds(self, revision: int) -> bool:
        return (self.any_of is None or revision in self.any_of) and revision not in self.none_of


# None where the request has no condition.
Expected = Precondition | None
