"""What settings are refused, in which words, and that `.env.example` describes every one."""

import re
from typing import Any

import pytest

from backend.app import config
from backend.app.config import PROJECT_ROOT, DatabaseSettings, Settings
from backend.app.config.delivery import DeliverySettings
from backend.app.config.values import BETTER_AUTH_PUBLIC_SECRET
from backend.app.db import dsn
from backend.app.problems import StartupError
from tests.support.memory import memory_parts

SECRET = "a-secret-of-the-tests-that-is-long-enough"
URL = "postgresql://user:pa55word@host/db"


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only what a test sets is there."""
    for name in Settings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.setitem(Settings.model_config, "env_file", None)
    monkeypatch.setitem(DatabaseSettings.model_config, "env_file", None)


def load(monkeypatch: pytest.MonkeyPatch, **environment: str) -> Settings:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    return config.load(Settings)


URL_ = "https://app.example.com"
HOSTED = {"ENVIRONMENT": "production", "DATABASE_URL": URL}
PRODUCTION = {"ENVIRONMENT": "production", "DATABASE_URL": URL, "BETTER_AUTH_SECRET": SECRET}


@pytest.mark.parametrize(
    ("environment", "sentence"),
    [
        ({}, "BETTER_AUTH_SECRET or BETTER_AUTH_URL is required"),
        ({"BETTER_AUTH_SECRET": ""}, "BETTER_AUTH_SECRET or BETTER_AUTH_URL is required"),
        ({"BETTER_AUTH_SECRET": "x" * 31}, "fewer than 32 characters"),
        ({"BETTER_AUTH_SECRET": BETTER_AUTH_PUBLIC_SECRET}, "the public default"),
        ({"BETTER_AUTH_SECRETS": "new,old"}, "versions with their secrets"),
        ({"BETTER_AUTH_SECRETS": f"{SECRET}"}, "versions with their secrets"),
        ({"BETTER_AUTH_SECRETS": f"x:{SECRET}"}, "versions with their secrets"),
        ({"BETTER_AUTH_SECRETS": f"-1:{SECRET}"}, "versions with their secrets"),
        ({"BETTER_AUTH_SECRETS": f"1:{SECRET},1:{SECRET}x"}, "a version twice"),
        ({"BETTER_AUTH_SECRETS": f"2:{SECRET},1:{'x' * 31}"}, "fewer than 32 characters"),
        ({"BETTER_AUTH_SECRETS": f"2:{SECRET},1:{BETTER_AUTH_PUBLIC_SECRET}"}, "the public default"),
        ({"BETTER_AUTH_URL": "app.example.com"}, "must be an http or https URL"),
        ({"BETTER_AUTH_URL": "https://user:pa55word@app.example.com"}, "must be an http or https URL"),
        ({"BETTER_AUTH_URL": "https://app.example.com:99999"}, "must be an http or https URL"),
        ({"BETTER_AUTH_URL": "https://app.example.com?x=1"}, "must be an http or https URL"),
        ({"BETTER_AUTH_URL": "http://app.example.com", **HOSTED, "ENVIRONMENT": "staging"}, "must use https://"),
        ({"BETTER_AUTH_URL": "http://app.example.com", **HOSTED}, "must use https://"),
        ({"BETTER_AUTH_URL": URL_, "BETTER_AUTH_JWKS_URL": "http://a.example/jwks", **HOSTED}, "must use https://"),
        ({"BETTER_AUTH_JWKS_URL": "https://a.example/jwks"}, "needs JWT_ISSUER and JWT_AUDIENCE"),
        ({"BETTER_AUTH_JWKS_URL": "https://a.example/jwks", "JWT_ISSUER": "x"}, "needs JWT_ISSUER and JWT_AUDIENCE"),
        ({"BETTER_AUTH_URL": URL_, "AUTH_COOKIE": "true"}, "AUTH_COOKIE needs BETTER_AUTH_SECRET"),
        ({"BETTER_AUTH_SECRET": SECRET, "AUTH_COOKIE_PREFIX": "a;b"}, "AUTH_COOKIE_PREFIX"),
        ({"BETTER_AUTH_SECRET": SECRET, "JWT_ISSUER": 'a"b'}, "without quotes"),
        ({"BETTER_AUTH_SECRET": SECRET, "ENVIRONMENT": "staging"}, "DATABASE_URL is required"),
        ({"BETTER_AUTH_SECRET": SECRET, "ENVIRONMENT": "production"}, "DATABASE_URL is required"),
        ({"BETTER_AUTH_SECRET": SECRET, "ENVIRONMENT": "prod"}, "ENVIRONMENT"),
        (
            {"BETTER_AUTH_SECRET": SECRET, "DATABASE_URL": "mysql://user:pa55word@host/db"},
            "must start with postgresql://",
        ),
        ({"BETTER_AUTH_SECRET": SECRET, "DATABASE_DIRECT_URL": URL}, "DATABASE_DIRECT_URL needs DATABASE_URL"),
        ({"BETTER_AUTH_SECRET": SECRET, "DATABASE_CLUSTER": "citus"}, "DATABASE_CLUSTER needs DATABASE_URL"),
        ({"BETTER_AUTH_SECRET": SECRET, "DATABASE_URL": URL, "DATABASE_CLUSTER": "mysql"}, "DATABASE_CLUSTER"),
        (
            {"BETTER_AUTH_SECRET": SECRET, "DATABASE_URL": URL, "DATABASE_DIRECT_URL": "mysql://user:pa55word@host/db"},
            "DATABASE_DIRECT_URL must start with postgresql://",
        ),
        ({"BETTER_AUTH_SECRET": SECRET, "CORS_ORIGINS": "*"}, "must not be `*`"),
        ({"BETTER_AUTH_SECRET": SECRET, "CORS_ORIGINS": "https://a.example, *"}, "must not be `*`"),
        ({"BETTER_AUTH_SECRET": SECRET, "CORS_ORIGINS": "https://a.example/"}, "exact origins"),
        ({"BETTER_AUTH_SECRET": SECRET, "CORS_ORIGINS": "a.example"}, "exact origins"),
        ({"BETTER_AUTH_SECRET": SECRET, "CORS_ORIGINS": "null"}, "exact origins"),
        ({**PRODUCTION, "CORS_ORIGINS": "http://a.example"}, "must use https"),
        ({"BETTER_AUTH_SECRET": SECRET, "DATABASE_POOL_SIZE": "0"}, "DATABASE_POOL_SIZE"),
        ({"BETTER_AUTH_SECRET": SECRET, "REQUEST_TIMEOUT": "soon"}, "REQUEST_TIMEOUT"),
        ({"BETTER_AUTH_SECRET": SECRET, "RATE_LIMIT_PER_USER": "0/minute"}, "such as 1200/minute"),
        ({"BETTER_AUTH_SECRET": SECRET, "RATE_LIMIT_PER_USER": "1/minute;9/day"}, "such as 1200/minute"),
        ({"BETTER_AUTH_SECRET": SECRET, "RATE_LIMIT_PER_ADDRESS": "many"}, "such as 1200/minute"),
        ({"BETTER_AUTH_SECRET": SECRET, "RATE_LIMIT_STORAGE": "http://:pa55word@host"}, "the URL of a Redis"),
        ({"BETTER_AUTH_SECRET": SECRET, "METRICS_PORT": "0"}, "METRICS_PORT"),
        ({"BETTER_AUTH_SECRET": SECRET, "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}, "'http/protobuf'"),
        ({"BETTER_AUTH_SECRET": SECRET, "OTEL_TRACES_EXPORTER": "console"}, "'otlp' or 'none'"),
        ({"BETTER_AUTH_SECRET": SECRET, "OTEL_EXPORTER_OTLP_ENDPOINT": "http://u:pa55word@host"}, "http or https URL"),
    ],
)
def test_unsafe_settings_are_refused(
    monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], sentence: str
) -> None:
    """The refusal says what to do and never quotes a value."""
    with pytest.raises(StartupError) as refusal:
        load(monkeypatch, **environment)

    assert sentence in str(refusal.value)
    assert "pa55word" not in str(refusal.value)
    assert SECRET not in str(refusal.value)
    assert "x" * 31 not in str(refusal.value)


@pytest.mark.parametrize(
    ("pasted", "read"),
    [
        ("postgres://u:p@h/d", "postgresql://u:p@h/d"),
        ("postgresql://u:p@h/d", "postgresql://u:p@h/d"),
        (
            "postgresql://u:p@ep-x-pooler.eu.aws.neon.tech/d?sslmode=require&channel_binding=require",
            "postgresql://u:p@ep-x-pooler.eu.aws.neon.tech/d?sslmode=require&channel_binding=require",
        ),
    ],
)
def test_database_urls_are_taken_as_pasted(monkeypatch: pytest.MonkeyPatch, pasted: str, read: str) -> None:
    """Both schemes are accepted, and nothing of the rest is lost."""
    settings = load(monkeypatch, BETTER_AUTH_SECRET=SECRET, DATABASE_URL=pasted)

    assert settings.database_url is not None
    assert settings.database_url.get_secret_value() == read


NEON = "ep-x-123.eu-central-1.aws.neon.tech/neondb?sslmode=require&channel_binding=require"


@pytest.mark.parametrize(
    ("urls", "direct"),
    [
        ({}, None),
        ({"DATABASE_URL": URL}, URL),
        ({"DATABASE_URL": URL, "DATABASE_DIRECT_URL": f"postgres://u:p@{NEON}"}, f"postgresql://u:p@{NEON}"),
        ({"DATABASE_URL": URL, "DATABASE_DIRECT_URL": ""}, URL),
    ],
)
def test_maintenance_takes_the_direct_way(
    monkeypatch: pytest.MonkeyPatch, urls: dict[str, str], direct: str | None
) -> None:
    """Where there is one; migrations and the purge need nothing else."""
    for name, value in urls.items():
        monkeypatch.setenv(name, value)

    settings = config.load(DatabaseSettings)

    assert settings.maintenance_url == direct
    assert "pa55word" not in repr(settings)


@pytest.mark.parametrize(
    ("place", "pooled"),
    [
        ("u:p@ep-x-pooler.eu.aws.neon.tech/d?sslmode=require&channel_binding=require", True),
        (f"u:p@{NEON}", False),
        ("postgres.ref:p@aws-0-eu-central-1.pooler.supabase.com:6543/postgres", True),
        ("u:p@localhost:6432/d", True),
        ("u:p@h:6432,i:6432/d", True),
        ("u:p?x@localhost:6432/d", True),
        ("postgres:p@db.ref.supabase.co:6543/postgres", True),
        ("postgres:p@db.ref.supabase.co:5432/postgres", False),
        ("u:p@x.db.ondigitalocean.com:25061/pool?sslmode=require", True),
        ("u:p@pooled.db.prisma.io:5432/postgres", True),
        ("u:p@pgbouncer/d", True),
        ("u@/d?host=/run/pgbouncer", True),
        ("u@/d?host=/run/postgresql&port=6432", True),
        ("u@/d?host=/run/postgresql", False),
        ("u:p@localhost:5432/d", False),
        ("u:p@localhost/d", False),
        ("u:p@[::1]:6432/d", True),
        ("pooler:bouncer@localhost:5432/pooler?application_name=pooler", False),
        ("u:p:6432@localhost/d", False),
    ],
)
def test_a_pooler_is_known_by_its_url(place: str, pooled: bool) -> None:
    """By where the URL leads, whoever goes there."""
    assert dsn.leads_through_pooler(f"postgresql://{place}") is pooled


def test_a_redis_is_named_by_its_url(monkeypatch: pytest.MonkeyPatch) -> None:
    """As its provider shows it, and kept out of what is printed."""
    settings = load(monkeypatch, BETTER_AUTH_SECRET=SECRET, RATE_LIMIT_STORAGE="rediss://:pa55word@host:6380/1")

    assert settings.rate_limit_storage is not None
    assert settings.rate_limit_storage.get_secret_value() == "rediss://:pa55word@host:6380/1"
    assert "pa55word" not in repr(settings)


@pytest.mark.parametrize("written", ["info", "INFO", "Info"])
def test_the_log_level_is_in_any_case(monkeypatch: pytest.MonkeyPatch, written: str) -> None:
    """Python's own levels are in capitals."""
    assert load(monkeypatch, BETTER_AUTH_SECRET=SECRET, LOG_LEVEL=written).log_level == "info"


