"""Where reminders go, and what is refused there."""

from typing import Any

import pytest

from backend.app import config
from backend.app.config import DatabaseSettings
from backend.app.config.delivery import DeliverySettings
from backend.app.problems import StartupError

URL = "https://app.example.com/api/reminders"
SECRET = "whsec_dGhpcnR5LXR3byBieXRlcyBhcmUgZW5vdWdoIGZvciBtZQ=="
PRODUCTION = {"ENVIRONMENT": "production", "DATABASE_URL": "postgresql://user@host/db"}


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only what a test sets is there."""
    for name in DeliverySettings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)
    for kind in (DatabaseSettings, DeliverySettings):
        monkeypatch.setitem(kind.model_config, "env_file", None)


def load(monkeypatch: pytest.MonkeyPatch, **environment: Any) -> DeliverySettings:
    for name, value in {"REMINDER_URL": URL, "REMINDER_SECRET": SECRET, **environment}.items():
        monkeypatch.setenv(name, value)
    return config.load(DeliverySettings)


def test_the_secret_is_the_bytes_behind_its_prefix(monkeypatch: pytest.MonkeyPatch) -> None:
    """As Standard Webhooks' libraries read it."""
    assert load(monkeypatch).secret_key == b"thirty-two bytes are enough for me"


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"REMINDER_URL": ""}, "REMINDER_URL and REMINDER_SECRET are required"),
        ({"REMINDER_SECRET": ""}, "REMINDER_URL and REMINDER_SECRET are required"),
        ({"REMINDER_SECRET": SECRET.removeprefix("whsec_")}, "REMINDER_SECRET must be whsec_"),
        ({"REMINDER_SECRET": "whsec_dG9vIHNob3J0"}, "REMINDER_SECRET must be whsec_"),
        ({"REMINDER_SECRET": "whsec_" + "QUJD" * 30}, "REMINDER_SECRET must be whsec_"),
        ({"REMINDER_SECRET": "whsec_no base64 at all, but long enough"}, "REMINDER_SECRET must be whsec_"),
        ({"REMINDER_URL": "ftp://app.example.com"}, "REMINDER_URL must be an http or https URL"),
        ({"REMINDER_URL": "https://user:pass@app.example.com"}, "REMINDER_URL must be an http or https URL"),
        ({**PRODUCTION, "REMINDER_URL": "http://app.example.com/x"}, "REMINDER_URL must use https"),
        ({**PRODUCTION, "REMINDER_URL": "http://localhost.example.com/x"}, "REMINDER_URL must use https"),
        ({"REMINDER_RETRY_DELAY": "10"}, "REMINDER_RETRY_DELAY must be longer than REMINDER_TIMEOUT"),
    ],
)
def test_what_would_send_reminders_astray_is_refused(
    monkeypatch: pytest.MonkeyPatch, changes: dict[str, str], sentence: str
) -> None:
    """In a sentence that holds no value."""
    with pytest.raises(StartupError, match=sentence) as refused:
        load(monkeypatch, **changes)
    assert all(not value or len(value) < 12 or value not in str(refused.value) for value in changes.values())


@pytest.mark.parametrize("url", [URL, "http://localhost:3000/x", "http://127.0.0.1/x", "http://[::1]:3000/x"])
def test_this_machine_may_be_told_in_clear(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    """As a frontend beside the program is."""
    assert load(monkeypatch, **PRODUCTION, REMINDER_URL=url).reminder_url == url
