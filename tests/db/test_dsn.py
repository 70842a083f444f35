"""Database URLs as people paste them: read, or refused by the name of what is not understood."""

import pytest
from pydantic import SecretStr

from backend.app.config.pasted_url import postgres_url
from backend.app.db.dsn import checked, parsed
from backend.app.problems import StartupError

PASSWORD = "pa55word"

READ = [
    ("postgresql://u:pa55word@h/db?sslmode=require&channel_binding=require", {"channel_binding": "require"}),
    ("postgresql://u:pa55word#x@h/db", {"password": "pa55word#x"}),
    ("postgresql://u:pa55word%2F%40%25@h/db", {"password": "pa55word/@%"}),
    ("postgresql://u:pa55word?x@h/db", {"password": "pa55word?x"}),
    ("postgresql://u:pa55word?x=1@h/db?sslmode=require", {"password": "pa55word?x=1", "sslmode": "require"}),
    ("postgresql://u:pa:55&+;=word@h/db", {"password": "pa:55&+;=word"}),
    ("postgresql://u:$pa55word@h/db", {"password": "$pa55word"}),
    ("postgresql://u:%5Bpa55word%5D@h/db", {"password": "[pa55word]"}),
    ("postgresql://u:pa55[word]@h/db", {"password": "pa55[word]"}),
    ("postgresql://u:endpoint=ep-x;pa55word@h/db", {"password": "endpoint=ep-x;pa55word"}),
    ("postgresql://u:p@h:5432,i:5433/db?target_session_attrs=read-write", {"host": "h,i", "port": "5432,5433"}),
    ("postgresql://u:p@h:5432,i/db", {"host": "h,i", "port": "5432,"}),
    ("postgresql://u:p@[::1]:5432/db", {"host": "::1", "port": "5432"}),
    ("postgresql://u:p@h:/db", {"host": "h"}),
    ("postgresql://u:p@h", {"host": "h"}),
    ("postgresql://h?sslmode=require", {"sslmode": "require"}),
    ("postgresql:///db?host=/cloudsql/p:r:i&user=u@x", {"host": "/cloudsql/p:r:i", "user": "u@x"}),
    ("postgresql://u:p@%2Fvar%2Frun/db", {"host": "/var/run"}),
    ("postgresql://u:p@h/db?ssl=true&", {"sslmode": "require"}),
    ("postgresql://u:p@h/db?options=endpoint%3Dep-x", {"options": "endpoint=ep-x"}),
    ("postgresql://u:p@h/db?sslmode=verify-full&sslrootcert=system", {"sslrootcert": "system"}),
    ("postgresql://u:p@h/db?connect_timeout=10&application_name=my app", {"application_name": "my app"}),
    ("postgresql://u:p@h/db?application_name=a@b", {"application_name": "a@b"}),
]


@pytest.mark.parametrize(("url", "found"), READ)
def test_what_can_be_read_is_read(url: str, found: dict[str, str]) -> None:
    """As providers show it, and with characters that only look dangerous."""
    assert parsed(url).items() >= found.items()
    assert checked(url, "DATABASE_URL") == url


PREPARE, POOL, STATEMENT = "DATABASE_PREPARE=off", "DATABASE_POOL_SIZE", "DATABASE_STATEMENT_TIMEOUT"
# The part behind postgresql://, what the sentence names, and what it says to do.
REFUSED = [
    ("u:pa55word@h/db?pgbouncer=true", "`pgbouncer`", PREPARE),
    ("u:pa55word@h/db?PgBouncer=true", "`PgBouncer`", PREPARE),
    ("u:pa55word@h/db?prepared_statement_cache_size=0", "`prepared_statement_cache_size`", PREPARE),
    ("u:pa55word@h/db?prepareThreshold=0", "`prepareThreshold`", PREPARE),
    ("u:pa55word@h/db?sslmode=require&schema=public", "`schema`", "remove it"),
    ("u:pa55word@h/db?currentSchema=x", "`currentSchema`", "search_path%3D"),
    ("u:pa55word@h/db?connection_limit=1", "`connection_limit`", POOL),
    ("u:pa55word@h/db?max_overflow=1", "`max_overflow`", POOL),
    ("u:pa55word@h/db?pool_timeout=1", "`pool_timeout`", "DATABASE_POOL_TIMEOUT"),
    ("u:pa55word@h/db?command_timeout=1", "`command_timeout`", STATEMENT),
    ("u:pa55word@h/db?supa=base-pooler.x", "`supa`", "remove it"),
    ("u:pa55word@h/db?uselibpqcompat=true&sslmode=require", "`uselibpqcompat`", "remove it"),
    ("u:pa55word@h/db?pa55word%20x=1", "one of its parameters", "remove it"),
    ("u:pa55word@h/db?sslmode=no-verify", "sslmode", "verify-full"),
    ("u:pa55word@h/db?sslmode=REQUIRE", "sslmode", "require"),
    ("u:pa55word@h/db?ssl=require", "ssl ", "sslmode=require"),
    ("u:pa55word@h/db?channel_binding=yes", "channel_binding", "prefer"),
    ("u:pa55word@h/db?target_session_attrs=rw", "target_session_attrs", "read-write"),
    ("u:pa55word@h/db?connect_timeout=ten", "connect_timeout", "number"),
    ("u:pa55word@h/db?sslmode=require&sslrootcert=system", "sslrootcert=system", "sslmode=verify-full"),
    ("u:pa55word@h/db?options=endpoint=ep-x", "`options`", "`%3D`"),
    ("u:pa55word@h/db?sslmode=require?pgbouncer=true", "`?`", "`&`"),
    ("u:pa55word@h/db?sslmode=require;connect_timeout=1", "`;`", "`&`"),
    ("u:pa55word@h/db?sslmode=require\\", "`\\`", "Remove"),
    ("u:pa55word@h/db?sslmode=require#x", "`#`", "Remove"),
    ("u:pa55word@h/db?sslmode=require&amp;channel_binding=require", "`&amp;`", "`&`"),
    ("u:pa55word@h/db?&sslmode=require", "`&` too many", "Remove"),
    ("u:pa55word/x@h/db", "`/`", "`%2F`"),
    ("u:pa55word/x?y@h/db", "`/`", "`%2F`"),
    ("u:pa55word/x?y=1@h/db", "`/`", "`%2F`"),
    ("u:pa55word@/x@h/db", "`/`", "`%2F`"),
    ("u:pa55word@x@h/db", "`@`", "`%40`"),
    ("u:pa55word%x@h/db", "`%`", "`%25`"),
    ("u:[YOUR-PASSWORD]@h/db", "the password is a placeholder", "itself"),
    ("u:[pa55word]@h/db", "the password is a placeholder", "`%5B`"),
    ("u:your_password@h/db", "the password is a placeholder", "itself"),
    ("u:********@h/db", "the password is a placeholder", "itself"),
    ("u:${PASSWORD}@h/db", "the password is a placeholder", "itself"),
    ("$PGUSER:pa55word@h/db", "the user is a placeholder", "itself"),
    ("u:pa55word@$PGHOST:5432/db", "the host is a placeholder", "host's name"),
    ("u:pa55word@h /db", "a blank", "Remove"),
    ("u:pa55word@::1/db", "more than one `:`", "[::1]"),
    ("u:pa55word@h:port/db", "port", "65535"),
    ("u:pa55word@h:65536/db", "port", "65535"),
    ("u:pa55word@h/db/extra", "`/`", "database's name"),
    ("u:pa55word@https://h/db", "`/`", "database's name"),
    ("u:pa55word@h/db#x", "`#`", "database's name"),
    ("u:pa55word@h/db;", "`;`", "`%3B`"),
    ("u:pa55word@h/db'", "`'`", "database's name"),
    ("u:pa55word@[h/db", "DATABASE_URL", "Paste it"),
]


