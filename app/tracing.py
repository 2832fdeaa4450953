"""Where the time of a request goes, told to whatever collects OpenTelemetry's traces.

Spans hold names of this program's making, ids and times: no statement's values, nothing that was said.
"""

import asyncio
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Protocol

from starlette.datastructures import Headers

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.trace import Span

_SERVICE = "chatkit-neon"
_SERVER_ERRORS = 500
# So long a collector that is gone may delay the end of the process.
_PATIENCE_SECONDS = 2
_NANOSECONDS = 1_000_000_000


class RequestSpan(Protocol):
    """A request that is being served."""

    def answered(self, route: str | None, status: int) -> None:
        """Note by what route it was answered, and how."""


class Traces(Protocol):
    """Takes what took time."""

    @contextmanager
    def request(self, scope: Mapping[str, Any]) -> Iterator[RequestSpan]:
        """Have what is told inside be part of this request, and that part of what its client traces."""

    def ended(self, name: str, seconds: float, attributes: Mapping[str, str | int]) -> None:
        """Take something that ended this moment."""

    async def aclose(self) -> None:
        """Send what was not sent yet."""


def traces_to(endpoint: str | None) -> Traces:
    """Return what sends traces to an address, or to nowhere without one.

    A collector that does not answer costs nothing but its traces: they are sent by a thread of their own.
    """
    if endpoint is None:
        return _Nowhere()
    # Half a second of imports, for those who want it.
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import SERVICE_NAME, Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    name = os.environ.get("OTEL_SERVICE_NAME", _SERVICE)
    provider = TracerProvider(resource=Resource.create({SERVICE_NAME: name}))
    exporter = OTLPSpanExporter(endpoint=f"{endpoint.rstrip('/')}/v1/traces", timeout=_PATIENCE_SECONDS)
    provider.add_span_processor(BatchSpanProcessor(exporter))
    return _Collected(provider)


class _Nowhere:
    @contextmanager
    def request(self, scope: Mapping[str, Any]) -> Iterator[RequestSpan]:
        yield self

    def answered(self, route: str | None, status: int) -> None:
        """Nobody is told."""

    def ended(self, name: str, seconds: float, attributes: Mapping[str, str | int]) -> None:
        """Nobody is told."""

    async def aclose(self) -> None:
        """There is nothing to send."""


class _Collected:
    def __init__(self, provider: "TracerProvider") -> None:
        from opentelemetry.propagate import extract

        self._provider = provider
        self._tracer = provider.get_tracer("app")
        self._extract = extract

    @contextmanager
    def request(self, scope: Mapping[str, Any]) -> Iterator[RequestSpan]:
        from opentelemetry.trace import SpanKind

        context = self._extract(Headers(scope=dict(scope)))
        with self._tracer.start_as_current_span(
            scope["method"], context, SpanKind.SERVER, record_exception=False
        ) as span:
            yield _Collecting(span, scope["method"])

    def ended(self, name: str, seconds: float, attributes: Mapping[str, str | int]) -> None:
        now = time.time_ns()
        span = self._tracer.start_span(
            name, attributes=dict(attributes), start_time=now - int(seconds * _NANOSECONDS)
        )
        span.end(now)

    async def aclose(self) -> None:
        # It waits for the collector, seconds if need be.
        await asyncio.to_thread(self._provider.shutdown)


class _Collecting:
    def __init__(self, span: "Span", method: str) -> None:
        self._span = span
        self._method = method

    def answered(self, route: str | None, status: int) -> None:
        from opentelemetry.trace import StatusCode

        if route is not None:
            self._span.update_name(f"{self._method} {route}")
            self._span.set_attribute("http.route", route)
        self._span.set_attribute("http.request.method", self._method)
        self._span.set_attribute("http.response.status_code", status)
        if status >= _SERVER_ERRORS:
            self._span.set_status(StatusCode.ERROR)
