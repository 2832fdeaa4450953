"""Running the application under uvicorn, and stopping it without losing a word."""

import asyncio
import socket
import time

import uvicorn
from fastapi import FastAPI

from app.api.services import Services
from app.logs import configure_logs

# Longer than answers are given, so that they are ended and stored and not broken off.
_GRACE_SECONDS = 10
_LOOK_SECONDS = 0.05


class Server(uvicorn.Server):
    """A server that leaves in steps when it is told to stop.

    `/readyz` fails while it still answers, until those who send it requests have noticed; then it takes no
    more, lets answers go on for a while, ends and stores the others, and hangs up. Told again, it hurries.
    """

    def __init__(self, config: uvicorn.Config, services: Services, delay: float, patience: float) -> None:
        super().__init__(config)
        self._services = services
        self.delay = delay
        """Seconds to be noticed in; may be changed while they pass."""
        self._patience = patience

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Leave."""
        self._services.lifecycle.is_leaving = True
        await self._be_noticed()
        # Streams of changes have no end of their own, and their clients come back to another process.
        self._services.live.end()
        closing = asyncio.create_task(self._services.turns.close(self._patience))
        await super().shutdown(sockets)
        await closing

    async def _be_noticed(self) -> None:
        began = time.monotonic()
        while time.monotonic() < began + self.delay and not self.force_exit:
            # Its own loop, which answers with the time of day, has ended.
            await self.on_tick(0)
            await asyncio.sleep(_LOOK_SECONDS)


def server_for(
    app: FastAPI,
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    delay: float | None = None,
    patience: float | None = None,
    log_level: str = "info",
) -> Server:
    """Return a server for an application made by create_app.

    Told to stop, it still answers for `delay` seconds; then answers in progress may go on for `patience`
    seconds; then they are stopped, and what they said is stored. Both are the settings' unless given.
    Logs of this process go to stderr from now on (see app.logs).
    """
    services: Services = app.state.services
    settings = services.settings
    delay = settings.chat_shutdown_delay_seconds if delay is None else delay
    patience = settings.chat_shutdown_seconds if patience is None else patience
    configure_logs(log_level, settings.chat_log_format)
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
    return Server(config, services, delay, patience)
