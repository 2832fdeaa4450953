"""A Qdrant server's REST calls on a real socket, over the client library's own local mode.

It knows the two calls that read, and notes every call that comes, known or not.
"""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import uvicorn
from qdrant_client import AsyncQdrantClient
from qdrant_client.models import QueryRequest
from starlette.types import Receive, Scope, Send

_NOT_FOUND = 404


class QdrantServer:
    """Serves the collections of a folder, or of memory, to whoever knows the key."""

    def __init__(self, stored: AsyncQdrantClient, *, api_key: str | None = None) -> None:
        self.stored = stored
        self.calls: list[str] = []
        """Method and path of every call."""
        self.answer: tuple[int, bytes] | None = None
        """What to answer instead."""
        self.silent: asyncio.Event | None = None
        """What to wait for before answering at all."""
        self._api_key = api_key

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one call."""
        self.calls.append(f"{scope['method']} {scope['path']}")
        body = b""
        while True:
            message = await receive()
            body += message.get("body", b"")
            if not message.get("more_body"):
                break
        if self.silent is not None:
            await self.silent.wait()
        status, content = self.answer or await self._answer(scope, body)
        headers = [(b"content-type", b"application/json")]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": content})

    async def _answer(self, scope: Scope, body: bytes) -> tuple[int, bytes]:
        if self._api_key and dict(scope["headers"]).get(b"api-key", b"").decode() != self._api_key:
            return 401, b"Must provide an API key or an Authorization bearer token"
        match [scope["method"], *scope["path"].strip("/").split("/")]:
            case ["GET", "collections", name]:
                reading = self.stored.get_collection(name)
            case ["POST", "collections", name, "points", "query"]:
                reading = self._query(name, QueryRequest.model_validate_json(body))
            case _:
                return 405, b""
        try:
            result = await reading
        except ValueError as error:
            status = 404 if str(error).endswith("not found") else 400
            return status, json.dumps({"status": {"error": f"Wrong input: {error}"}, "time": 0.0}).encode()
        content = {"result": result.model_dump(mode="json", exclude_none=True), "status": "ok", "time": 0.0}
        return 200, json.dumps(content).encode()

    async def _query(self, name: str, request: QueryRequest) -> Any:
        return await self.stored.query_points(
            name,
            query=request.query,
            using=request.using,
            limit=request.limit or 10,
            with_payload=request.with_payload or False,
            score_threshold=request.score_threshold,
        )

    @asynccontextmanager
    async def serving(self, port: int = 0) -> AsyncIterator[str]:
        """Serve on loopback and yield the address."""
        config = uvicorn.Config(self, host="127.0.0.1", port=port, log_config=None, lifespan="off")
        server = uvicorn.Server(config)
        running = asyncio.create_task(server.serve())
        async with asyncio.timeout(60):
            while not server.started:
                await asyncio.sleep(0.005)
        try:
            yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
        finally:
            server.should_exit = True
            await running
