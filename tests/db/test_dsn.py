"""Database URLs as people paste them: read, or refused by the name of what is not understood."""

import pytest

from backend.app.db.dsn import parsed
from backend.app.problems import StartupError

PASSWORD = "pa55word"


@pytest.mark.parametrize(
    ("url", "password"),
    [
        ("postgresql://u:pa55word@h/db?sslmode=require&channel_binding=require", "pa55word"),
        ("postgresql://u:pa55word#x@h/db", "pa55word#x"),
        ("postgresql://u:pa55word%2F%40%25@h/db", "pa55word/@%"),
        ("postgresql://u:pa55word?x@h/db", "pa55word?x"),
        ("postgresql://u:pa55word@h:5432,i:5433/db?target_session_attrs=read-write", "pa55word"),
    ],
)
def test_what_can_be_read_is_read(url: str, password: str) -> None:
    """As providers show it, and with characters that only look dangerous."""
    assert parsed(url)["password"] == password


@pytest.mark.parametrize(
    ("url", "named", "advice"),
    [
        ("postgresql://u:pa55word@h/db?pgbouncer=true", "`pgbouncer`", "DATABASE_PREPARE=off"),
        ("postgresql://u:pa55word@h/db?sslmode=require&schema=public", "`schema`", "remove it"),
        ("postgresql://u:pa55word@h/db?connection_limit=1", "`connection_limit`", "DATABASE_POOL_SIZE"),
        ("postgresql://u:pa55word@h/db?pool_timeout=1", "`pool_timeout`", "DATABASE_POOL_TIMEOUT"),
        ("postgresql://u:pa55word@h/db?supa=base-pooler.x", "`supa`", "remove it"),
        ("postgresql://u:pa55word@h/db?pa55word%20x=1", "one of its parameters", "remove it"),
        ("postgresql://u:pa55word@h/db?sslmode=no-verify", "sslmode", "verify-full"),
        ("postgresql://u:pa55word/x@h/db", "`/`", "`%2F`"),
        ("postgresql://u:pa55word@x@h/db", "`@`", "`%40`"),
        ("postgresql://u:pa55word%x@h/db", "`%`", "`%25`"),
        ("postgresql://u:pa55word@[h/db", "DATABASE_URL", "Paste it"),
    ],
)
def test_what_is_not_understood_is_named(url: str, named: str, advice: str) -> None:
    """With what to do about it, and never with a value."""
    with pytest.raises(StartupError) as refusal:
        parsed(url)

    assert named in str(refusal.value)
    assert advice in str(refusal.value)
    assert PASSWORD not in str(refusal.value)
