"""Every error this API can answer, one class each (RFC 9457); how it looks on the wire is known here alone.

Any layer raises a problem; `middleware/errors.py` answers it.
"""

from backend.app.problems.authentication import (
    CHALLENGE,
    REALM,
    ForeignPage,
    InvalidToken,
    KeysUnavailable,
    NotYours,
    TokenFault,
    Unauthenticated,
)
from backend.app.problems.availability import (
    Busy,
    DatabaseUnavailable,
    InternalError,
    Overloaded,
    TooManyRequests,
    TooManyStreams,
    TooSlow,
    Unavailable,
)
from backend.app.problems.base import MEDIA_TYPE, Problem, RawHeaders
from backend.app.problems.openapi import SCHEMA, documented
from backend.app.problems.requests import (
    BodyTooLarge,
    HeadersTooLarge,
    Invalid,
    KeyInUse,
    KeyReused,
    MalformedJSON,
    MalformedRequest,
    MethodNotAllowed,
    NoSuchRoute,
    NotAcceptable,
    PreconditionFailed,
    UnknownCursor,
    UnsupportedMediaType,
)
from backend.app.problems.startup import StartupError
from backend.app.problems.tasks import OperationFailed, StartAgain, TaskNotFound, TooManyTasks

__all__ = [
    "CHALLENGE",
    "MEDIA_TYPE",
    "REALM",
    "SCHEMA",
    "BodyTooLarge",
    "Busy",
    "DatabaseUnavailable",
    "ForeignPage",
    "HeadersTooLarge",
    "InternalError",
    "Invalid",
    "InvalidToken",
    "KeyInUse",
    "KeyReused",
    "KeysUnavailable",
    "MalformedJSON",
    "MalformedRequest",
    "MethodNotAllowed",
    "NoSuchRoute",
    "NotAcceptable",
    "NotYours",
    "OperationFailed",
    "Overloaded",
    "PreconditionFailed",
    "Problem",
    "RawHeaders",
    "StartAgain",
    "StartupError",
    "TaskNotFound",
    "TokenFault",
    "TooManyRequests",
    "TooManyStreams",
    "TooManyTasks",
    "TooSlow",
    "Unauthenticated",
    "Unavailable",
    "UnknownCursor",
    "UnsupportedMediaType",
    "documented",
]
