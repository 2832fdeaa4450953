"""Running the migrations from Python, for the demo and the tests; deploys use the alembic command."""

from pathlib import Path

from alembic.config import Config

from alembic import command

_INI = Path(__file__).parents[2] / "alembic.ini"


def alembic_config(url: str) -> Config:
    """Return Alembic's configuration for a database."""
    config = Config(_INI)
    config.attributes["url"] = url
    config.attributes["configure_logging"] = False
    return config


def migrate(url: str) -> None:
    """Bring a database to this release's schema. Waits for another deploy that is doing the same."""
    command.upgrade(alembic_config(url), "head")
