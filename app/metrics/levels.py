"""What is as high as it is: read when somebody looks, not counted as it happens."""

import asyncio
from collections.abc import Callable, Mapping

from prometheus_client import CollectorRegistry, Gauge

from app.metrics.processes import shared_folder

# So old may be what another process tells of this one.
_EVERY_SECONDS = 2.0

NAMES = {
    "chatkit_pool_in_use": "Database connections in use.",
    "chatkit_pool_idle": "Database connections open and not in use.",
    "chatkit_pool_waiting": "Statements that wait for a connection.",
    "chatkit_pool_size": "Database connections never exceeded.",
    "chatkit_turns_open": "Answers that are being written.",
    "chatkit_sync_listeners": "Devices that follow changes.",
    "chatkit_tasks": "Tasks of the event loop: what is being done at the moment, and a few that always run.",
}


class Levels:
    """Gauges that are read off the running parts."""

    def __init__(self, registry: CollectorRegistry, sources: Mapping[str, Callable[[], float]]) -> None:
        """Read the gauges off `sources`, one for each name that is known here."""
        self._read = [
            (Gauge(name, what, multiprocess_mode="livesum", registry=registry), sources[name])
            for name, what in NAMES.items()
        ]

        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Keep the gauges fresh for the other processes of this server, if there are any."""
        if shared_folder() is not None:
            self._task = asyncio.create_task(self._keep_fresh())

    async def stop(self) -> None:
        """End what start() began."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    async def _keep_fresh(self) -> None:
        while True:
            self.refresh()
            await asyncio.sleep(_EVERY_SECONDS)

    def refresh(self) -> None:
        """Make the gauges say what is the case now."""
        for gauge, source in self._read:
            gauge.set(source())