@pytest.mark.parametrize(("url", "named", "advice"), REFUSED)
def test_what_is_not_understood_is_named(url: str, named: str, advice: str) -> None:
    """With what to do about it, and never with a value."""
    with pytest.raises(StartupError) as refusal:
        parsed(f"postgresql://{url}")

    assert str(refusal.value).startswith("DATABASE_URL")
    assert named in str(refusal.value)
    assert advice in str(refusal.value)
    assert PASSWORD not in str(refusal.value)


def test_the_setting_is_named() -> None:
    """A migration may have another URL than the program."""
    with pytest.raises(StartupError, match=r"^DATABASE_DIRECT_URL: the parameter `pgbouncer`"):
        checked("postgresql://u:pa55word@h/db?pgbouncer=true", "DATABASE_DIRECT_URL")


PLAIN = "postgresql://u:pa55word@h/db"


@pytest.mark.parametrize(
    "pasted",
    [
        PLAIN,
        f" {PLAIN} ",
        f"{PLAIN}\n",
        f'"{PLAIN}"',
        f"'{PLAIN}'",
        f"`{PLAIN}`",
        f' " {PLAIN} " ',
        "postgres://u:pa55word@h/db",
        "PostgreSQL://u:pa55word@h/db",
    ],
)
def test_what_is_around_a_url_does_not_count(pasted: str) -> None:
    """Quotes that a shell would take off, and the line's end that `echo` adds to a secret."""
    assert postgres_url(SecretStr(pasted)).get_secret_value() == PLAIN


@pytest.mark.parametrize(
    ("pasted", "named"),
    [
        ("postgresql+asyncpg://u:pa55word@h/db", "`+asyncpg` is a driver"),
        ("postgresql+psycopg2://u:pa55word@h/db", "`+psycopg2` is a driver"),
        ("postgres+pa55word@://h/db", "behind the `+` is a driver"),
        ("jdbc:postgresql://h/db?user=u&password=pa55word", "for Java"),
        ("prisma+postgres://accelerate.prisma-data.net/?api_key=pa55word", "Prisma Accelerate"),
        ("prisma://accelerate.prisma-data.net/?api_key=pa55word", "Prisma Accelerate"),
        (f"psql '{PLAIN}'", "`psql`"),
        (f"DATABASE_URL={PLAIN}", "a variable's name"),
        (f'export DATABASE_URL="{PLAIN}"', "a variable's name"),
        ("host=h dbname=db password=pa55word", "keywords"),
        ("${{Postgres.DATABASE_URL}}", "reference"),
        (f"<{PLAIN}>", "bracket"),
        (f"\u201c{PLAIN}\u201d", "typographic quote"),
        ("mysql://u:pa55word@h/db", "only PostgreSQL"),
        ("sqlite:///pa55word.db", "only PostgreSQL"),
        ("file:./pa55word.db", "only PostgreSQL"),
        ("https://pa55word.supabase.co", "web page"),
        ("u:pa55word@h/db", "Paste the URL"),
        ("postgresql:/u:pa55word@h/db", "Paste the URL"),
        ("", "Paste the URL"),
    ],
)
def test_what_is_no_url_of_postgresql_is_named(pasted: str, named: str) -> None:
    """And never quoted."""
    with pytest.raises(ValueError, match="must start with postgresql://") as refusal:
        postgres_url(SecretStr(pasted))

    assert named in str(refusal.value)
    assert PASSWORD not in str(refusal.value)