def test_lists_are_separated_by_commas(monkeypatch: pytest.MonkeyPatch) -> None:
    """Blanks around origins do not count, and neither does a comma at the end."""
    settings = load(
        monkeypatch, **PRODUCTION, CORS_ORIGINS=" https://a.example ,https://b.example:8443, http://localhost:3000,"
    )

    assert settings.cors_origins == ("https://a.example", "https://b.example:8443", "http://localhost:3000")


@pytest.mark.parametrize(
    ("environment", "secrets"),
    [
        ({"BETTER_AUTH_SECRET": SECRET}, (SECRET,)),
        ({"BETTER_AUTH_SECRETS": f"2:{SECRET}2, 1:{SECRET}1"}, (f"{SECRET}2", f"{SECRET}1")),
        ({"BETTER_AUTH_SECRETS": f"0:{SECRET}:with:colons"}, (f"{SECRET}:with:colons",)),
        ({"BETTER_AUTH_SECRETS": f"1:{SECRET}1", "BETTER_AUTH_SECRET": SECRET}, (f"{SECRET}1",)),
        ({"BETTER_AUTH_URL": URL_}, ()),
    ],
)
def test_the_list_of_secrets_wins(
    monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], secrets: tuple[str, ...]
) -> None:
    """As in Better Auth: BETTER_AUTH_SECRETS, where it is set, is all there is."""
    settings = load(monkeypatch, **environment)

    assert settings.secrets == secrets
    assert SECRET not in repr(settings)


