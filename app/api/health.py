"""For the platform that runs the process."""

import logging

from fastapi import APIRouter
from pydantic import BaseModel

from app.api.services import CurrentServices
from app.database.failures import StatementFailed
from app.database.schema import UPGRADE, schema_is_current
from app.errors import StoreUnavailable

router = APIRouter()
logger = logging.getLogger(__name__)
_NO_SUCH_TABLE = "42P01"


class Health(BaseModel):
    """The state of the process."""

    status: str


@router.get("/healthz")
async def healthz() -> Health:
    """Answer as long as the process runs; restart it when this fails."""
    return Health(status="ok")


@router.get("/readyz")
async def readyz(services: CurrentServices) -> Health:
    """Answer when the database answers with the schema of this release; send no traffic when this fails.

    It fails, too, as soon as the process is told to stop.
    """
    if services.lifecycle.is_leaving:
        raise StoreUnavailable("This process is about to stop. Another one answers.")
    try:
        current = await schema_is_current(services.health)
    except StatementFailed as error:
        if error.sqlstate != _NO_SUCH_TABLE:
            logger.warning("The database refuses: %s", error)
            raise StoreUnavailable("The database does not let this server in. Its log says why.") from None
        current = False
    if not current:
        raise StoreUnavailable(f"The database schema is behind this release. {UPGRADE}")
    return Health(status="ready")
