"""The application: its parts put together."""

import gc
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from fastapi import FastAPI
from fastapi.middleware.cors import CORSMiddleware
from fastapi.staticfiles import StaticFiles

from app.api import chatkit, feedback, health
from app.api.demo import demo_router
from app.api.errors import add_error_handlers
from app.api.services import Services
from app.chat.echo import EchoResponder
from app.chat.offline import OfflineResponder
from app.chat.responder import Responder
from app.chat.server import HistoryServer
from app.chat.turns import Turns
from app.database import Database, create_engine
from app.identity.caller import Identity
from app.identity.demo import DemoSignIn
from app.settings import Settings
from app.stores import MemoryStore, NeonChatKitStore

_PAGE = Path(__file__).parent / "page"
# A probe is to say soon that the database does not answer.
_PROBE_SECONDS = 2.0


def create_app(
    settings: Settings | None = None,
    *,
    responder: Responder | None = None,
    demo: DemoSignIn | None = None,
) -> FastAPI:
    """Return the server. Reads settings from the environment unless given, connects when it starts.

    `responder` answers instead of the one that CHAT_RESPONDER names. `demo` adds sign-in without
    a password. Raises pydantic's ValidationError for settings that are wrong or missing.
    """
    settings = settings or Settings()
    engine = create_engine(settings.database_url, pool_size=settings.chat_pool_max_size)
    retry_seconds = settings.chat_database_retry_seconds
    responder = responder or _responder(settings)
    limit = settings.chat_max_message_bytes
    services = Services(
        settings=settings,
        identity=Identity(demo.tokens if demo else None, settings.chat_anonymous),
        health=Database(engine, retry_seconds=_PROBE_SECONDS),
        accounts=HistoryServer(
            NeonChatKitStore(engine, retry_seconds=retry_seconds), responder, max_message_bytes=limit
        ),
        visitors=HistoryServer(
            MemoryStore(
                max_bytes=settings.chat_memory_max_bytes, idle_seconds=settings.chat_memory_idle_seconds
            ),
            responder,
            max_message_bytes=limit,
        ),
        turns=Turns(),
    )

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        await services.health.warm(settings.chat_pool_min_size)
        # What was imported stays for good: half a million objects that no collection need look at again.
        gc.collect()
        gc.freeze()
        # A turn makes hundreds of objects that live for milliseconds; the usual 700 is a few turns.
        gc.set_threshold(10_000, 100, 10)
        yield
        # Under app.serving they have ended by now; under another server they end here.
        await services.turns.close(0)
        await engine.dispose()

    app = FastAPI(title="chatkit-neon", docs_url="/api/docs", redoc_url=None, lifespan=lifespan)
    app.state.services = services
    add_error_handlers(app)
    if settings.cors_allowed_origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=settings.cors_allowed_origins,
            allow_methods=["GET", "POST"],
            allow_headers=["Authorization", "Content-Type"],
            allow_credentials=True,
        )
    for router in (chatkit.router, feedback.router, health.router):
        app.include_router(router)
    if demo is not None:
        app.include_router(demo_router(demo))
        app.mount("/", StaticFiles(directory=_PAGE, html=True))
    return app


def _responder(settings: Settings) -> Responder:
    return EchoResponder() if settings.chat_responder == "echo" else OfflineResponder()