@pytest.mark.parametrize(
    ("environment", "jwks_url", "origin"),
    [
        ({"BETTER_AUTH_URL": URL_}, f"{URL_}/api/auth/jwks", URL_),
        ({"BETTER_AUTH_URL": f"{URL_}/"}, f"{URL_}/api/auth/jwks", URL_),
        ({"BETTER_AUTH_URL": f"{URL_}/auth/"}, f"{URL_}/auth/jwks", URL_),
        (
            {"BETTER_AUTH_URL": "https://App.Example.com:8443"},
            "https://App.Example.com:8443/api/auth/jwks",
            f"{URL_}:8443",
        ),
        ({"BETTER_AUTH_URL": f"{URL_}:443"}, f"{URL_}:443/api/auth/jwks", URL_),
        ({"BETTER_AUTH_URL": URL_, "BETTER_AUTH_JWKS_URL": "https://k.example/x"}, "https://k.example/x", URL_),
        (
            {"BETTER_AUTH_JWKS_URL": "https://k.example/x", "JWT_ISSUER": "i", "JWT_AUDIENCE": "a"},
            "https://k.example/x",
            None,
        ),
        ({"BETTER_AUTH_URL": "http://localhost:3000"}, "http://localhost:3000/api/auth/jwks", "http://localhost:3000"),
        ({"BETTER_AUTH_SECRET": SECRET}, None, None),
    ],
)
def test_the_url_of_better_auth_is_enough(
    monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], jwks_url: str | None, origin: str | None
) -> None:
    """Where its keys are, and what it calls itself, follow from it; a path in it is that of its API."""
    settings = load(monkeypatch, **environment)

    assert (settings.jwks_url, settings.better_auth_origin) == (jwks_url, origin)


