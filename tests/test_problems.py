"""One shape for every error."""

import json

import pytest

from backend.app import problems
from backend.app.problems import Problem

EXAMPLES: list[Problem] = [
    problems.MalformedRequest(), problems.MalformedJSON(), problems.InvalidCursor(), problems.AuthenticationRequired(),
    problems.InvalidToken(), problems.UserMismatch(), problems.RouteNotFound(), problems.TaskNotFound(),
    problems.MethodNotAllowed(["PUT", "GET"]), problems.PreconditionFailed(), problems.BodyTooLarge(1),
    problems.UnsupportedMediaType(["application/json"]), problems.ValidationFailed([]), problems.TaskLimitReached(1),
    problems.HeadersTooLarge(1), problems.InternalError(), problems.Unavailable(), problems.DatabaseUnavailable(),
    problems.DatabaseOverloaded(), problems.RequestTimeout(), problems.SigningKeysUnavailable(),
    problems.CrossSiteRequest(), problems.ClaimedTokenRefused("The token has expired."), problems.ClaimNotAllowed(),
    problems.IdempotencyKeyInUse(), problems.IdempotencyKeyReused(), problems.SyncTokenExpired(),
    problems.IdempotencyLimitReached(1), problems.IdsTaken(["#/tasks/0/id"]), problems.CountDiffers(1),
    problems.ListNotFound(), problems.CompletionNotFound(), problems.ListLimitReached(1),
    problems.TooManyEventStreams(),
    problems.NotAcceptable(["text/csv"]), problems.HTTPError(403, "Not today."), problems.TooManyRequests(1),
    problems.TooManyConcurrentRequests(), problems.MethodNotImplemented(),
    problems.TooManyRequestsOfUser(),
    problems.BatchOperationFailed(3, problems.TaskNotFound()),
]  # fmt: skip


def kinds(base: type[Problem]) -> set[type[Problem]]:
    return {kind for direct in base.__subclasses__() for kind in {direct, *kinds(direct)}}


def test_every_problem_is_here() -> None:
    """A new one is added to this list, and has a name of its own."""
    assert {type(example) for example in EXAMPLES} == kinds(Problem)
    own = [example for example in EXAMPLES if not isinstance(example, problems.BatchOperationFailed)]
    assert len({example.slug for example in own}) == len(own)


@pytest.mark.parametrize("problem", EXAMPLES, ids=lambda problem: type(problem).__name__)
def test_a_problem_has_the_members_of_rfc_9457(problem: Problem) -> None:
    """The five standard members and the request id, in words that end like sentences."""
    body = json.loads(problem.body("r1"))

    assert list(body)[:6] == ["type", "title", "status", "detail", "instance", "request_id"]
    assert body["type"] == f"urn:tasks:problem:{problem.slug}"
    assert body["detail"].endswith(".")
    assert all(name.islower() and value.isascii() and b"\n" not in value for name, value in problem.headers())
