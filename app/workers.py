"""Several processes that serve one address, and who looks after them."""

import argparse
import asyncio
import logging
import os
import shutil
import signal
import socket
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress

from fastapi import FastAPI
from prometheus_client.multiprocess import mark_process_dead

from app.metrics.processes import share_numbers
from app.serving import server_for

logger = logging.getLogger(__name__)

_FIRST_DELAY = 0.2
_LONGEST_DELAY = 10.0
# Who lived for so long had begun to serve.
_BEGUN_SECONDS = 5.0


class Workers:
    """Runs so many processes of a command that serves a socket, and replaces those that die.

    SIGTERM and SIGINT end all of them, as each ends by itself; SIGHUP replaces one after the other. When a
    process ends at once, again and again, the others go on. Processes do not outlive their parent.
    """

    def __init__(self, count: int, command: Sequence[str], listening: socket.socket) -> None:
        """Serve `listening` by `command`, which gets `--fd` and `--lifeline` with two descriptors."""
        self._count = count
        self._command = command
        self._listening = listening
        self._leaving = asyncio.Event()
        self._processes: dict[int, asyncio.subprocess.Process] = {}
        self._numbers = tempfile.mkdtemp(prefix="chatkit-neon-metrics-")
        # Nobody writes to it: its other end is at an end when this process is.
        self._lifeline, self._held = os.pipe()

    async def run(self) -> None:
        """Return when all processes have ended, because they were told to."""
        share_numbers(self._numbers)
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._leave)
        renewals: set[asyncio.Task[None]] = set()
        loop.add_signal_handler(signal.SIGHUP, lambda: renewals.add(loop.create_task(self._renew())))
        try:
            await asyncio.gather(*(self._keep(place) for place in range(self._count)))
        finally:
            os.close(self._held)
            os.close(self._lifeline)
            shutil.rmtree(self._numbers, ignore_errors=True)

    async def _keep(self, place: int) -> None:
        """Have a process in this place until all are to leave."""
        delay = _FIRST_DELAY
        while not self._leaving.is_set():
            began = time.monotonic()
            process = await self._begin()
            self._processes[place] = process
            if self._leaving.is_set():
                _tell(process)
            status = await process.wait()
            mark_process_dead(process.pid, self._numbers)  # type: ignore[no-untyped-call]  # untyped there
            if self._leaving.is_set() or status == 0:
                continue
            delay = _FIRST_DELAY if time.monotonic() - began > _BEGUN_SECONDS else delay
            logger.error("Process %s ended with status %s; another takes its place", process.pid, status)
            with suppress(TimeoutError):
                await asyncio.wait_for(self._leaving.wait(), delay)
            delay = min(delay * 2, _LONGEST_DELAY)

    async def _begin(self) -> asyncio.subprocess.Process:
        descriptors = (self._listening.fileno(), self._lifeline)
        return await asyncio.create_subprocess_exec(
            *self._command,
            *("--fd", str(descriptors[0]), "--lifeline", str(descriptors[1])),
            pass_fds=descriptors,
            # Ctrl-C is for the parent, which passes it on once.
            start_new_session=True,
        )

    def _leave(self) -> None:
        self._leaving.set()
        for process in self._processes.values():
            _tell(process)

    async def _renew(self) -> None:
        """Replace one process after the other, while the others serve."""
        for process in list(self._processes.values()):
            _tell(process)
            await process.wait()


def _tell(process: asyncio.subprocess.Process) -> None:
    with suppress(ProcessLookupError):
        process.terminate()


async def serve_by(count: int, listening: socket.socket) -> None:
    """Serve a socket by so many processes of the command that this process runs."""
    # As this process was started: by `-m app.cli` an `app` in the current folder would be another's.
    command = [sys.executable, *_without_workers(sys.orig_argv[1:])]
    await Workers(count, command, listening).run()


def _without_workers(arguments: list[str]) -> list[str]:
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument("--workers")
    return parser.parse_known_args(arguments)[1]


async def serve_as_worker(app: FastAPI, descriptor: int, lifeline: int) -> None:
    """Serve a socket that others serve, too, until told to stop, or until the parent is gone."""
    loop = asyncio.get_running_loop()

    def orphaned() -> None:
        loop.remove_reader(lifeline)
        os.kill(os.getpid(), signal.SIGTERM)

    loop.add_reader(lifeline, orphaned)
    await server_for(app).serve([socket.socket(fileno=descriptor)])
