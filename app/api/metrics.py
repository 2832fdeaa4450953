"""For whoever watches the server: numbers in the format of Prometheus."""

import hmac
from typing import Annotated, Any

from fastapi import APIRouter, Header, Response
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

from app.api.schemas import failures
from app.api.services import CurrentServices
from app.errors import Unauthorized
from app.metrics.processes import shared_folder

router = APIRouter()
_ANSWER: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The metrics, one a line.",
        "content": {"text/plain": {"schema": {"type": "string"}}},
    }
}


@router.get(
    "/metrics",
    response_class=Response,
    responses=_ANSWER | failures(),
)
async def metrics(
    services: CurrentServices, authorization: Annotated[str | None, Header()] = None
) -> Response:
    """Tell how much of what there was, since the server started.

    With CHAT_METRICS_TOKEN set, only to who sends it as a bearer token. Asks the database nothing: a
    database that sleeps is not woken.
    """
    if not _may_look(services.settings.chat_metrics_token, authorization):
        raise Unauthorized("Send CHAT_METRICS_TOKEN as a bearer token to read the metrics.")
    services.levels.refresh()
    registry = services.metrics.registry
    if (folder := shared_folder()) is not None:
        registry = CollectorRegistry()
        MultiProcessCollector(registry, path=folder)  # type: ignore[no-untyped-call]  # untyped in the library
    return Response(generate_latest(registry), media_type=CONTENT_TYPE_LATEST)


def _may_look(token: str | None, authorization: str | None) -> bool:
    if token is None:
        return True
    return hmac.compare_digest((authorization or "").encode(), f"Bearer {token}".encode())
