"""The application: routes, middleware, and the parts behind them."""

import gc
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from fastapi import FastAPI
from fastapi.middleware.cors import CORSMiddleware

from app.api import (
    attachments,
    chatkit,
    docs,
    events,
    export,
    feedback,
    health,
    me,
    metrics,
    policy,
    threads,
    turns,
)
from app.api.auth_proxy import auth_proxy_router
from app.api.demo import demo_router
from app.api.errors import add_error_handlers
from app.api.headers import SecurityHeaders
from app.api.openapi import describe
from app.api.site import Site
from app.api.watching import REQUEST_ID, Watched
from app.assembly import assemble
from app.chat.responder import Responder
from app.identity.caller import VISITOR_HEADER
from app.identity.demo import DemoSignIn
from app.settings import Settings

_ROUTERS = (
    chatkit.router,
    threads.router,
    turns.router,
    events.router,
    feedback.router,
    attachments.router,
    policy.router,
    me.router,
    export.router,
    health.router,
    metrics.router,
    docs.router,
)


def create_app(
    settings: Settings | None = None,
    *,
    responder: Responder | None = None,
    demo: DemoSignIn | None = None,
    auth_server: str | None = None,
    site: Path | None = None,
) -> FastAPI:
    """Return the server. Reads settings from the environment unless given, connects when it starts.

    `responder` answers instead of the one that CHAT_RESPONDER names. `demo` adds sign-in without
    a password. Requests for `/api/auth/…` are passed on to the address `auth_server`, when it is given.
    What no route is for is looked for in the folder `site`.
    Raises pydantic's ValidationError for settings that are wrong or missing.
    """
    settings = settings or Settings()
    services = assemble(settings, responder, demo)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        await services.start()
        _spare_the_collector()
        yield
        await services.stop()

    app = FastAPI(title="chatkit-neon", docs_url=None, redoc_url=None, lifespan=lifespan)
    app.state.services = services
    add_error_handlers(app)
    _allow_origins(app, settings.cors_allowed_origins)
    # The outermost come last: no response gets past them.
    app.add_middleware(SecurityHeaders)
    app.add_middleware(Watched, services.metrics, services.traces)
    for router in _ROUTERS:
        app.include_router(router)
    describe(app)
    if auth_server is not None:
        app.include_router(auth_proxy_router(auth_server))
    if demo is not None:
        app.include_router(demo_router(demo))
    if site is not None:
        # Not a mount at "/": that would match before a route which has the path and not the method.
        app.router.default = Site(site)
    return app


def _allow_origins(app: FastAPI, origins: list[str]) -> None:
    """Let pages of these origins call the API with the credentials of whoever looks at them."""
    if origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=origins,
            allow_methods=["GET", "POST", "PUT", "PATCH", "DELETE"],
            allow_headers=[
                "Authorization",
                "Content-Type",
                "Idempotency-Key",
                "Last-Event-ID",
                REQUEST_ID,
                VISITOR_HEADER,
            ],
            expose_headers=[
                "Content-Disposition",
                "Idempotent-Replayed",
                "Retry-After",
                REQUEST_ID,
                VISITOR_HEADER,
            ],
            allow_credentials=True,
        )


def _spare_the_collector() -> None:
    # What was imported stays for good: half a million objects that no collection need look at again.
    gc.collect()
    gc.freeze()
    # A turn makes hundreds of objects that live for milliseconds; the usual 700 is a few turns.
    gc.set_threshold(10_000, 100, 10)
