"""Every setting of the server, read once, from the environment or `.env`."""

import re
from pathlib import Path
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from limits import parse_many
from pydantic import (
    Field,
    NonNegativeFloat,
    PositiveFloat,
    PositiveInt,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic_core import InitErrorDetails, PydanticCustomError
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict
from redis.asyncio.connection import parse_url as parse_redis_url

from app.database.fair_pool import DEFAULT_IDLE_SECONDS
from app.database.prepared import PreparedStatements
from app.database.urls import DatabaseUrl, parse_database_url
from app.errors import InvalidUrl
from app.files.urls import parse_files_url

# As browsers write it: no path, no slash at the end, nothing in capitals.
_ORIGIN = re.compile(r"https?://[a-z0-9.\-]+(:[0-9]{1,5})?|https?://\[[0-9a-f:]+\](:[0-9]{1,5})?")
_ADDRESS = re.compile(r"https?://[^/?#\s]+")
# What a header can carry.
_KEY = re.compile(r"[!-~]+")
_READING = SettingsConfigDict(
    env_file=".env",
    extra="ignore",
    frozen=True,
    env_ignore_empty=True,
    hide_input_in_errors=True,
    # They are what docs/settings.md says of each setting (make settings).
    use_attribute_docstrings=True,
)


class MigrationSettings(BaseSettings):
    """What migrations need to know."""

    model_config = _READING

    database_url: str | None = Field(default=None, repr=False)
    database_url_unpooled: str | None = Field(default=None, repr=False)

    def direct_url(self) -> DatabaseUrl:
        """Return the direct host's URL: a transaction pooler keeps neither locks nor time limits.

        Raises InvalidUrl, which says what to set.
        """
        given = self.database_url_unpooled or self.database_url
        if given is None:
            raise InvalidUrl("Set DATABASE_URL (or DATABASE_URL_UNPOOLED) to the database to migrate.")
        parsed = parse_database_url(given)
        if parsed.pooled:
            raise InvalidUrl(
                "Migrations need a direct connection, and this host is a pooler. Set DATABASE_URL_UNPOOLED to"
                " the direct host (on Neon: the same URL without -pooler in the host name)."
            )
        return parsed


class IndexSettings(BaseSettings):
    """Where the offline index is, for whoever needs nothing else."""

    model_config = _READING

    chat_index: Path = Path(".data/index")
    """Folder of the index that `chatkit-neon index` makes; without `QDRANT_URL` it is answered from."""


class Settings(IndexSettings):
    """The server's settings. A wrong or missing value stops the start and names itself.

    Names are those of the fields in capitals: DATABASE_URL, CHAT_ANONYMOUS, …
    """

    database_url: str = Field(repr=False)
    """Where conversations live: the URL that Neon's console copies, or another PostgreSQL URL."""
    database_url_unpooled: str | None = Field(default=None, repr=False)
    """The direct host, for migrations and live sync; without one, migrations use `DATABASE_URL`, and the
    database is asked every second what changed."""
    chat_pool_min_size: Annotated[int, Field(ge=0)] = 2
    """Connections opened at start."""
    chat_pool_max_size: PositiveInt = 10
    """Connections never exceeded, per process; keep processes times this below the database's limit."""
    chat_pool_idle_seconds: PositiveFloat = DEFAULT_IDLE_SECONDS
    """When nobody needed a connection for so long, all are closed; a serverless database sleeps then."""
    chat_prepared_statements: PreparedStatements = "auto"
    """Whether statements stay prepared: `auto` asks what is between here and the database."""
    chat_database_retry_seconds: PositiveFloat = 10.0
    """How long a statement is run again when its connection dies, before the user sees an error."""

    chat_anonymous: Literal["memory", "deny", "persist"] = "memory"
    """Visitors without an account: kept in memory for the browser session, refused (401), or kept in the
    database under an id that the browser keeps."""
    chat_responder: Literal["auto", "openai", "offline", "echo"] = "auto"
    """What answers. `auto` is `openai` when OPENAI_API_KEY is set, else `offline`; `echo` repeats, for
    tests and load runs."""
    openai_api_key: str | None = Field(default=None, repr=False)
    """The key of the model's endpoint; one of your own may need none."""
    openai_base_url: str | None = None
    """Where the model is: OpenAI unless set, or anything that speaks its API, like http://localhost:11434/v1."""
    openai_model: str | None = None
    """Which model; OpenAI's default one unless set, other endpoints have to be told."""
    openai_api: Literal["auto", "responses", "chat_completions"] = "auto"
    """Which of OpenAI's APIs the endpoint speaks; `auto` is `responses` for OpenAI itself, else
    `chat_completions`."""
    openai_tools: Literal["on", "off"] = "on"
    """Whether the model may search the documents by itself; `off` for models that cannot call tools."""
    openai_reads: Annotated[tuple[Literal["images", "pdfs"], ...] | None, NoDecode] = None
    """Which attachments the model can read beside texts: `images,pdfs`, one of them, or `none`; unless set
    both at OpenAI, and none elsewhere."""
    openai_reasoning_summary: Literal["auto", "concise", "detailed"] | None = None
    """Have a model that reasons say what it thinks; its provider may want to know you first."""
    openai_timeout_seconds: PositiveFloat = 60.0
    """How long the model may be silent before its answer counts as failed."""
    openai_embedding_model: str = "text-embedding-3-small"
    """Which model of the endpoint makes vectors of questions, for a collection that was made with it."""
    chat_model_input_tokens: PositiveInt = 24_000
    """About how much of a conversation the model is given, in tokens, the newest of it."""
    chat_echo_word_seconds: NonNegativeFloat = 0.0
    """How long `echo` waits before each word but the first, as a model would."""
    chat_max_message_bytes: PositiveInt = 32 * 1024
    """Longest user message, in bytes of UTF-8."""
    chat_max_request_bytes: PositiveInt = 1024 * 1024
    """Longest request body; room for a message in JSON escapes and for a client tool's output."""
    chat_memory_max_bytes: PositiveInt = 256 * 1024 * 1024
    """What all anonymous conversations together may take; the least recently used goes first."""
    chat_memory_idle_seconds: PositiveFloat = 12 * 3600.0
    """How long an anonymous conversation outlives its visitor's last request."""
    auth_jwks_url: str | None = None
    """Where the issuer of sign-in tokens publishes its keys; without it nobody has an account."""
    auth_issuer: str | None = None
    """The `iss` of sign-in tokens; required with `AUTH_JWKS_URL`."""
    auth_audience: str | None = None
    """The `aud` of sign-in tokens; required with `AUTH_JWKS_URL`."""
    chat_secret: str | None = Field(default=None, repr=False, min_length=32)
    """Signs visitor ids and links to files; 32 characters at least. Unless set, one is made and kept in the
    database. With another one, visitors are strangers: keep it."""

    chat_attachments: Literal["on", "off"] = "on"
    """Whether messages may carry files."""
    chat_files_url: str = "file:.data/files"
    """Where the bytes of attachments are kept: a folder, or `s3://bucket/prefix` with the usual `AWS_…`
    variables."""
    chat_max_attachment_bytes: PositiveInt = 20 * 1024 * 1024
    """Longest file."""
    chat_attachment_types: Annotated[tuple[str, ...], NoDecode] = (
        "image/png",
        "image/jpeg",
        "image/gif",
        "image/webp",
        "application/pdf",
        "text/plain",
        "text/markdown",
        "text/csv",
        "application/json",
    )
    """Types of files taken, told by their content."""
    chat_public_url: str | None = None
    """The address by which browsers reach this server, for links to files; that of the request unless set."""

    chat_rate_limit: str = "3000/minute"
    """Requests of one owner, like `100/minute` or `10/second;1000/hour`."""
    chat_rate_limit_per_address: str = "6000/minute"
    """Requests from one network address; loopback addresses are not counted."""
    chat_rate_limit_newcomers: str = "60/minute"
    """Visitors without an account who are new, from one network address; loopback is not counted."""
    chat_max_streams: PositiveInt = 100
    """Answers to one owner that may be in progress at once, per process."""
    chat_turn_lease_seconds: PositiveFloat = 15.0
    """When a process dies while it answers a keyed request, how long it takes until another may."""
    chat_max_answer_seconds: PositiveFloat = 600.0
    """How long the answer to a keyed request may take; it goes on without anybody who could stop it."""
    chat_turn_wait_seconds: PositiveFloat = 20.0
    """How long a repeated request waits for an answer that another process is writing, before it is a 409."""
    redis_url: str | None = Field(default=None, repr=False)
    """Where the processes of one service count requests together, and tell each other of changes. Unless set,
    each counts its own, and PostgreSQL's NOTIFY tells of changes."""
    chat_max_event_streams: PositiveInt = 20
    """Devices and windows of one owner that may follow changes at once, per process."""
    chat_events_seconds: PositiveFloat = 3600.0
    """How long a stream of changes lasts at most; then the device comes back, perhaps to another process."""

    qdrant_url: str | None = Field(default=None, repr=False)
    """A Qdrant server with documents to answer from. It is read, and never written."""
    qdrant_api_key: str | None = Field(default=None, repr=False)
    """Its key; one that may only read is enough."""
    qdrant_collection: str | None = None
    """The collection; required with `QDRANT_URL`."""
    qdrant_vector_name: str | None = None
    """The vector that is searched, in a collection with named ones."""
    qdrant_text_field: str | None = None
    """Where a payload's text is, as a dotted path; unless set, where well-known libraries put it."""
    qdrant_title_field: str | None = None
    """Where its title is, likewise."""
    qdrant_url_field: str | None = None
    """Where its address is, likewise."""
    qdrant_min_score: float | None = None
    """Hits with a lower score are left out; what is good depends on the model that made the vectors."""
    qdrant_timeout_seconds: PositiveFloat = 5.0
    """How long a question waits for the documents before it goes on without them."""
    chat_shutdown_delay_seconds: NonNegativeFloat = 2.0
    """Told to stop, for how long the server still answers while `/readyz` fails: as long as whoever sends it
    requests needs to notice."""
    chat_shutdown_seconds: NonNegativeFloat = 10.0
    """After that, how long answers in progress may go on before they are stopped and stored."""
    chat_metrics_token: str | None = Field(default=None, repr=False, min_length=16)
    """Whoever reads `/metrics` has to send it as a bearer token; without it anybody may who reaches it."""
    otel_exporter_otlp_endpoint: str | None = None
    """Where traces are sent by OpenTelemetry's protocol over HTTP, like `http://localhost:4318`; nowhere
    unless set. The other `OTEL_…` variables of its SDK hold as well, if they are in the environment."""
    chat_log_format: Literal["text", "json"] = "text"
    """How log lines are written: for a person, or one JSON object each for what collects them."""
    chat_slow_call_seconds: PositiveFloat = 0.5
    """A Store call that takes longer is logged, by the name of its statement."""

    cors_allowed_origins: Annotated[list[str], NoDecode] = Field(default_factory=list)
    """Other origins whose pages may call this server, separated by commas; never `*`."""

    @field_validator("database_url", "database_url_unpooled")
    @classmethod
    def _is_a_database_url(cls, value: str | None) -> str | None:
        if value is not None:
            parse_database_url(value)
        return value

    @field_validator("cors_allowed_origins", "chat_attachment_types", "openai_reads", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        if isinstance(value, str):
            return [part.strip() for part in value.split(",") if part.strip()]
        return value

    @field_validator("openai_reads", mode="before")
    @classmethod
    def _or_none(cls, value: object) -> object:
        return () if value in ("none", ["none"]) else value

    @field_validator("cors_allowed_origins")
    @classmethod
    def _are_origins(cls, value: list[str]) -> list[str]:
        for origin in value:
            if "*" in origin:
                raise ValueError("name each origin; * would let any site read a visitor's conversations")
            if not _ORIGIN.fullmatch(origin):
                raise ValueError(f"{origin!r} is not an origin; write it like https://www.example.com")
        return value

    @field_validator("chat_files_url")
    @classmethod
    def _is_a_place_for_files(cls, value: str) -> str:
        parse_files_url(value)
        return value

    @field_validator(
        "auth_jwks_url", "chat_public_url", "qdrant_url", "openai_base_url", "otel_exporter_otlp_endpoint"
    )
    @classmethod
    def _is_an_address(cls, value: str | None) -> str | None:
        # Not the value itself: what is wrong with it may be a password in the wrong place.
        if value is not None and not _is_address(value):
            raise ValueError("not an address; write it like https://www.example.com")
        return value

    @field_validator("openai_api_key", "qdrant_api_key")
    @classmethod
    def _is_a_key(cls, value: str | None) -> str | None:
        if value is None:
            return None
        # A file that holds a key often ends its line.
        if not _KEY.fullmatch(key := value.strip()):
            raise ValueError("not a key: blank, or with characters that no key has; copy it again")
        return key

    @field_validator("redis_url")
    @classmethod
    def _is_a_redis_url(cls, value: str | None) -> str | None:
        try:
            if value is not None:
                parse_redis_url(value)
        except ValueError:
            raise ValueError("not a Redis address; write it like redis://host:6379") from None
        return value

    @field_validator("chat_rate_limit", "chat_rate_limit_per_address", "chat_rate_limit_newcomers")
    @classmethod
    def _is_a_rate(cls, value: str) -> str:
        try:
            parse_many(value)
        except ValueError:
            raise ValueError("not a rate; write it like 100/minute or 10/second;1000/hour") from None
        return value

    @model_validator(mode="after")
    def _issuer_is_whole(self) -> Self:
        if self.auth_jwks_url and not (self.auth_issuer and self.auth_audience):
            raise ValueError("AUTH_JWKS_URL needs AUTH_ISSUER and AUTH_AUDIENCE beside it")
        return self

    @property
    def asks_a_model(self) -> bool:
        """Whether a language model answers."""
        return self.chat_responder == "openai" or (
            self.chat_responder == "auto" and self.openai_api_key is not None
        )

    @model_validator(mode="after")
    def _model_can_be_asked(self) -> Self:
        if self.asks_a_model and not (self.openai_api_key or self.openai_base_url):
            raise ValueError(
                "OPENAI_API_KEY is missing: CHAT_RESPONDER=openai needs it, or an OPENAI_BASE_URL of your own"
            )
        if self.asks_a_model and self.openai_base_url and not self.openai_model:
            raise ValueError("OPENAI_MODEL is missing: name a model that OPENAI_BASE_URL has")
        return self

    @model_validator(mode="after")
    def _qdrant_is_whole(self) -> Self:
        if self.qdrant_url and not self.qdrant_collection:
            raise ValueError("QDRANT_URL needs QDRANT_COLLECTION beside it")
        return self

    @model_validator(mode="after")
    def _pool_sizes_fit(self) -> Self:
        if self.chat_pool_min_size > self.chat_pool_max_size:
            raise ValueError("CHAT_POOL_MIN_SIZE is larger than CHAT_POOL_MAX_SIZE")
        return self


def wrong(setting: str, message: str) -> ValidationError:
    """Return the error for a setting that turns out wrong when it is used."""
    problem = InitErrorDetails(
        type=PydanticCustomError("wrong", "{why}", {"why": message}), loc=(setting,), input=None
    )
    return ValidationError.from_exception_data("Settings", [problem], hide_input=True)


def explain(error: ValidationError) -> str:
    """Return one line per wrong setting, naming it as it is written in the environment."""
    lines = []
    for problem in error.errors(include_url=False, include_input=False, include_context=False):
        name = ".".join(str(part) for part in problem["loc"][:1]).upper()
        message = problem["msg"].removeprefix("Value error, ")
        lines.append(f"{name}: {message}" if name else message)
    return "\n".join(lines)


def _is_address(value: str) -> bool:
    try:
        parts = urlsplit(value)
        return bool(_ADDRESS.match(value) and parts.hostname) and parts.port != 0
    except ValueError:
        return False
