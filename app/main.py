"""The application: its parts put together."""

import gc
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from fastapi import FastAPI
from fastapi.middleware.cors import CORSMiddleware
from fastapi.staticfiles import StaticFiles

from app.api import attachments, chatkit, docs, feedback, health, me, threads
from app.api.auth_proxy import auth_proxy_router
from app.api.demo import demo_router
from app.api.errors import add_error_handlers
from app.api.headers import SecurityHeaders
from app.api.openapi import describe
from app.api.services import Services
from app.chat.context import ChatContext
from app.chat.echo import EchoResponder
from app.chat.offline import OfflineResponder
from app.chat.responder import Responder
from app.chat.server import HistoryServer
from app.chat.turns import Turns
from app.database import Database, create_engine
from app.files.blobs import Blobs
from app.files.carry import Handover
from app.files.links import Links
from app.files.store import FileStore, Limits
from app.files.sweep import Sweeper
from app.identity.bearer import BearerTokens, Issuers
from app.identity.caller import VISITOR_HEADER, Identity
from app.identity.demo import DemoSignIn
from app.identity.jwks import PublishedKeys
from app.identity.secret import ServiceSecret
from app.identity.visitors import Visitors
from app.limits import RateLimits
from app.repositories.files import FileSweep
from app.repositories.secrets import SecretRepository
from app.settings import Settings, wrong
from app.stores import ChatStore, MemoryStore, NeonChatKitStore

_PAGE = Path(__file__).parent / "page"
# A probe is to say soon that the database does not answer.
_PROBE_SECONDS = 2.0


def create_app(
    settings: Settings | None = None,
    *,
    responder: Responder | None = None,
    demo: DemoSignIn | None = None,
    auth_server: str | None = None,
) -> FastAPI:
    """Return the server. Reads settings from the environment unless given, connects when it starts.

    `responder` answers instead of the one that CHAT_RESPONDER names. `demo` adds sign-in without
    a password. Requests for `/api/auth/…` are passed on to the address `auth_server`, when it is given.
    Raises pydantic's ValidationError for settings that are wrong or missing.
    """
    settings = settings or Settings()
    engine = create_engine(settings.database_url, pool_size=settings.chat_pool_max_size)
    retry_seconds = settings.chat_database_retry_seconds
    responder = responder or _responder(settings)
    secret = ServiceSecret(
        settings.chat_secret, SecretRepository(Database(engine, retry_seconds=retry_seconds))
    )
    keys = PublishedKeys(settings.auth_jwks_url) if settings.auth_jwks_url else None
    limit = settings.chat_max_message_bytes
    takes_files = settings.chat_attachments == "on"
    links = Links(secret)
    blobs = _blobs(settings) if takes_files else Blobs.in_memory()
    visitors_blobs = Blobs.in_memory()
    sweeper = Sweeper(FileSweep(Database(engine, retry_seconds=retry_seconds)), blobs)
    accounts: NeonChatKitStore[ChatContext] = NeonChatKitStore(
        engine, retry_seconds=retry_seconds, deleted=sweeper.kick
    )
    visitors: MemoryStore[ChatContext] = MemoryStore(
        max_bytes=settings.chat_memory_max_bytes,
        idle_seconds=settings.chat_memory_idle_seconds,
        drop_file=visitors_blobs.drop,
    )

    def files_of(store: ChatStore[ChatContext], place: Blobs, home: str) -> FileStore[ChatContext] | None:
        limits = Limits(settings.chat_max_attachment_bytes, settings.chat_attachment_types)
        return FileStore(store, place, links, limits, home=home) if takes_files else None

    services = Services(
        settings=settings,
        identity=Identity(_issuers(settings, keys, demo), Visitors(secret), settings.chat_anonymous),
        secret=secret,
        health=Database(engine, retry_seconds=_PROBE_SECONDS),
        accounts=HistoryServer(
            accounts, responder, max_message_bytes=limit, files=files_of(accounts, blobs, "accounts")
        ),
        visitors=HistoryServer(
            visitors, responder, max_message_bytes=limit, files=files_of(visitors, visitors_blobs, "visitors")
        ),
        accounts_store=accounts,
        visitors_store=visitors,
        handover=Handover(visitors, accounts, source=visitors_blobs, target=blobs),
        links=links,
        sweeper=sweeper,
        turns=Turns(settings.chat_max_streams),
        limits=RateLimits(settings.chat_rate_limit, settings.chat_rate_limit_per_address, settings.redis_url),
    )

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        await services.health.warm(settings.chat_pool_min_size)
        # What was imported stays for good: half a million objects that no collection need look at again.
        gc.collect()
        gc.freeze()
        # A turn makes hundreds of objects that live for milliseconds; the usual 700 is a few turns.
        gc.set_threshold(10_000, 100, 10)
        if takes_files:
            sweeper.start()
        yield
        # Under app.serving they have ended by now; under another server they end here.
        await services.turns.close(0)
        await sweeper.stop()
        await services.limits.aclose()
        if keys is not None:
            await keys.aclose()
        await engine.dispose()

    app = FastAPI(title="chatkit-neon", docs_url=None, redoc_url=None, lifespan=lifespan)
    app.state.services = services
    add_error_handlers(app)
    if settings.cors_allowed_origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=settings.cors_allowed_origins,
            allow_methods=["GET", "POST", "PUT", "PATCH", "DELETE"],
            allow_headers=[
                "Authorization",
                "Content-Type",
                "Idempotency-Key",
                "Last-Event-ID",
                VISITOR_HEADER,
            ],
            expose_headers=["Retry-After", VISITOR_HEADER],
            allow_credentials=True,
        )
    # Last, so that it is outermost: no response gets past it.
    app.add_middleware(SecurityHeaders)
    for router in (
        chatkit.router,
        threads.router,
        attachments.router,
        me.router,
        docs.router,
        feedback.router,
        health.router,
    ):
        app.include_router(router)
    describe(app)
    if auth_server is not None:
        app.include_router(auth_proxy_router(auth_server))
    if demo is not None:
        app.include_router(demo_router(demo))
        app.mount("/", StaticFiles(directory=_PAGE, html=True))
    return app


def _issuers(settings: Settings, keys: PublishedKeys | None, demo: DemoSignIn | None) -> Issuers:
    issuers = [demo.tokens] if demo is not None else []
    if keys is not None:
        assert settings.auth_issuer is not None  # noqa: S101 - the settings are checked for it
        assert settings.auth_audience is not None  # noqa: S101 - likewise
        issuers.append(BearerTokens(keys, issuer=settings.auth_issuer, audience=settings.auth_audience))
    return Issuers(*issuers)


def _blobs(settings: Settings) -> Blobs:
    try:
        return Blobs.at(settings.chat_files_url)
    except ValueError as error:
        raise wrong("chat_files_url", str(error)) from None


def _responder(settings: Settings) -> Responder:
    return EchoResponder() if settings.chat_responder == "echo" else OfflineResponder()