def test_development_needs_the_secret_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """With a secret and nothing else the defaults hold, and none of them shows it."""
    settings = load(monkeypatch, BETTER_AUTH_SECRET=SECRET)

    assert (settings.environment, settings.database_url) == ("development", None)
    assert settings.cors_origins == ("http://localhost:3000",)
    assert SECRET not in repr(settings)


def test_a_migration_needs_no_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    """Alembic asks for the database only."""
    monkeypatch.setenv("DATABASE_URL", URL)

    assert config.load(DatabaseSettings).database_url is not None


def test_the_example_describes_every_setting_with_its_default() -> None:
    """`.env.example` and the code hold the same names and the same defaults."""
    lines = (PROJECT_ROOT / ".env.example").read_text().splitlines()
    found = {name: value for line in lines for name, value in re.findall(r"^(?:# )?([A-Z_]+)=(.*)", line)}

    fields = {**Settings.model_fields, **DeliverySettings.model_fields}
    assert set(found) == {name.upper() for name in fields}
    for name, text in found.items():
        default: Any = fields[name.lower()].get_default()
        shown = ",".join(default) if isinstance(default, tuple) else default
        if text:
            assert str(shown).removesuffix(".0").lower() == text.lower()


@pytest.mark.parametrize("name", ["tasks_api", "pg_rows", "r" * 58, "ä" * 29, "rows\n"])
def test_a_role_that_is_not_the_databases_own_is_refused(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """The shared one of older releases, PostgreSQL's own, and names that PostgreSQL would cut off."""
    with pytest.raises(StartupError, match="DATABASE_ROLE must be a role of this database's own"):
        load(monkeypatch, BETTER_AUTH_SECRET=SECRET, DATABASE_ROLE=name)


@pytest.mark.parametrize("name", ["tasks_rows", "r" * 57, 'Rows of "us", 100%'])
def test_a_role_may_have_any_other_name(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """It is quoted wherever it is sent."""
    assert load(monkeypatch, BETTER_AUTH_SECRET=SECRET, DATABASE_ROLE=name).database_role == name


@pytest.mark.parametrize(
    ("pool_size", "per_user", "expected"),
    [(10, None, 3), (30, None, 10), (4, None, 2), (1, None, 1), (10, 5, 5), (3, 9, 3)],
)
def test_a_users_connections_are_a_third_of_the_pool(pool_size: int, per_user: int | None, expected: int) -> None:
    """At least 2, at most all, and as set where it is set."""
    settings = Settings(
        _env_file=None,
        better_auth_secret=SECRET,
        database_pool_size=pool_size,
        database_connections_per_user=per_user,
    )

    assert settings.connections_per_user == expected


def test_several_users_fit_beside_each_other() -> None:
    """The arithmetic of the limits: so many users together have to ask without end to take all that there is."""
    settings = Settings(_env_file=None, better_auth_secret=SECRET)

    assert settings.database_pool_size // settings.connections_per_user >= 3
    assert settings.max_requests // settings.max_requests_per_user >= 10
    assert settings.jwks_max_waiting * 10 <= settings.max_requests


def test_the_memory_that_clients_can_take_is_as_documented() -> None:
    """The sum of docs/configuration.md, from the settings' defaults."""
    settings = Settings(_env_file=None, better_auth_secret=SECRET)
    parts = memory_parts(settings)

    page = (PROJECT_ROOT / "docs/configuration.md").read_text()
    rows = dict(re.findall(r"^\| ([^|]+) \| [^|]+ \| ([0-9.]+) MiB \|$", page, re.MULTILINE))
    assert {name: float(shown) for name, shown in rows.items()} == {
        name: pytest.approx(size / 2**20, abs=0.06) for name, size in parts.items()
    }
    assert f"at most {sum(parts.values()) / 2**20:.0f} MiB beside" in page
