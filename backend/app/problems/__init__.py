"""Every error this API can answer, one class each (RFC 9457); how it looks on the wire is known here alone.

Any layer raises a problem; `middleware/errors.py` answers it.
"""

from backend.app.problems.authentication import (
    CHALLENGE,
    REALM,
    AuthenticationRequired,
    CrossSiteRequest,
    InvalidToken,
    SigningKeysUnavailable,
    TokenFault,
    UserMismatch,
)
from backend.app.problems.availability import (
    DatabaseOverloaded,
    DatabaseUnavailable,
    IdempotencyLimitReached,
    InternalError,
    RequestTimeout,
    TooManyConcurrentRequests,
    TooManyEventStreams,
    TooManyRequests,
    TooManyRequestsOfUser,
    Unavailable,
)
from backend.app.problems.base import MEDIA_TYPE, Problem, RawHeaders
from backend.app.problems.openapi import SCHEMA, documented
from backend.app.problems.requests import (
    BodyTooLarge,
    HeadersTooLarge,
    IdempotencyKeyInUse,
    IdempotencyKeyReused,
    InvalidCursor,
    MalformedJSON,
    MalformedRequest,
    MethodNotAllowed,
    NotAcceptable,
    PreconditionFailed,
    RouteNotFound,
    UnsupportedMediaType,
    ValidationFailed,
)
from backend.app.problems.startup import StartupError
from backend.app.problems.tasks import BatchOperationFailed, SyncTokenExpired, TaskLimitReached, TaskNotFound

__all__ = [
    "CHALLENGE",
    "MEDIA_TYPE",
    "REALM",
    "SCHEMA",
    "AuthenticationRequired",
    "BatchOperationFailed",
    "BodyTooLarge",
    "CrossSiteRequest",
    "DatabaseOverloaded",
    "DatabaseUnavailable",
    "HeadersTooLarge",
    "IdempotencyKeyInUse",
    "IdempotencyKeyReused",
    "IdempotencyLimitReached",
    "InternalError",
    "InvalidCursor",
    "InvalidToken",
    "MalformedJSON",
    "MalformedRequest",
    "MethodNotAllowed",
    "NotAcceptable",
    "PreconditionFailed",
    "Problem",
    "RawHeaders",
    "RequestTimeout",
    "RouteNotFound",
    "SigningKeysUnavailable",
    "StartupError",
    "SyncTokenExpired",
    "TaskLimitReached",
    "TaskNotFound",
    "TokenFault",
    "TooManyConcurrentRequests",
    "TooManyEventStreams",
    "TooManyRequests",
    "TooManyRequestsOfUser",
    "Unavailable",
    "UnsupportedMediaType",
    "UserMismatch",
    "ValidationFailed",
    "documented",
]
