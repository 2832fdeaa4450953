"""Running the application under uvicorn, and stopping it without losing a word."""

import asyncio
import socket

import uvicorn
from fastapi import FastAPI

from app.chat.turns import Turns
from app.events.live import Live
from app.logs import configure_logs

PATIENCE_SECONDS = 5.0
# Longer than answers are given, so that they are ended and stored and not broken off.
_GRACE_SECONDS = 10


class Server(uvicorn.Server):
    """A server that, told to stop, lets answers go on for a while, then ends and stores them."""

    def __init__(self, config: uvicorn.Config, turns: Turns, live: Live, patience: float) -> None:
        super().__init__(config)
        self._turns = turns
        self._live = live
        self._patience = patience

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Take no more requests, and wait for those there are."""
        # Streams of changes have no end of their own, and their clients come back to another process.
        self._live.end()
        closing = asyncio.create_task(self._turns.close(self._patience))
        await super().shutdown(sockets)
        await closing


def server_for(
    app: FastAPI, *, host: str, port: int, patience: float = PATIENCE_SECONDS, log_level: str = "info"
) -> Server:
    """Return a server for an application made by create_app.

    When it stops, answers in progress may go on for `patience` seconds; then they are stopped, and
    what they said is stored. Logs of this process go to stderr from now on (see app.logs).
    """
    services = app.state.services
    configure_logs(log_level, services.settings.chat_log_format)
    config = uvicorn.Config(
        app,
        host=host,
        port=port,
        log_level=log_level,
        log_config=None,
        # The application writes its own line for each request, with more in it.
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=int(patience) + _GRACE_SECONDS,
    )
    return Server(config, services.turns, services.live, patience)
