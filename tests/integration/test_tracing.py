"""Traces reach a collector by OpenTelemetry's protocol, and hold nothing that people wrote."""

import asyncio
import gzip
from collections.abc import AsyncIterator

import pytest_asyncio
import uvicorn
from fastapi import FastAPI, Request, Response
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from tests.support.ports import free_port
from tests.support.server import house, user_input

SAID = "what Alice said"
TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"


class Collector:
    """Takes what is sent to it."""

    def __init__(self) -> None:
        self.app = FastAPI()
        self.spans: list[Span] = []
        self.services: set[str] = set()
        self.raw = b""
        self.app.add_api_route("/v1/traces", self._take, methods=["POST"])

    async def _take(self, request: Request) -> Response:
        body = await request.body()
        body = gzip.decompress(body) if request.headers.get("content-encoding") == "gzip" else body
        self.raw += body
        for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
            values = {entry.key: entry.value.string_value for entry in resource.resource.attributes}
            self.services.add(values["service.name"])
            for scope in resource.scope_spans:
                self.spans += scope.spans
        return Response(media_type="application/x-protobuf")


@pytest_asyncio.fixture
async def collector() -> AsyncIterator[tuple[str, Collector]]:
    opened, port = Collector(), free_port()
    server = uvicorn.Server(uvicorn.Config(opened.app, port=port, log_level="warning"))
    running = asyncio.create_task(server.serve())
    while not server.started:
        await asyncio.sleep(0.01)
    yield f"http://127.0.0.1:{port}", opened
    server.should_exit = True
    await running


async def test_a_turn_is_one_trace_of_its_request_and_statements(
    database_url: str, collector: tuple[str, Collector]
) -> None:
    url, opened = collector
    async with house(database_url, otel_exporter_otlp_endpoint=url) as served:
        alice = served.alice
        alice.http.headers["traceparent"] = f"00-{TRACE}-{PARENT}-01"
        events = await alice.stream("threads.create", input=user_input(SAID))
    spans = {span.name: span for span in opened.spans if span.trace_id.hex() == TRACE}
    request, turn = spans["POST /chatkit"], spans["turn"]
    assert request.parent_span_id.hex() == PARENT
    assert turn.parent_span_id == request.span_id
    statements = [span for span in opened.spans if span.parent_span_id == request.span_id and span != turn]
    assert len(statements) >= 3
    for span in statements:
        assert request.start_time_unix_nano <= span.end_time_unix_nano <= request.end_time_unix_nano
    values = {entry.key: entry.value for entry in turn.attributes}
    assert values["thread"].string_value == events[0]["thread"]["id"]
    assert opened.services == {"chatkit-neon"}
    assert SAID.encode() not in opened.raw
    assert b"demo-alice" not in opened.raw


async def test_a_collector_that_is_not_there_changes_nothing(database_url: str) -> None:
    nowhere = f"http://127.0.0.1:{free_port()}"
    async with house(database_url, otel_exporter_otlp_endpoint=nowhere) as served:
        events = await served.alice.stream("threads.create", input=user_input(SAID))
    assert events[-1]["type"] == "thread.item.done"
