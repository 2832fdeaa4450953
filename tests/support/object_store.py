"""A real S3 server, in a process of its own, for tests of what is kept in one."""

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx

from tests.support.ports import free_port

_COMMAND = str(Path(sys.executable).with_name("moto_server"))
ENVIRONMENT = {
    "AWS_ACCESS_KEY_ID": "test",
    "AWS_SECRET_ACCESS_KEY": "test",
    "AWS_REGION": "us-east-1",
    "AWS_ALLOW_HTTP": "true",
}


@asynccontextmanager
async def s3_server() -> AsyncIterator[str]:
    """Run a server on a free port until the block ends, and yield its address."""
    port = free_port()
    process = await asyncio.create_subprocess_exec(
        _COMMAND,
        "-H",
        "127.0.0.1",
        "-p",
        str(port),
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    url = f"http://127.0.0.1:{port}"
    try:
        await _ready(url, process)
        yield url
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def make_bucket(url: str, name: str) -> None:
    """Make an empty bucket."""
    async with httpx.AsyncClient(timeout=60) as http:
        (await http.put(f"{url}/{name}")).raise_for_status()


async def objects_in(url: str, bucket: str) -> str:
    """Return the server's own listing of a bucket."""
    async with httpx.AsyncClient(timeout=60) as http:
        listing = await http.get(f"{url}/{bucket}")
        return listing.raise_for_status().text


async def _ready(url: str, process: asyncio.subprocess.Process) -> None:
    async with asyncio.timeout(60), httpx.AsyncClient(timeout=60) as http:
        while process.returncode is None:
            try:
                if (await http.get(url)).status_code < 500:
                    return
            except httpx.TransportError:
                pass
            await asyncio.sleep(0.05)
    raise AssertionError(f"The S3 server ended with status {process.returncode}")
