"""Settings: read from the environment, and named when they are wrong."""

from typing import Any

import pytest
from pydantic import ValidationError

from app.settings import Settings, explain

URL = "postgresql://u:S3cret@host/db"


def settings(monkeypatch: pytest.MonkeyPatch, **environment: str) -> Settings:
    for name in Settings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    without_file: Any = {"_env_file": None}
    return Settings(**without_file)


def test_only_the_database_has_to_be_named(monkeypatch: pytest.MonkeyPatch) -> None:
    read = settings(monkeypatch, DATABASE_URL=URL)
    assert (read.chat_pool_min_size, read.chat_pool_max_size) == (2, 10)
    assert (read.chat_anonymous, read.chat_responder, read.chat_max_message_bytes) == (
        "memory",
        "auto",
        32768,
    )
    assert read.chat_database_retry_seconds == 10
    assert "S3cret" not in repr(read)


@pytest.mark.parametrize(
    ("environment", "named"),
    [
        ({}, "DATABASE_URL: Field required"),
        ({"DATABASE_URL": "mysql://u:S3cret@h/d"}, "DATABASE_URL: The database URL starts with 'mysql'"),
        ({"DATABASE_URL": URL, "CHAT_ANONYMOUS": "maybe"}, "CHAT_ANONYMOUS: "),
        ({"DATABASE_URL": URL, "CHAT_RESPONDER": "parrot"}, "CHAT_RESPONDER: "),
        ({"DATABASE_URL": URL, "CHAT_POOL_MAX_SIZE": "0"}, "CHAT_POOL_MAX_SIZE: "),
        ({"DATABASE_URL": URL, "CHAT_MAX_MESSAGE_BYTES": "many"}, "CHAT_MAX_MESSAGE_BYTES: "),
        ({"DATABASE_URL": URL, "CORS_ALLOWED_ORIGINS": "*"}, "CORS_ALLOWED_ORIGINS: "),
        ({"DATABASE_URL": URL, "CHAT_POOL_MIN_SIZE": "11"}, "CHAT_POOL_MIN_SIZE is larger"),
    ],
)
def test_a_wrong_setting_names_itself(
    monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], named: str
) -> None:
    with pytest.raises(ValidationError) as problem:
        settings(monkeypatch, **environment)
    explained = explain(problem.value)
    assert explained.startswith(named)
    assert "S3cret" not in explained + str(problem.value)


def test_origins_are_separated_by_commas(monkeypatch: pytest.MonkeyPatch) -> None:
    read = settings(
        monkeypatch, DATABASE_URL=URL, CORS_ALLOWED_ORIGINS="https://a.example, https://b.example,"
    )
    assert read.cors_allowed_origins == ["https://a.example", "https://b.example"]
