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
        ({"DATABASE_URL": URL, "CORS_ALLOWED_ORIGINS": "https://*.a.example"}, "CORS_ALLOWED_ORIGINS: "),
        ({"DATABASE_URL": URL, "CORS_ALLOWED_ORIGINS": "https://a.example/"}, "CORS_ALLOWED_ORIGINS: "),
        ({"DATABASE_URL": URL, "CORS_ALLOWED_ORIGINS": "a.example"}, "CORS_ALLOWED_ORIGINS: "),
        ({"DATABASE_URL": URL, "CORS_ALLOWED_ORIGINS": "null"}, "CORS_ALLOWED_ORIGINS: "),
        ({"DATABASE_URL": URL, "AUTH_JWKS_URL": "https://a.example/jwks"}, "AUTH_JWKS_URL needs"),
        ({"DATABASE_URL": URL, "AUTH_JWKS_URL": "a.example"}, "AUTH_JWKS_URL: "),
        ({"DATABASE_URL": URL, "REDIS_URL": "S3cret@host"}, "REDIS_URL: "),
        ({"DATABASE_URL": URL, "CHAT_SECRET": "S3cret"}, "CHAT_SECRET: "),
        ({"DATABASE_URL": URL, "CHAT_RATE_LIMIT": "often"}, "CHAT_RATE_LIMIT: "),
        ({"DATABASE_URL": URL, "CHAT_RATE_LIMIT_PER_ADDRESS": "10"}, "CHAT_RATE_LIMIT_PER_ADDRESS: "),
        ({"DATABASE_URL": URL, "CHAT_ATTACHMENTS": "maybe"}, "CHAT_ATTACHMENTS: "),
        ({"DATABASE_URL": URL, "CHAT_FILES_URL": "ftp://x"}, "CHAT_FILES_URL: "),
        ({"DATABASE_URL": URL, "CHAT_PUBLIC_URL": "x"}, "CHAT_PUBLIC_URL: "),
        ({"DATABASE_URL": URL, "CHAT_RESPONDER": "openai"}, "OPENAI_API_KEY is missing"),
        ({"DATABASE_URL": URL, "OPENAI_BASE_URL": "S3cret", "OPENAI_API_KEY": "S3cret"}, "OPENAI_BASE_URL: "),
        (
            {"DATABASE_URL": URL, "OPENAI_BASE_URL": "http://localhost/v1", "OPENAI_API_KEY": "S3cret"},
            "OPENAI_MODEL is missing",
        ),
        ({"DATABASE_URL": URL, "OPENAI_API_KEY": " "}, "OPENAI_API_KEY: "),
        ({"DATABASE_URL": URL, "OPENAI_API_KEY": "S3cret\u00e9"}, "OPENAI_API_KEY: "),
        ({"DATABASE_URL": URL, "OPENAI_API_KEY": "S3cret\nS3cret"}, "OPENAI_API_KEY: "),
        ({"DATABASE_URL": URL, "QDRANT_API_KEY": "S3cret key"}, "QDRANT_API_KEY: "),
        ({"DATABASE_URL": URL, "QDRANT_URL": "http://localhost"}, "QDRANT_URL needs QDRANT_COLLECTION"),
        ({"DATABASE_URL": URL, "QDRANT_URL": "http://localhost:S3cret"}, "QDRANT_URL: "),
        ({"DATABASE_URL": URL, "OPENAI_BASE_URL": "http://localhost:66000"}, "OPENAI_BASE_URL: "),
        ({"DATABASE_URL": URL, "OPENAI_BASE_URL": "http://[::1"}, "OPENAI_BASE_URL: "),
        ({"DATABASE_URL": URL, "OPENAI_API": "smoke signals"}, "OPENAI_API: "),
        ({"DATABASE_URL": URL, "OPENAI_READS": "images,thoughts"}, "OPENAI_READS: "),
        ({"DATABASE_URL": URL, "CHAT_MODEL_INPUT_TOKENS": "0"}, "CHAT_MODEL_INPUT_TOKENS: "),
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


@pytest.mark.parametrize(
    ("written", "read"),
    [("none", ()), ("images", ("images",)), ("pdfs, images", ("pdfs", "images")), ("", None)],
)
def test_what_a_model_reads_is_a_list_or_none(
    monkeypatch: pytest.MonkeyPatch, written: str, read: tuple[str, ...] | None
) -> None:
    assert settings(monkeypatch, DATABASE_URL=URL, OPENAI_READS=written).openai_reads == read


def test_the_end_of_a_line_is_no_part_of_a_key(monkeypatch: pytest.MonkeyPatch) -> None:
    assert settings(monkeypatch, DATABASE_URL=URL, OPENAI_API_KEY="S3cret\n").openai_api_key == "S3cret"


@pytest.mark.parametrize(
    ("environment", "asks_a_model"),
    [
        ({}, False),
        ({"OPENAI_API_KEY": "S3cret"}, True),
        ({"OPENAI_API_KEY": "S3cret", "CHAT_RESPONDER": "offline"}, False),
        ({"OPENAI_API_KEY": "S3cret", "CHAT_RESPONDER": "openai"}, True),
        ({"OPENAI_BASE_URL": "http://localhost:11434/v1", "OPENAI_MODEL": "m"}, False),
        (
            {"OPENAI_BASE_URL": "http://localhost/v1", "OPENAI_MODEL": "m", "CHAT_RESPONDER": "openai"},
            True,
        ),
    ],
)
def test_a_model_is_asked_when_there_is_a_key_or_when_told_so(
    monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], asks_a_model: bool
) -> None:
    read = settings(monkeypatch, DATABASE_URL=URL, **environment)
    assert read.asks_a_model is asks_a_model
    assert "S3cret" not in repr(read)
