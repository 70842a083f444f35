"""The truth table of tokens, without HTTP: what is let in, and what is not."""

import contextlib
import re
from typing import Any

import psutil
import pytest

from backend.app.auth.signatures import InvalidToken, Signatures
from backend.app.auth.tokens import Parties, TokenVerifier
from tests.support.token_table import (
    ACCEPTED,
    GOOD,
    LEEWAY,
    LIFETIME,
    NOW,
    REFUSED,
    SECRET,
    SIGNATURE,
    SIGNED,
    with_claims,
)


def verifier(now: float = NOW, **options: Any) -> TokenVerifier:
    limits: dict[str, Any] = {
        "max_lifetime": LIFETIME,
        "leeway": LEEWAY,
        "max_length": 8192,
        "cache_size": 100,
    }
    signatures = Signatures([SECRET], published=False)
    return TokenVerifier(signatures, clock=lambda: now, **{**limits, **options})


@pytest.mark.parametrize("text", REFUSED.values(), ids=REFUSED.keys())
def test_a_token_is_refused(text: str) -> None:
    """Every token that is not exactly what Better Auth signs for an API is refused in quotable words."""
    with pytest.raises(InvalidToken) as refusal:
        verifier().principal(text)

    assert re.fullmatch(r"[ !#-\[\]-~]+", refusal.value.description)
    assert not set(re.findall(r"[\w-]{12,}", text)) & set(re.findall(r"[\w-]{12,}", refusal.value.description))


@pytest.mark.parametrize("text", ACCEPTED.values(), ids=ACCEPTED.keys())
def test_a_token_is_accepted(text: str) -> None:
    """What Better Auth signs is let in, as the user in `sub` and nobody else."""
    assert verifier().principal(text).user_id == "u1"


@pytest.mark.parametrize(
    "sub", ["1", "a" * 255, "ünï", "user@example.com", "a b", "0198c1d2-7f3a-7000-8000-000000000000", "..", "%2F", "🦊"]
)
def test_any_plain_user_id_is_accepted(sub: str) -> None:
    """Better Auth's ids may be any text of the application's choice."""
    assert verifier().principal(with_claims(sub=sub)).user_id == sub


@pytest.mark.parametrize(
    ("claims", "accepted"),
    [
        ({"iss": "https://app", "aud": "tasks"}, True),
        ({"iss": "https://app", "aud": ["other", "tasks"]}, True),
        ({"iss": "https://app/", "aud": "tasks"}, False),
        ({"iss": ["https://app"], "aud": "tasks"}, False),
        ({"aud": "tasks"}, False),
        ({"iss": "https://app"}, False),
        ({"iss": "https://app", "aud": "Tasks"}, False),
        ({"iss": "https://app", "aud": []}, False),
        ({"iss": "https://app", "aud": ["other"]}, False),
        ({"iss": "https://app", "aud": 1}, False),
    ],
)
def test_issuer_and_audience_are_checked_when_configured(claims: dict[str, Any], accepted: bool) -> None:
    """A token for another service of the same issuer is refused, and so is one from elsewhere."""
    strict = verifier(shared=Parties("https://app", "tasks"))

    if accepted:
        assert strict.principal(with_claims(**claims)).user_id == "u1"
    else:
        with pytest.raises(InvalidToken):
            strict.principal(with_claims(**claims))


def test_a_remembered_token_still_expires() -> None:
    """The cache remembers signatures only: the clock is asked every time."""
    now = [float(NOW)]
    limits: dict[str, Any] = {"max_lifetime": LIFETIME, "leeway": LEEWAY, "max_length": 8192, "cache_size": 100}
    ageing = TokenVerifier(Signatures([SECRET], published=False), clock=lambda: now[0], **limits)
    ageing.principal(GOOD)

    now[0] += 900 + LEEWAY

    with pytest.raises(InvalidToken, match="expired"):
        ageing.principal(GOOD)


def test_bad_tokens_leave_memory_flat() -> None:
    """Of 100,000 different bad tokens none is remembered."""
    busy, process = verifier(cache_size=200_000), psutil.Process()

    def send(numbers: range) -> None:
        for number in numbers:
            with contextlib.suppress(InvalidToken):
                # Every tenth gets as far as a signature to compare; the others are refused for their shape.
                busy.principal(f"{SIGNED[:-8]}{number:08d}.{SIGNATURE}" if number % 10 == 0 else f"{SIGNED}.{number}")

    send(range(2_000))
    before = process.memory_info().rss
    send(range(2_000, 102_000))

    assert process.memory_info().rss - before < 4_000_000


def test_a_principal_is_a_starlette_user() -> None:
    """Whatever speaks Starlette's interface learns the same user."""
    principal = verifier().principal(GOOD)

    assert (principal.is_authenticated, principal.display_name, principal.identity) == (True, "u1", "u1")
