"""What a repository finds wrong with what it was given, and where that stands; the web layer makes problems of it."""

from backend.app.problems import Problem

# Members' names and positions in lists, from the outside in.
FieldPath = tuple[str | int, ...]


class InvalidField(Exception):
    """A member that does not go together with what is stored; an empty path means the whole."""

    def __init__(self, path: FieldPath, detail: str) -> None:
        """`detail` is a sentence that a person can act on, and holds nothing of what was sent."""
        super().__init__(detail)
        self.path = path
        self.detail = detail


class OperationFailed(Exception):
    """An operation of a batch was refused, by its number from 0; nothing of the batch was made."""

    def __init__(self, number: int, error: Problem | InvalidField) -> None:
        super().__init__(number)
        self.number = number
        self.error = error
